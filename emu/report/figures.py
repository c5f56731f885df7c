"""Published figures of kernel sets: tables for a terminal, JSON, and the document docs/kernel-figures.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath

from rich.table import Table
from rich.text import Text

from emu.experiment.figures.goals import Goal
from emu.experiment.figures.measure import Figures, Group, Line, Reached
from emu.experiment.sweep.shapes import NETWORK
from emu.report import markdown

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
COMMAND = "python -m emu.experiment figures --markdown docs/kernel-figures.md"
_GOALS = "What the kernels are to reach"
AIM, WANTED, MISSED = "aim", "wanted", "missed"
_HEADS = ("MACs", "cycles", "a MAC", "of bound", "instructions", "bytes read", "written", "code", "weights", "stack", "bit-exact")
_LOOKS = {AIM: "bold green", WANTED: "green", MISSED: "red", "": ""}


@dataclass(frozen=True)
class Shown:
    """Figures as forms draw them."""

    found: Figures

    def parts(self) -> list[Table | Text | str]:
        """A table a group, without the baseline's, which stands in a column of the others; the goals last, where a person looks first."""
        groups = [group for group in self.found.groups if group.kernels != self.found.baseline] or self.found.groups
        tables = [part for group in groups for part in (Text(f"{self._title(group)}: {_of(group)}", "italic"), self._table(group))]
        goals = [Text(_GOALS, "italic"), _goals(self.found.reached)] if self.found.reached else []
        return [*tables, *goals, *self._notes(), *self._compilers()]

    def document(self) -> dict[str, object]:
        """schema, compiler, baseline, made_with (by kernel set), goals, groups (of each its lines, with the bound in cycles)."""
        found = self.found
        return {"schema": SCHEMA, "compiler": found.compiler, "baseline": found.baseline, "made_with": dict(found.made_with),
                "goals": [_goal_facts(reached) for reached in found.reached],
                "groups": [{"group": group.name, "kernels": group.kernels, "core": group.core, "lines": [_line_facts(line) for line in group.lines]}
                           for group in found.groups]}

    def page(self) -> str:
        """The whole document: goals, then every group's tables, the baseline's folded."""
        found = self.found
        blocks = [_HEAD.format(command=COMMAND, baseline=found.baseline, compiler=found.compiler, notes=". ".join(self._notes()))]
        blocks += [f"## {_GOALS}", markdown.text([_goals(found.reached)])] if found.reached else []
        for title, groups in groupby(found.groups, key=self._title):
            blocks.append(f"## {title}")
            blocks += [self._section(group) for group in groups]
        return "\n\n".join(block.strip("\n") for block in blocks) + "\n"

    def _section(self, group: Group) -> str:
        table = markdown.text([self._table(group)])
        if group.kernels != self.found.baseline:
            return f"### {_of(group)}\n\n{table}"
        return f"<details>\n<summary>{_of(group)}</summary>\n\n{table}\n</details>"

    def _title(self, group: Group) -> str:
        return self.found.titles[group.name]

    def _table(self, group: Group) -> Table:
        baseline = [] if group.kernels == self.found.baseline else [f"times {self.found.baseline}"]
        marks = _marks(self.found.reached, group)
        table = Table(header_style="bold")
        table.add_column("layer")
        for name in (*_HEADS, *baseline):
            table.add_column(name, justify="right")
        if marks:
            table.add_column("goal")
        for line in group.lines:
            times = [f"{line.speedup:.2f}" if line.speedup else ""] * bool(baseline)
            table.add_row(line.name, *_cells(line), *times, *([_looked(marks.get(line.name, ""))] if marks else []),
                          style="bold" if line.facts["kind"] == NETWORK else None)
        return table

    def _compilers(self) -> list[str]:
        """A line for all sets that were compiled alike."""
        found = self.found.made_with
        return [f"{', '.join(kernels for kernels in found if found[kernels] == made)}: {made}" for made in dict.fromkeys(found.values())]

    def _notes(self) -> list[str]:
        return [f"The bound of the {core} is {rate.name}'s, {rate.macs / rate.cycles:g} MACs a cycle" for core, rate in self.found.roofs.items()]


def page(shown: Shown, _target: str = "-") -> str:
    """The document, as a form."""
    return shown.page()


