"""Measures what figures.toml names: the keyword spotter layer by layer, and every shape of its sweep files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emu import kws
from emu.build import kernel_folder
from emu.errors import InputError
from emu.experiment import bounds
from emu.experiment.figures.goals import Goal, Measure, Published
from emu.experiment.sweep import plan, run, spec
from emu.experiment.sweep.shapes import NETWORK
from emu.profile import Row
from emu.timing import core as cores

SPOTTER, SPOTTER_TITLE = "kws", "The keyword spotter, layer by layer"


@dataclass(frozen=True)
class Line:
    """One layer, shape or network. facts: columns of a sweep's row. bound: the least cycles in which the core issues the MACs.

    baseline: the cycles of the baseline's kernels, None where there are none. problem: the first byte that is wrong.
    """

    name: str
    facts: Mapping[str, Any]
    bound: float
    baseline: int | None = None
    problem: str = ""

    @property
    def share(self) -> float | None:
        """Of the bound that was reached, 0 to 1; None without MACs."""
        return self.bound / self.facts["cycles"] if self.facts["macs"] else None

    @property
    def speedup(self) -> float | None:
        """Times as fast as the baseline."""
        return self.baseline / self.facts["cycles"] if self.baseline else None

    def figure(self, name: str) -> float | None:
        """One of goals.FIGURES."""
        if name == "of_baseline":
            return self.facts["cycles"] / self.baseline if self.baseline else None
        return self.facts[name]


@dataclass(frozen=True)
class Group:
    """Lines of one kernel set on one core: the keyword spotter's layers and their total (name: SPOTTER), or the shapes of a sweep file."""

    name: str
    kernels: str
    core: str
    lines: tuple[Line, ...]

    @property
    def problem(self) -> str:
        return next((f"{line.name}, {self.kernels} on {self.core}: {line.problem}" for line in self.lines if line.problem), "")


@dataclass(frozen=True)
class Reached:
    """A goal, and the lines that it is about."""

    goal: Goal
    lines: tuple[Line, ...]

    @property
    def figures(self) -> list[float]:
        return [figure for line in self.lines if (figure := line.figure(self.goal.figure)) is not None]

    def meeting(self, most: float | None) -> int:
        """How many lines need no more than that."""
        return sum(most is not None and figure <= most for figure in self.figures)


@dataclass(frozen=True)
class Figures:
    """groups: the keyword spotter's first, then by sweep file. roofs: core -> what its bound is of. compiler: the baseline's, its version.

    made_with: kernel set -> version and options of its compiler.
    """

    groups: tuple[Group, ...]
    reached: tuple[Reached, ...]
    roofs: Mapping[str, bounds.Rate]
    baseline: str
    compiler: str
    titles: Mapping[str, str]  # of groups
    made_with: Mapping[str, str]

    @property
    def problem(self) -> str:
        """The first output that is not bit-exact."""
        return next((group.problem for group in self.groups if group.problem), "")


def points(published: Published) -> int:
    """How many runs `figures` takes."""
    return sum(len(measure.kernels) + len(measure.spotter) + sum(len(planned.points) for planned in _plans(published, measure).values())
               for measure in published.measures)


def figures(published: Published, runner: run.Runner, advance: Callable[[int], None] = lambda number: None) -> Figures:
    """Raises what building and running does, for the first shape that fails; outputs that are wrong are in the lines."""
    found: list[Group] = []
    roofs = {measure.core: bounds.bounds(cores.load(measure.core), False).compute for measure in published.measures}
    for measure in published.measures:
        roof = roofs[measure.core]
        for kernels in (*measure.kernels, *measure.spotter):
            found.append(_spotter(kernels, measure.core, roof))
            advance(1)
        for shapes, planned in _plans(published, measure).items():
            found += _shapes(shapes, run.measured(planned, runner, advance), measure, roof)
    groups = _beside_baseline(found, published.baseline)
    return Figures(groups, tuple(_reached(goal, groups) for goal in published.goals), roofs, published.baseline,
                   kernel_folder.find(published.baseline).toolchain(None).version, {SPOTTER: SPOTTER_TITLE, **published.shapes},
                   {kernels: _made_with(kernels) for kernels in dict.fromkeys(group.kernels for group in groups)})


def _made_with(kernels: str) -> str:
    folder = kernel_folder.find(kernels)
    return f"{folder.toolchain(None).version}, {' '.join(('-O3', *folder.flags))}"


def _plans(published: Published, measure: Measure) -> dict[str, plan.Plan]:
    """Sweep file -> its shapes with these kernels."""
    return {name: plan.make(spec.with_kernels(spec.load(name), measure.kernels, measure.core)) for name in published.shapes}


def _spotter(kernels: str, core: str, roof: bounds.Rate) -> Group:
    judged = kws.judged(kws.Job(kernels=kernels, core=core))
    *layers, outside, total = zip((*judged.profile.layers, judged.profile.outside, judged.profile.totals), judged.code_bytes, strict=True)
    lines = [_layer(row, code, "layer", roof) for row, code in (*layers, outside)]
    whole = replace(_layer(*total, NETWORK, roof), problem=judged.difference)
    return Group(SPOTTER, kernels, core, (*lines, whole))


def _layer(row: Row, code: int, kind: str, roof: bounds.Rate) -> Line:
    facts = {name: getattr(row, name) for name in _MEASURED if name != "code_bytes"}
    return _line(row.name, {**facts, "code_bytes": code, "kind": kind}, roof)


_MEASURED = ("cycles", "macs", "cycles_per_mac", "instructions", "bytes_read", "bytes_written", "code_bytes", "weight_bytes", "stack_bytes", "bit_exact")


def _line(name: str, facts: Mapping[str, Any], roof: bounds.Rate) -> Line:
    return Line(name, facts, facts["macs"] * roof.cycles / roof.macs)


def _shapes(name: str, rows: Sequence[Mapping[str, Any]], measure: Measure, roof: bounds.Rate) -> Iterator[Group]:
    run.check(rows)
    for kernels in measure.kernels:
        yield Group(name, kernels, measure.core, tuple(
            replace(_line(row["shape"], row, roof), problem=row["error"] or "") for row in rows if row["kernels"] == kernels))


def _beside_baseline(groups: Sequence[Group], baseline: str) -> tuple[Group, ...]:
    """Each line with the cycles of the baseline's line of that name; the keyword spotter's groups first, then as they were."""
    known = {(group.name, group.core, line.name): line.facts["cycles"] for group in groups if group.kernels == baseline for line in group.lines}
    whole = [group if group.kernels == baseline else replace(group, lines=tuple(
        replace(line, baseline=_cycles(known, group, line.name)) for line in group.lines)) for group in groups]
    order = list(dict.fromkeys(group.name for group in whole))
    return tuple(sorted(whole, key=lambda group: order.index(group.name)))


def _cycles(known: Mapping[tuple[str, str, str], int], group: Group, line: str) -> int | None:
    """Of merged layers, a+b, those of both."""
    parts = [known.get((group.name, group.core, part)) for part in line.split("+")]
    return None if None in parts else sum(parts)


def _reached(goal: Goal, groups: Sequence[Group]) -> Reached:
    """InputError for a goal of no line: that it is met, or missed, would say nothing."""
    lines = tuple(line for group in groups if (group.kernels, group.core) == (goal.kernels, goal.core)
                  for line in group.lines if goal.where.fits(line.facts))
    if not lines:
        raise InputError(f"goal {goal.what!r}: its where fits no layer of {goal.kernels} on {goal.core}")
    return Reached(goal, lines)
