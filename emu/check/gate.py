"""The gate: what a run cost against its budget.

Counts are exact, so there is no tolerance. What gcc made of C belongs to a compiler's version: beside another one it is shown, and does
not fail. Assembly counts the same whatever compiled the rest; only its cycles move with its place in memory, and its place with the size
of the C before it, on cores and memories that fetch by lines.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from emu.check.budgets import FIGURES, Budget, Budgets, Figures
from emu.names import near
from emu.profile import Profile
from emu.timing import memory as memories
from emu.timing.core import Core

OUTSIDE = "outside"  # the code between layers, which is C in every kernel set
GREW, NEW, GONE, IMPROVED, ELSEWHERE, SAME = "grew", "new", "gone", "improved", "not comparable", "same"
FAILS = (GREW, NEW, GONE)


@dataclass(frozen=True)
class Change:
    """One figure that is not what the budget says."""

    figure: str
    budget: int
    measured: int

    def __str__(self) -> str:
        percent = f", {(self.measured - self.budget) / self.budget:+.2%}" if self.budget else ""
        return f"{self.figure.replace('_', ' ')} {self.budget:,} -> {self.measured:,} ({self.measured - self.budget:+,}{percent})"


@dataclass(frozen=True)
class Layer:
    """One layer against its budget. compared: figures of which another compiler than the budget's takes nothing away."""

    name: str
    budget: Figures | None
    measured: Figures | None
    compared: tuple[str, ...] = FIGURES
    hint: str = ""

    @property
    def changes(self) -> tuple[Change, ...]:
        if self.budget is None or self.measured is None:
            return ()
        pairs = ((figure, getattr(self.budget, figure), getattr(self.measured, figure)) for figure in FIGURES)
        return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])

    @property
    def grown(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.figure in self.compared and change.measured > change.budget)

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return GONE
        if self.budget is None:
            return NEW
        if self.grown:
            return GREW
        if any(change.figure in self.compared for change in self.changes):
            return IMPROVED
        return ELSEWHERE if len(self.compared) < len(FIGURES) else SAME

    def __str__(self) -> str:
        if self.verdict == GONE:
            return f"{self.name}: nothing of that name was run{self.hint}; --update takes it out"
        if self.verdict == NEW:
            return f"{self.name}: no figures; {'--update' if self.compared == FIGURES else '--accept'} writes them down"
        shown = self.grown or [change for change in self.changes if self.verdict == ELSEWHERE or change.figure in self.compared]
        return f"{self.name}: {'; '.join(map(str, shown)) or 'as before'}"


@dataclass(frozen=True)
class Checked:
    """One run. wrong: the first byte that differs from the reference's; failure: why nothing could be measured; "" when all is well."""

    budget: Budget
    layers: tuple[Layer, ...] = ()
    compiler: str = ""
    wrong: str = ""
    failure: str = ""
    floating: bool = False  # outputs are compared within rounding, not bit for bit

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """(layer or "", what fails the gate), one a finding."""
        whole = [("", text) for text in (self.failure, self.wrong) if text]
        return (*whole, *((layer.name, f"{layer.name} grew: {str(layer).partition(': ')[2]}" if layer.verdict == GREW else str(layer))
                          for layer in self.layers if layer.verdict in FAILS))

    @property
    def verdict(self) -> str:
        """The worst that is to say of the run, in words."""
        if self.failure:
            return "failed"
        if self.wrong:
            return "not bit-exact"
        return next(verdict for verdict in (*FAILS, IMPROVED, ELSEWHERE, SAME) if verdict == SAME or self.of(verdict))

    def of(self, verdict: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.verdict == verdict)

    def total(self, figure: str) -> tuple[int, int]:
        """(budget, measured), all layers together."""
        return tuple(sum(getattr(figures, figure) for figures in side if figures) for side in (
            [layer.budget for layer in self.layers], [layer.measured for layer in self.layers]))


@dataclass(frozen=True)
class Measured:
    """What a run cost, by layer or shape. compiled: names of those that hold C; wrong: the first difference in outputs, or ""."""

    figures: Mapping[str, Figures]
    compiled: Collection[str]
    compiler: str
    wrong: str
    floating: bool = False


