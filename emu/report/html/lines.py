"""A function's listing as the page shows it: instructions, where loops begin, what did not run, source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from emu.experiment.listing import FunctionListing, Listing, Loop, Row
from emu.report.sources import Sources

MOST_ROWS = 4000  # of all functions together; each takes some 300 bytes of the page
DEEPEST = 6  # loops that the margin shows
MOST_LOOPS = 5  # that links over a listing lead to
_SOURCE = 200  # characters of a line


class Place(NamedTuple):
    """A line of source. file: "" where it is the one of the line before; text: "" where it cannot be read."""

    file: str
    line: int
    text: str


class Instruction(NamedTuple):
    """One that ran. depth: of the loops around it; heat: its cycles, in percent of those of the function's dearest instruction.

    place: where another line begins.
    """

    row: Row
    depth: int
    heat: int
    place: Place | None

    @property
    def each(self) -> str:
        """Cycles of one execution, on average."""
        return f"{round(self.row.cycles / self.row.executed, 2):g}" if self.row.executed else ""


class Head(NamedTuple):
    """Where a loop begins."""

    loop: Loop
    depth: int


class Gap(NamedTuple):
    """Instructions that did not run."""

    count: int
    depth: int


Line = Instruction | Head | Gap


def shown(found: Listing) -> tuple[FunctionListing, ...]:
    """The dearest functions, as many as fit into the page; at least one."""
    rows = 0
    for place, function in enumerate(found.functions):
        rows += sum(map(_ran, function.rows))
        if rows > MOST_ROWS:
            return found.functions[:max(1, place)]
    return found.functions


def dearest_loops(function: FunctionListing) -> list[Loop]:
    """Those that hold no other, the dearest first."""
    innermost = [loop for loop in function.loops if not any(_within(other, loop) for other in function.loops)]
    return sorted(innermost, key=lambda loop: -loop.cycles)[:MOST_LOOPS]


def _within(inner: Loop, outer: Loop) -> bool:
    return inner.depth > outer.depth and any(first <= inner.start <= last for first, last in outer.parts)


def lines(function: FunctionListing, sources: Sources | None) -> Iterator[Line]:
    """By address. sources: None leaves lines of source out."""
    skipped, last = 0, None
    dearest = max((row.cycles for row in function.rows), default=0) or 1
    for row in function.rows:
        if not _ran(row):
            skipped += 1
            continue
        inside = _around(function.loops, row.address)
        if skipped:
            yield Gap(skipped, len(inside))
            skipped = 0
        for loop in inside:
            if loop.start == row.address:
                yield Head(loop, loop.depth + 1)
        here = row.file, row.line
        yield Instruction(row, len(inside), round(100 * row.cycles / dearest), _place(here, last, sources))
        last = here
    if skipped:
        yield Gap(skipped, 0)


def _ran(row: Row) -> bool:
    """An exception's entry costs at its handler's first instruction, whether or not that runs."""
    return bool(row.executed or row.cycles)


def _around(loops: Sequence[Loop], address: int) -> list[Loop]:
    """The loops that the instruction lies in, the outermost first."""
    inside = (loop for loop in loops if any(first <= address <= last for first, last in loop.parts))
    return sorted(inside, key=lambda loop: loop.depth)[:DEEPEST]


def _place(here: tuple[str | None, int | None], last: tuple[str | None, int | None] | None, sources: Sources | None) -> Place | None:
    """None where it is the line of the instruction before."""
    file, line = here
    if sources is None or file is None or line is None or here == last:
        return None
    name = "" if last and last[0] == file else Path(file).name
    return Place(name, line, (sources.text(file, line) or "")[:_SOURCE])