_HEAD = """# Kernel figures

Written by `{command}`. All cycles are modelled, with zero wait states; {compiler} at -O3.
Each line ran in the emulator and was held against the reference. Inputs and weights of single layers are drawn at random from all of int8
([sweep.md](sweep.md)); `python -m emu.experiment figures DIR` measures a folder of your own on the same lines.

- `of bound`: the least cycles in which one instruction after the other does the line's MACs, as a share of the cycles that it took. {notes}.
  Products that share a multiplication ([tricks.md](tricks.md#chains-six-products-by-two-multiplications)) can go beyond it.
- `code`: bytes of the functions that ran, with their literals; `weights`: weights as stored, packed ones as packed, with biases and requantizers, in flash;
  `stack`: the most that was in use. Code, stack and the accesses to both count as the layer's.
- MACs over padding count whole, though kernels may skip them.
- `times {baseline}`: how many times as fast as the kernels of `{baseline}` the line is.
- `goal`: which of the two figures at the head of this page the line meets."""


def _of(group: Group) -> str:
    return f"{PurePath(group.kernels).name} on {group.core}"


def _cells(line: Line) -> list[str]:
    facts = line.facts
    per_mac, share = ([f"{facts['cycles_per_mac']:.2f}", f"{line.share:.1%}"] if facts["macs"] else ["", ""])
    exact = "" if facts["bit_exact"] is None else "yes" if facts["bit_exact"] else "NO"
    counts = (f"{facts[name]:,}" for name in ("instructions", "bytes_read", "bytes_written", "code_bytes", "weight_bytes", "stack_bytes"))
    return [f"{facts['macs']:,}" if facts["macs"] else "", f"{facts['cycles']:,}", per_mac, share, *counts, exact]


def _looked(mark: str) -> Text:
    return Text(mark, _LOOKS[mark])


# --- goals ---


def _goals(reached: Sequence[Reached]) -> Table:
    """A line a goal: the best and the worst of its lines, how many meet it, and what all of them do."""
    table = Table(header_style="bold")
    for name in ("goal", "kernels", "of"):
        table.add_column(name)
    for name in (WANTED, AIM, "best", "worst", "lines", f"meet {WANTED}", f"meet {AIM}"):
        table.add_column(name, justify="right")
    table.add_column("all")
    for one in reached:
        goal, figures = one.goal, one.figures
        ends = [_figure(goal, end(figures)) if figures else "" for end in (min, max)]
        table.add_row(goal.what, f"{goal.kernels} on {goal.core}", _FIGURES[goal.figure], *(_figure(goal, most) for most in (goal.wanted, goal.aim)), *ends,
                      str(len(figures)), *(str(one.meeting(most)) if most else "" for most in (goal.wanted, goal.aim)), _looked(_all(one)))
    return table


def _all(reached: Reached) -> str:
    """What the worst of its lines meets; nothing without lines."""
    return _met(reached.goal, max(reached.figures)) if reached.figures else ""


_FIGURES = {"cycles": "cycles", "cycles_per_mac": "cycles a MAC", "of_baseline": "cycles against C's"}


def _figure(goal: Goal, value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if goal.figure == "cycles" else f"{value:.2f}"


def _marks(reached: Iterable[Reached], group: Group) -> dict[str, str]:
    """Line -> what it meets, of lines that a goal is about."""
    own = [one for one in reached if (one.goal.kernels, one.goal.core) == (group.kernels, group.core)]
    return {line.name: _mark(one.goal, line) for one in own for line in group.lines if line in one.lines}


def _mark(goal: Goal, line: Line) -> str:
    figure = line.figure(goal.figure)
    return MISSED if figure is None else _met(goal, figure)


def _met(goal: Goal, figure: float) -> str:
    return next((name for name, most in ((AIM, goal.aim), (WANTED, goal.wanted)) if most is not None and figure <= most), MISSED)


def _goal_facts(reached: Reached) -> dict[str, object]:
    goal = reached.goal
    return {"what": goal.what, "kernels": goal.kernels, "core": goal.core, "figure": goal.figure, "wanted": goal.wanted, "aim": goal.aim,
            "lines": [{"name": line.name, "figure": line.figure(goal.figure), "meets": _mark(goal, line)} for line in reached.lines]}


def _line_facts(line: Line) -> dict[str, object]:
    return {"name": line.name, **dict(_plain(line)), "bound_cycles": line.bound, "baseline_cycles": line.baseline, "problem": line.problem or None}


def _plain(line: Line) -> Iterator[tuple[str, object]]:
    """What all lines have."""
    for name in ("macs", "cycles", "cycles_per_mac", "instructions", "bytes_read", "bytes_written", "code_bytes", "weight_bytes", "stack_bytes", "bit_exact"):
        yield name, line.facts[name]
