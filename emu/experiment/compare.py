"""The keyword spotter in several ways, side by side.

Every side is built, run once, checked and priced; the first is what the others are held against.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

from emu import functions, kws, measure
from emu.build import kernel_folder, revision
from emu.build.revision import Revision
from emu.check import equivalence
from emu.errors import ThumbcycleError
from emu.experiment.sides import Side
from emu.functions import Numbering
from emu.functions.code_size import code_sizes, union
from emu.measure import Inference
from emu.profile import Profile, Row, merged
from emu.timing import pricing

FIGURES = ("instructions", "cycles", "bytes_read", "bytes_written", "stack_bytes", "code_bytes")
_ADDRESS = re.compile(r"@0x[0-9a-f]{8}$")  # what tells functions of one name apart; it changes from image to image


@dataclass(frozen=True)
class Measured:
    """One side's run. commit: of its revision. difference: the first byte that is not the reference's, in words.

    covers: by layer of the profile, how many of the network's layers it is.
    code: bytes by number of the functions that ran, by row: layers, outside.
    functions: own cycles by name, by row: layers, outside; functions of one name are added up.
    """

    side: Side
    commit: str | None
    profile: Profile
    difference: str | None
    covers: tuple[int, ...]
    code: tuple[Mapping[int, int], ...]
    functions: tuple[Mapping[str, int], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Layers, outside, total."""
        return *self.profile.layers, self.profile.outside, self.profile.totals

    @property
    def cells(self) -> tuple[Cell, ...]:
        """By row."""
        sizes = [sum(sizes.values()) for sizes in (*self.code, union(self.code))]
        return tuple(Cell(row, (*(getattr(row, name) for name in FIGURES[:-1]), size)) for row, size in zip(self.rows, sizes, strict=True))

    def merged(self, ends: Collection[int]) -> Measured:
        """With one row for all layers between two of these ends, which are numbers of the network's layers."""
        cuts = [0, *(position for position, end in enumerate(accumulate(self.covers), 1) if end in ends)]
        parts = [slice(*pair) for pair in pairwise(cuts)]
        if len(parts) == len(self.covers):
            return self
        layers = tuple(_together(self.profile.layers[part]) for part in parts)
        return replace(self, profile=replace(self.profile, layers=layers), covers=tuple(sum(self.covers[part]) for part in parts),
                       code=(*(union(self.code[part]) for part in parts), self.code[-1]),
                       functions=(*(sum(map(Counter, self.functions[part]), Counter()) for part in parts), self.functions[-1]))


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
    return side_by_side(entry.name, measured)


def side_by_side(name: str, measured: Sequence[Measured]) -> Comparison:
    """Where one side's kernel takes several layers in one call, all sides' rows are of these together. name: of the input."""
    ends = set.intersection(*(set(accumulate(one.covers)) for one in measured))
    sides = tuple(one.merged(ends) for one in measured)
    lines = tuple(Line(cells[0].row.name, cells) for cells in zip(*(one.cells for one in sides), strict=True))
    return Comparison(name, sides, lines, _functions(sides))


def _together(rows: Sequence[Row]) -> Row:
    """One row of several; its stack is the most of theirs."""
    if len(rows) == 1:
        return rows[0]
    return merged("+".join(row.name for row in rows), "+".join(row.kernel for row in rows), rows, max(row.stack_bytes for row in rows))


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
                    tuple(layer.covers for layer in ready.program.layers),
                    code_sizes(run.counts, run.instructions, ready.image, numbering), _own_cycles(run, ready, numbering))


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
