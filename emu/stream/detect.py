"""From a second of sound every 100 ms, and what a network thinks of each, to words with times. Arrays in, detections out.

The rule. A posterior is the softmax of the logits; it is 0 for every word while the second is quieter than `quiet`, because a
network of ten words has no way to say "nothing". The smoothed posterior of a word is the mean of its last `smooth` posteriors
(those before the recording are 0). A word is detected at a decision when

    its smoothed posterior is the largest, and at least `threshold`,
    it was below `threshold` at some decision since the word was detected before, and
    the detection before, of any word, is at least `refractory` seconds ago.

What is not a word of the network's is heard as the word that it is most like, if with enough confidence: there is no garbage class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STEP = 0.1  # seconds from decision to decision
SILENCE = -120.0  # dBFS of a second of zeros


@dataclass(frozen=True)
class Rule:
    """threshold: smoothed posterior, 0 to 1; smooth: decisions; refractory: seconds; quiet: dB below a full-scale square wave (RMS)."""

    threshold: float = 0.45
    smooth: int = 6
    refractory: float = 0.7
    quiet: float = -50.0


class Detection(NamedTuple):
    """`time`: end of the second that settled it, in seconds of the recording; confidence: the word's smoothed posterior then."""

    time: float
    word: str
    confidence: float


def windows(samples: np.ndarray, size: int, step: int) -> np.ndarray:
    """A view (n, size) of samples (m,), m >= size: window i begins at sample i * step. Nothing is padded."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::step]


def levels(seconds: np.ndarray) -> np.ndarray:
    """RMS of windows (n, samples) in [-1, 1], in dBFS, float64 (n,)."""
    power = np.array([np.mean(np.square(second)) for second in seconds])  # one at a time: windows overlap, and a copy would not
    return 10 * np.log10(np.maximum(power, 10 ** (SILENCE / 10)))


def smoothed(posteriors: np.ndarray, loudness: np.ndarray, rule: Rule) -> np.ndarray:
    """float64 (n, words): the mean over the last `rule.smooth` decisions of posteriors (n, words), 0 where `loudness` (n,) is quiet."""
    heard = np.where((loudness >= rule.quiet)[:, None], posteriors, 0)
    total = np.cumsum(heard, axis=0)
    total[rule.smooth:] -= total[:-rule.smooth].copy()
    return total / rule.smooth


def detect(confidences: np.ndarray, times: Sequence[float], labels: Sequence[str], rule: Rule) -> list[Detection]:
    """Words in smoothed posteriors (n, words) at `times` (n,), by the rule at the head of this module."""
    detections: list[Detection] = []
    armed = np.ones(len(labels), bool)
    for time, confidence in zip(times, confidences, strict=True):
        armed |= confidence < rule.threshold
        best = int(confidence.argmax())
        rested = not detections or time - detections[-1].time >= rule.refractory - 1e-9  # times are multiples of STEP in binary
        if confidence[best] >= rule.threshold and armed[best] and rested:
            armed[best] = False
            detections.append(Detection(time, labels[best], float(confidence[best])))
    return detections
