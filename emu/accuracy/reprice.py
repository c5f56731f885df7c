"""Recordings x core and memory tables, against what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emu.accuracy.points import Point, PointSet
from emu.timing import core as cores
from emu.timing import memory as memories
from emu.timing import pricing, recording


@dataclass(frozen=True)
class Repriced:
    """One point with what is modelled: cycles."""

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
    """Every point of every set, priced anew. InputError for a recording that cannot be read."""
    done = []
    for group in sets:
        core = cores.load(group.core)
        for point in group.points:
            run = recording.load(point.recording)
            cycles = pricing.price(run.counts, run.instructions, core, memories.load(point.memory))
            done.append(Repriced(group, point, int(run.counts.instructions().sum()), int(cycles.sum())))
            advance(1)
    return done


def summary(rows: Sequence[Repriced]) -> Summary | None:
    """None where no point counts."""
    errors = np.array([row.error for row in rows if not row.point.apart])
    if not len(errors):
        return None
    return Summary(len(errors), float(np.abs(errors).mean()), float(errors[np.abs(errors).argmax()]), float(errors.mean()))
