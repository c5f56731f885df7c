"""The keyword spotter in several ways, side by side.

Every side is built, run once, checked and priced; the first is what the others are held against.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emu import functions, kws, measure
from emu.build import kernel_folder, revision
from emu.build.revision import Revision
from emu.check import equivalence
from emu.errors import ThumbcycleError
from emu.experiment.sides import Side
from emu.functions import Numbering
from emu.functions.code_size import code_bytes
from emu.measure import Inference
from emu.profile import Profile, Row
from emu.timing import pricing

FIGURES = ("instructions", "cycles", "bytes_read", "bytes_written", "stack_bytes", "code_bytes")
_ADDRESS = re.compile(r"@0x[0-9a-f]{8}$")  # what tells functions of one name apart; it changes from image to image


@dataclass(frozen=True)
class Measured:
    """One side's run. commit: of its revision. difference: the first byte that is not the reference's, in words.

    code: bytes of the functions that ran, by row: layers, outside, total (each function once).
    functions: their own cycles by name, by row: layers, outside; functions of one name are added up.
    """

    side: Side
    commit: str | None
    profile: Profile
    difference: str | None
    code: tuple[int, ...]
    functions: tuple[Mapping[str, int], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Layers, outside, total."""
        return *self.profile.layers, self.profile.outside, self.profile.totals


@dataclass(frozen=True)
class Cell:
    """One row of one side. figures: by FIGURES, bytes or cycles or instructions."""

    row: Row
    figures: tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """One layer, the code between them, or the total: a cell a side."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FunctionLine:
    """Own cycles of one function in one layer, a figure a side; 0 where it did not run."""

    layer: str
    function: str
    cycles: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The largest difference against the first side, in cycles."""
        return max(abs(cycles - self.cycles[0]) for cycles in self.cycles[1:])


@dataclass(frozen=True)
class Comparison:
    """lines: layers by their place with the first side's names, outside, total. functions: that differ, the largest difference first."""

    input: str
    sides: tuple[Measured, ...]
    lines: tuple[Line, ...]
    functions: tuple[FunctionLine, ...]

    @property
    def difference(self) -> str | None:
        """Of the first side that is not bit-exact."""
        return next((f"{one.side.text}: {one.difference}" for one in self.sides if one.difference), None)


def percent(value: int, of: int) -> float | None:
    """The difference of value against `of`, in percent of that; None where that is 0 and value is not."""
    if value == of:
        return 0.0
    return 100 * (value - of) / of if of else None


def compare(sides: Sequence[Side], entry: kws.Input, status: Callable[[str], None] = lambda text: None) -> Comparison:
    """Build, run and price every side on one input. Raises what kws does, with the side's text before it.

    status: is told what is going on.
    """
    measured = []
    for number, side in enumerate(sides, 1):
        status(f"building and running {side.text} ({number} of {len(sides)})")
        with _named(side):
            measured.append(_measure(side, entry))
    lines = tuple(
        Line(rows[0].name, tuple(Cell(row, (*(getattr(row, name) for name in FIGURES[:-1]), one.code[place]))
                                 for row, one in zip(rows, measured, strict=True)))
        for place, rows in enumerate(zip(*(one.rows for one in measured), strict=True)))
    return Comparison(entry.name, tuple(measured), lines, _functions(measured))


@contextmanager
def _named(side: Side) -> Iterator[None]:
    try:
        yield
    except ThumbcycleError as error:
        raise type(error)(f"{side.text}: {error}") from None


def _functions(measured: Sequence[Measured]) -> tuple[FunctionLine, ...]:
    found = []
    for row, by_side in zip(measured[0].rows, zip(*(one.functions for one in measured), strict=True), strict=False):  # all but the total
        for name in sorted(set().union(*by_side)):
            found.append(FunctionLine(row.name, name, tuple(own.get(name, 0) for own in by_side)))
    return tuple(sorted((line for line in found if line.largest), key=lambda line: -line.largest))


def _measure(side: Side, entry: kws.Input) -> Measured:
    """One run, from which both the layers and the functions come."""
    made, kernels, root = _sources(side)
    job = kws.Job(kernels=kernels, core=side.core, memory=side.memory, opt=side.opt, cc=side.cc, extra_flags=side.flags, source_root=root)
    ready = kws.prepared(job, kws.load(job), job.kernels)
    x, numbering = ready.network.input_array(entry.features), Numbering(ready.image)
    about = {**ready.about, "input": entry.name}
    run = measure.infer(ready.image, ready.program, x, ready.core, about, limit=job.limit, memory=ready.memory, marks=numbering.marks())
    profile, difference = equivalence.check(run.profile, run.outputs, ready.reference(x))
    return Measured(side, made.commit if made else None, profile, str(difference) if difference else None,
                    code_bytes(run.counts, run.instructions, ready.image, numbering), _own_cycles(run, ready, numbering))


def _sources(side: Side) -> tuple[Revision | None, str, Path | None]:
    """The revision that a side names, its kernel set, and the folder that holds armsrc/ (None: this repository)."""
    if not side.revision:
        return None, side.kernels, None
    if side.kernels not in kernel_folder.names() and Path(side.kernels).is_dir():
        made = revision.folder(side.revision, Path(side.kernels))
        return made, str(made.root), None
    made = revision.sources(side.revision)
    return made, side.kernels, made.root


def _by_row(layers: int) -> Sequence[int]:
    """Numbers of the layers in the order of rows: the code between them, which the probe counts as 0, comes last."""
    return *range(1, layers + 1), 0


def _own_cycles(run: Inference, ready: kws.Prepared, numbering: Numbering) -> tuple[Mapping[str, int], ...]:
    counts, found = run.counts, []
    prices = pricing.prices(counts, run.instructions, ready.core, ready.memory)
    for layer in _by_row(counts.layers):
        own: Counter[str] = Counter()
        for function in functions.profile(counts.of_layer(layer), ready.image, run.instructions, numbering, prices, ready.core.name, lines=False).functions:
            own[_ADDRESS.sub("", function.name)] += function.own.cycles
        found.append(+own)  # what ran
    return tuple(found)
