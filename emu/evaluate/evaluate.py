"""The pass over a folder: batches of recordings go to threads, each reads, extracts features, runs, checks, and keeps a line a clip."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emu import kws
from emu.engines import spread
from emu.errors import InputError
from emu.evaluate import recordings
from emu.evaluate.recordings import Recording
from emu.evaluate.score import Clip, Evaluation, Unreadable

BATCH = 16  # recordings that a thread reads, runs and checks at a time, and all that it keeps features and outputs of


class _Part(NamedTuple):
    """What one batch came to."""

    clips: list[Clip]
    unreadable: list[Unreadable]
    converted: int
    max_abs_error: float | None


def evaluate(folder: Path, job: kws.Job, *, limit: int | None, threads: int,
             progress: Callable[[int], Callable[[int], None]] = lambda total: lambda done: None) -> Evaluation:
    """Every recording of `folder`, or `limit` of them, through one image. Ctrl-C ends it early, with what was done.

    progress: given the number of recordings, returns what is told how many more are done. Raises InputError when there is none
    that can be read, TargetFault when a recording makes the program fault, and what kws.Listener raises.
    """
    listener = kws.Listener(job)
    found = recordings.find(folder, listener.labels, kws.SOUND_SUFFIXES, limit)
    batches = [found.recordings[at:at + BATCH] for at in range(0, len(found.recordings), BATCH)]
    advance = progress(len(found.recordings))
    start = time.perf_counter()
    parts, interrupted = spread(batches, lambda batch, stop: _judge(listener, batch, stop, advance), threads)
    seconds = time.perf_counter() - start
    clips = [clip for part in parts for clip in part.clips]
    unreadable = [file for part in parts for file in part.unreadable]
    if not clips and unreadable and not interrupted:
        raise InputError(f"{folder}: none of {len(unreadable)} recordings can be read; {unreadable[0].problem}")
    errors = [part.max_abs_error for part in parts if part.max_abs_error is not None]
    return Evaluation(
        folder=str(folder), labels=listener.labels, trained=listener.trained, about=listener.about, core=job.core, clips=clips,
        unreadable=unreadable, unknown=found.unknown, available=found.available, planned=len(found.recordings),
        converted=sum(part.converted for part in parts), interrupted=interrupted, profile=listener.profile(),
        inferences=listener.inferences, seconds=seconds, max_abs_error=max(errors) if errors else None)


def _judge(listener: kws.Listener, batch: tuple[Recording, ...], stop: threading.Event, advance: Callable[[int], None]) -> _Part:
    """In a thread: what is heard in the recordings of a batch, as far as it got before `stop` was set."""
    read: list[tuple[Recording, kws.Input]] = []
    unreadable = []
    for recording in batch:
        if stop.is_set():
            break
        try:
            read.append((recording, kws.read(str(recording.path))))
        except InputError as error:
            unreadable.append(Unreadable(recording.name, str(error)))
    clips, worst = _hear(listener, read) if read else ([], None)
    advance(len(read) + len(unreadable))
    return _Part(clips, unreadable, sum(bool(entry.remarks) for _, entry in read), worst)


def _hear(listener: kws.Listener, read: list[tuple[Recording, kws.Input]]) -> tuple[list[Clip], float | None]:
    heard = listener.hear(np.stack([entry.features for _, entry in read]), [recording.name for recording, _ in read])
    clips = []
    for at, (recording, _) in enumerate(read):
        winner, difference = int(heard.winners[at]), heard.verdict.differences[at]
        clips.append(Clip(
            file=recording.name, word=recording.word, speaker=recording.speaker, heard=listener.labels[winner],
            confidence=float(heard.probabilities[at, winner]), logits=tuple(heard.logits[at].tolist()),
            bit_exact=difference is None if heard.verdict.max_abs_error is None else None,
            float_heard=listener.labels[int(heard.float_winners[at])], difference=str(difference) if difference else None))
    return clips, heard.verdict.max_abs_error
