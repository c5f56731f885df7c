"""Recordings x core and memory tables, against what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace

import numpy as np

from emu.accuracy.points import Point, PointSet
from emu.host import cores
from emu.timing import core as tables
from emu.timing import memory as memories
from emu.timing import pricing, recording

FEW = 16  # points that are not worth processes of their own


@dataclass(frozen=True)
class Repriced:
    """One point with what is modelled: instructions and cycles of one run, the mean where the recording holds several."""

    of: PointSet
    point: Point
    instructions: int
    modelled: int

    @property
    def error(self) -> float:
        """Signed, as a share of what was published."""
        return self.modelled / self.point.published - 1


@dataclass(frozen=True)
class Summary:
    """Of the points that count: how many there are, the mean of |error|, the worst (signed), and the mean of error."""

    points: int
    mean: float
    worst: float
    bias: float


def reprice(sets: Iterable[PointSet], advance: Callable[[int], None] = lambda number: None) -> list[Repriced]:
    """Every point of every set, priced anew, on as many cores as there are. InputError for a recording that cannot be read."""
    tasks = [(group, point) for group in sets for point in group.points]
    if len(tasks) < FEW or cores() == 1:
        return [_priced(task, advance) for task in tasks]
    with ProcessPoolExecutor(min(cores(), len(tasks))) as pool:
        futures = [pool.submit(_priced, task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                advance(1)
        finally:  # the first failure, or an interrupt: what has not begun need not
            pool.shutdown(wait=True, cancel_futures=True)
        return [future.result() for future in futures]


def _priced(task: tuple[PointSet, Point], advance: Callable[[int], None] = lambda number: None) -> Repriced:
    group, point = task
    run = recording.load(point.recording)
    core = replace(tables.load(group.core), known={})  # what is known of this program's instructions goes with it
    placed = memories.load(point.memory).placed(run.counts.memories, run.counts.followers)
    cycles = pricing.Prices(run.instructions, core, placed, run.counts.followers).price(run.counts)  # nothing is kept for another run
    advance(1)
    return Repriced(group, point, round(int(run.counts.instructions().sum()) / point.runs), round(int(cycles.sum()) / point.runs))


def summary(rows: Sequence[Repriced]) -> Summary | None:
    """None where no point counts."""
    errors = np.array([row.error for row in rows if not row.point.apart])
    if not len(errors):
        return None
    return Summary(len(errors), float(np.abs(errors).mean()), float(errors[np.abs(errors).argmax()]), float(errors.mean()))