def of_network(profile: Profile, code_bytes: Sequence[int], wrong: str) -> Measured:
    """A network's run. code_bytes: of every layer, and of the code between them."""
    rows, about = (*profile.layers, profile.outside), profile.about
    return Measured({row.name: Figures.of(row, size) for row, size in zip(rows, code_bytes, strict=False)},
                    [row.name for row in rows if row.name == OUTSIDE or row.kernel in about["kernel_set"]["compiled"]],
                    about["toolchain"]["version"], wrong, profile.totals.bit_exact is None)


def check(budget: Budget, measured: Measured, core: Core) -> Checked:
    """A run against its budget."""
    known: Mapping[str, Figures] = budget.layers or {}
    elsewhere = budget.layers is not None and budget.compiler != measured.compiler
    steady = tuple(figure for figure in FIGURES if figure != "cycles" or not placed(core, budget.memory))
    layers = [Layer(name, known.get(name), figures, _compared(steady, elsewhere, name in measured.compiled)) for name, figures in measured.figures.items()]
    layers += [Layer(name, figures, None, hint=near(name, measured.figures)) for name, figures in known.items() if name not in measured.figures]
    return Checked(budget, tuple(layers), measured.compiler, measured.wrong, floating=measured.floating)


def _compared(steady: tuple[str, ...], elsewhere: bool, compiled: bool) -> tuple[str, ...]:
    if not elsewhere:
        return FIGURES
    return () if compiled else steady


def placed(core: Core, memory: str) -> bool:
    """Whether an instruction's cycles depend on where in memory its function lies, beyond the word that all functions are aligned to."""
    return "dual_issue" in core.sections or memory != memories.DEFAULT


def updated(budgets: Budgets, checked: Sequence[Checked], accept: bool) -> Budgets:
    """With what was measured written down: improvements, layers that are new, none that are gone; with `accept` also what grew, and
    what another compiler made. Of a run that failed or is not bit-exact nothing is."""
    return budgets.with_runs([_updated(one, accept) for one in checked])


def settled(checked: Sequence[Checked], budgets: Budgets) -> list[Checked]:
    """The same measurements against the budgets as `updated` left them."""
    found = []
    for one, budget in zip(checked, budgets.runs, strict=True):
        known = budget.layers or {}
        own = budget.compiler == one.compiler
        layers = [replace(layer, budget=known.get(layer.name), compared=FIGURES if own else layer.compared)
                  for layer in one.layers if layer.measured or layer.name in known]
        found.append(replace(one, budget=budget, layers=tuple(layers)))
    return found


def written(checked: Sequence[Checked], settled: Sequence[Checked]) -> list[str]:
    """A line for everything that an update changed in the file."""
    lines = []
    for before, after in zip(checked, settled, strict=True):
        if before.budget.layers is None:
            lines += [f"{after.budget.name}: first figures"] * (after.budget.layers is not None)
            continue
        if before.budget.compiler != after.budget.compiler:
            lines.append(f"{after.budget.name}: compiler {before.budget.compiler} -> {after.budget.compiler}")
        now = after.budget.layers or {}
        for name in dict.fromkeys((*before.budget.layers, *now)):
            change = Layer(name, before.budget.layers.get(name), now.get(name))
            if change.verdict == NEW:
                lines.append(f"{after.budget.name}: {name}: first figures")
            elif change.verdict == GONE:
                lines.append(f"{after.budget.name}: {name}: taken out")
            elif change.changes:
                lines.append(f"{after.budget.name}: {name}: {'; '.join(map(str, change.changes))}")
    return lines


def _updated(one: Checked, accept: bool) -> Budget:
    if one.failure or one.wrong:
        return one.budget
    if accept or one.budget.layers is None:
        return replace(one.budget, compiler=one.compiler, layers={layer.name: layer.measured for layer in one.layers if layer.measured})
    layers = {layer.name: _bettered(layer) for layer in one.layers if layer.measured}
    return replace(one.budget, layers={name: figures for name, figures in layers.items() if figures} or None)


def _bettered(layer: Layer) -> Figures | None:
    """The budget of a layer after an update that accepts nothing that grew, and nothing that is another compiler's."""
    if layer.verdict == IMPROVED:
        return replace(layer.budget, **{figure: getattr(layer.measured, figure) for figure in layer.compared})
    return layer.measured if layer.verdict == NEW and layer.compared == FIGURES else layer.budget
