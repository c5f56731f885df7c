"""A whole recording through the machine code: windows go to threads in batches, as recordings do in emu.evaluate."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from emu import kws
from emu.engines import spread
from emu.errors import InputError
from emu.host import cores
from emu.stream import detect
from emu.stream.detect import Rule
from emu.stream.timeline import Decision, Timeline

BATCH = 16  # decisions that a thread takes at a time


def listen(job: kws.Job, rule: Rule, *, threads: int | None = None,
           progress: Callable[[int], Callable[[int], None]] = lambda total: lambda done: None) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline of the job's one input, and remarks on it (conversions).

    The front end is that of single clips, once a window, on the host. progress: given the number of decisions, returns what is
    told how many more are done. InputError for a recording shorter than a second; else what kws.Listener and Engines raise.
    """
    name = job.inputs[0]
    samples, remarks = kws.read_recording(name)
    if len(samples) < kws.WINDOW:
        raise InputError(f"{name}: lasts {len(samples) / kws.RATE:.2f} s; --stream wants a second or more")
    listener = kws.Listener(job)
    seconds = detect.windows(samples, kws.WINDOW, round(detect.STEP * kws.RATE))
    times = [round(kws.WINDOW / kws.RATE + detect.STEP * at, 3) for at in range(len(seconds))]
    advance = progress(len(seconds))

    def hear(start: int, stop: threading.Event) -> kws.HeardBatch | None:
        if stop.is_set():
            return None
        part = seconds[start:start + BATCH]
        batch = np.stack([kws.extract(second) for second in part])
        heard = listener.hear(batch, [f"{name} at {time:.1f} s" for time in times[start:start + BATCH]])
        advance(len(part))
        return heard

    parts, interrupted = spread(range(0, len(seconds), BATCH), hear, threads or cores())
    if interrupted:
        raise KeyboardInterrupt
    return _timeline(job, rule, listener, parts, seconds, times, len(samples) / kws.RATE), remarks


def _timeline(job: kws.Job, rule: Rule, listener: kws.Listener, parts: list[kws.HeardBatch], seconds: np.ndarray, times: list[float],
              duration: float) -> Timeline:
    posteriors = np.concatenate([part.probabilities for part in parts])
    winners = [listener.labels[winner] for part in parts for winner in part.winners]
    differences = [difference for part in parts for difference in part.verdict.differences]
    errors = [part.verdict.max_abs_error for part in parts if part.verdict.max_abs_error is not None]
    levels = detect.levels(seconds)
    smoothed = detect.smoothed(posteriors, levels, rule)
    decisions = [
        Decision(time, heard, tuple(own), tuple(mean), level, level < rule.quiet, None if errors else difference is None,
                 str(difference) if difference else None)
        for time, heard, own, mean, level, difference in zip(
            times, winners, posteriors.tolist(), smoothed.tolist(), levels.tolist(), differences, strict=True)]
    return Timeline(
        name=job.inputs[0], duration=duration, labels=listener.labels, trained=listener.trained, about=listener.about, rule=rule, decisions=decisions,
        detections=detect.detect(smoothed, times, listener.labels, rule), profile=listener.profile(),
        max_abs_error=max(errors) if errors else None, mhz=job.mhz)
