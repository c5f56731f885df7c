"""Parts of emu.evaluate and emu.stream alone: which recordings are chosen, what threads hand back, and the rule that detects words."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from emu.check.equivalence import check_batch
from emu.engines import spread
from emu.errors import InputError
from emu.evaluate.recordings import find
from emu.stream.detect import Rule, detect, levels, smoothed, windows

WORDS = ("yes", "no", "go")


@pytest.mark.parametrize(("limit", "shares"), [(None, (5, 1, 3)), (1, (1, 0, 0)), (3, (1, 1, 1)), (5, (2, 1, 2)), (8, (4, 1, 3)), (99, (5, 1, 3))])
def test_a_limit_is_shared_by_the_words(tmp_path: Path, limit: int | None, shares: tuple[int, ...]) -> None:
    for word, number in zip(WORDS, (5, 1, 3), strict=True):
        (tmp_path / word).mkdir()
        for at in range(number):
            (tmp_path / word / f"s{at}_nohash_0.wav").touch()
    (tmp_path / "yes" / ".hidden.wav").touch()
    (tmp_path / "yes" / "notes.txt").touch()
    found = find(tmp_path, WORDS, (".wav",), limit)
    assert tuple(sum(recording.word == word for recording in found.recordings) for word in WORDS) == shares
    assert len(set(found.recordings)) == len(found.recordings) and found.available == 9
    assert found.recordings[0].speaker == "s0"


def test_threads_hand_back_in_order_and_the_first_failure_is_raised() -> None:
    assert spread(range(50), lambda task, stop: task * task, 4) == ([task * task for task in range(50)], False)
    stopped = []

    def work(task: int, stop: threading.Event) -> None:
        if task == 0:
            raise InputError("first")
        stop.wait(10)
        stopped.append(stop.is_set())

    with pytest.raises(InputError, match="first"):
        spread(range(3), work, 3)
    assert stopped == [True, True]


def test_a_batch_is_checked_input_by_input() -> None:
    a, b = np.zeros((3, 2, 2), np.int8), np.zeros((3, 4), np.int8)
    wrong_a, wrong_b = a.copy(), b.copy()
    wrong_a[1, 1, 0] = 5
    wrong_b[1:, 2] = 7
    verdict = check_batch(["first", "second"], [wrong_a, wrong_b], [a, b])
    assert verdict.differences[0] is None and verdict.max_abs_error is None
    assert (verdict.differences[1].layer, verdict.differences[1].at, verdict.differences[1].got) == ("first", (1, 0), 5)
    assert (verdict.differences[2].layer, verdict.differences[2].at, verdict.differences[2].expected) == ("second", (2,), 0)
    floats = check_batch(["only"], [np.ones((2, 3), np.float32)], [np.full((2, 3), 1.5, np.float32)])
    assert floats.differences == (None, None) and floats.max_abs_error == 0.5


def test_windows_and_levels() -> None:
    samples = np.arange(35.0)
    assert windows(samples, 16, 8).tolist() == [samples[at:at + 16].tolist() for at in (0, 8, 16)]
    assert levels(np.array([[0.0, 0.0], [1.0, -1.0], [0.1, 0.1]])).tolist() == pytest.approx([-120, 0, -20])


def test_the_rule() -> None:
    rule = Rule(threshold=0.5, smooth=2, refractory=0.3, quiet=-50)
    posteriors = np.array([[1.0, 0], [1, 0], [0, 0.8], [0, 1]])
    assert smoothed(posteriors, np.array([-60.0, -20, -20, -50]), rule).tolist() == pytest.approx(np.array([[0, 0], [0.5, 0], [0.5, 0.4], [0, 0.9]]))
    times = [round(0.1 * at, 3) for at in range(9)]
    held = np.array([[0.6, 0]] * 9)
    assert [d.time for d in detect(held, times, WORDS[:2], rule)] == [0]  # one word held for long is one detection
    again = held.copy()
    again[2] = 0
    assert [d.time for d in detect(again, times, WORDS[:2], rule)] == [0, 0.3]  # it fell, and 0.3 s had passed
    other = np.array([[0.6, 0]] * 2 + [[0.5, 0.7]] * 7)
    assert [(d.time, d.word) for d in detect(other, times, WORDS[:2], rule)] == [(0, "yes"), (0.3, "no")]  # not before the refractory time
    assert detect(np.full((9, 2), 0.49), times, WORDS[:2], rule) == []
