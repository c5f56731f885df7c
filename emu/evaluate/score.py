"""`Evaluation`: what was heard in every recording, and the figures that follow from it. The only thing that its reports read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emu.evaluate.recordings import Unknown
from emu.profile import Profile


class Clip(NamedTuple):
    """One recording. logits: of the device's last layer; bit_exact: every byte of every layer, None for float kernels.

    difference: the first byte that differs from the reference, in words; float_heard: by the float network in the same features.
    """

    file: str
    word: str
    speaker: str
    heard: str
    confidence: float
    logits: tuple[float, ...]
    bit_exact: bool | None
    float_heard: str
    difference: str | None

    @property
    def correct(self) -> bool:
        return self.heard == self.word


class Score(NamedTuple):
    """Clips that were judged, and of those how many the device got right, the float network got right, and both heard alike."""

    clips: int
    correct: int
    float_correct: int
    agreed: int

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Score:
        return cls(len(clips), sum(clip.correct for clip in clips), sum(clip.float_heard == clip.word for clip in clips),
                   sum(clip.float_heard == clip.heard for clip in clips))

    def share(self, number: int) -> float | None:
        """`number` of the clips, 0 to 1; None of no clips."""
        return number / self.clips if self.clips else None


class Unreadable(NamedTuple):
    """A file that is no usable recording."""

    file: str
    problem: str


@dataclass(frozen=True)
class Evaluation:
    """One pass over a folder.

    planned: recordings that were to be judged, of `available` in the folder; fewer clips are there when some were unreadable or
    it was interrupted. converted: clips that were padded, cut, resampled or mixed down. profile: all inferences together.
    seconds: of the pass, without building the image. max_abs_error: of float kernels' outputs against the reference.
    """

    folder: str
    labels: Sequence[str]
    trained: bool
    about: Mapping[str, object]
    core: str
    clips: Sequence[Clip]
    unreadable: Sequence[Unreadable]
    unknown: Sequence[Unknown]
    available: int
    planned: int
    converted: int
    interrupted: bool
    profile: Profile | None
    inferences: int
    seconds: float
    max_abs_error: float | None

    @cached_property
    def score(self) -> Score:
        return Score.of(self.clips)

    @cached_property
    def by_word(self) -> dict[str, Score]:
        """In the order of the labels."""
        return {word: Score.of([clip for clip in self.clips if clip.word == word]) for word in self.labels}

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (labels, labels): clips of the word of the row in which the word of the column was heard on the device."""
        number = {word: at for at, word in enumerate(self.labels)}
        table = np.zeros((len(self.labels), len(self.labels)), np.int64)
        for clip in self.clips:
            table[number[clip.word], number[clip.heard]] += 1
        return table

    @cached_property
    def wrong(self) -> list[Clip]:
        """Clips that are not bit-exact."""
        return [clip for clip in self.clips if clip.bit_exact is False]

    @property
    def bit_exact(self) -> int | None:
        """How many clips are; None for float kernels."""
        return None if self.max_abs_error is not None else sum(clip.bit_exact is True for clip in self.clips)

    @property
    def clips_a_second(self) -> float | None:
        return len(self.clips) / self.seconds if self.clips else None

    def an_inference(self, total: int) -> float | None:
        """The mean over inferences of a total of the profile."""
        return total / self.inferences if self.inferences else None
