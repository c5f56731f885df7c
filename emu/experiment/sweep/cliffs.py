"""Shapes that cost much more a MAC than their neighbours.

Two shapes are neighbours when they differ in one size alone, input, input channels, output channels or kernel, by not more than twice in
each direction, and no other of the results lies between them. Channels that are always equal are one size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
RATIO = 1.5
_AXES = {"input": ("in_h", "in_w"), "in_c": ("in_c",), "out_c": ("out_c",), "kernel": ("kernel_h", "kernel_w")}
_CHANNELS = ("in_c", "out_c")
# What two neighbours have in common besides the other sizes.
_SAME = ("seed", "activation", "per_channel", "stride_h", "stride_w", "padding", "kernels", "opt", "flags", "cc", "mcpu", "core", "memory")


@dataclass(frozen=True)
class Cliff:
    """`row` costs `ratio` times as much a MAC as `neighbour`, which differs in `axis`; up: the neighbour is the smaller one."""

    row: Row
    neighbour: Row
    axis: str
    ratio: float
    up: bool

    @property
    def steep(self) -> bool:
        """No fixed cost of a call explains it: the neighbour is smaller, or larger and yet costs no more cycles."""
        return self.up or self.row["cycles"] >= self.neighbour["cycles"]


def find(rows: Sequence[Row], ratio: float = RATIO) -> list[Cliff]:
    """All pairs of neighbours whose cycles a MAC differ by more than that: those that no fixed cost explains first, the largest first."""
    return sorted((cliff for cliff in _compared(rows) if cliff.ratio > ratio), key=lambda cliff: (not cliff.steep, -cliff.ratio))


def pairs(rows: Sequence[Row]) -> int:
    """How many pairs of neighbours there are."""
    return sum(1 for _ in _compared(rows))


def _compared(rows: Sequence[Row]) -> Iterator[Cliff]:
    """All pairs of neighbours, whatever their ratio."""
    usable = [row for row in rows if row["cycles_per_mac"] and row["status"] == "ok"]
    for kind in dict.fromkeys(row["kind"] for row in usable):
        of_kind = [row for row in usable if row["kind"] == kind]
        axes = _axes(of_kind)
        for axis in axes:
            yield from (_cliff(*pair, axis) for pair in _neighbours(of_kind, axes, axis))


def _axes(rows: Sequence[Row]) -> Mapping[str, Sequence[str]]:
    """Size -> its columns."""
    if all(row["in_c"] == row["out_c"] for row in rows):
        return {"input": _AXES["input"], "channels": _CHANNELS, "kernel": _AXES["kernel"]}
    return _AXES


def _neighbours(rows: Sequence[Row], axes: Mapping[str, Sequence[str]], axis: str) -> Iterator[tuple[Row, Row]]:
    """(smaller, larger) along that size."""
    own = axes[axis]
    others = [column for name in axes if name != axis for column in axes[name]]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in (*_SAME, *others)), []).append(row)
    for group in groups.values():
        for pair in itertools.pairwise(sorted(group, key=lambda row: _size(row, own))):
            if all(_near(*(row[column] or 1 for row in pair)) for column in own):
                yield pair


def _near(a: int, b: int) -> bool:
    return max(a, b) <= 2 * min(a, b)


def _size(row: Row, columns: Sequence[str]) -> tuple[int, ...]:
    """By which shapes are ordered: the product, then each."""
    values = [row[column] or 0 for column in columns]
    return math.prod(values), *values


def _cliff(smaller: Row, larger: Row, axis: str) -> Cliff:
    up = larger["cycles_per_mac"] > smaller["cycles_per_mac"]
    row, neighbour = (larger, smaller) if up else (smaller, larger)
    return Cliff(row, neighbour, axis, row["cycles_per_mac"] / neighbour["cycles_per_mac"], up)
