"""Growth of cycles with shapes: tables for a terminal, JSON, and the document docs/growth.md with its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from rich.table import Table
from rich.text import Text

from emu.experiment.figures.growth import FIXED, Growth
from emu.experiment.sweep.cliffs import RATIO, Cliff
from emu.report import growth_plot, markdown, sweep

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
COMMAND = "python -m emu.experiment growth --markdown docs/growth.md"
NONE = "All of them have a reason."
_MOST = 20  # cliffs without a reason that a table shows
_HEAD = f"""# How cycles grow with shapes

Written by `{COMMAND}`: the shapes of the sweep `growth` ([sweep.md](sweep.md)), channels 1 to 256 (dense: 1 to 1,024), inputs
1x1 to 64x64, kernels 1x1 to 10x4, up to 1.5 million MACs. Pools have no MACs. `fused` takes single layers as `thumb2` does. Cycles are modelled, with zero
wait states.

Two shapes are neighbours when they differ in one size alone by not more than twice. Where one costs over {RATIO:g} times the other's cycles a MAC there is a
reason (`emu/experiment/figures/growth.toml`), and the shape has a ring, but for smaller shapes that are cheaper in all and have no other reason than
that. Lines join shapes that differ in their input alone; the broken line is what the core's multiplier bounds."""


@dataclass(frozen=True)
class Shown:
    """Growths as forms draw them. bounds: core and kernel set -> the least cycles a MAC."""

    found: Sequence[Growth]
    bounds: Mapping[tuple[str, str], float]

    def parts(self) -> list[Table | Text | str]:
        return [part for growth in self.found for part in (Text(_title(growth), "italic"), *_parts(growth))]

    def document(self) -> dict[str, object]:
        """schema, ratio, sets (kernels, core, shapes, pairs, reasons (text, cliffs), unexplained, fixed: cliffs as `plot --json` has them)."""
        return {"schema": SCHEMA, "ratio": RATIO, "sets": [
            {"kernels": growth.kernels, "core": growth.core, "shapes": len(growth.rows), "pairs": growth.pairs,
             "reasons": [{"text": text, "cliffs": sweep.cliffs_json(found)} for text, found in growth.explained.items()],
             "unexplained": sweep.cliffs_json(growth.unexplained), "fixed": sweep.cliffs_json(growth.fixed)} for growth in self.found]}

    def page(self, target: str) -> list[tuple[str, str | bytes]]:
        """(file, contents) of the document `target`, and of a picture a set beside it; of the document alone for "-"."""
        blocks, pictures = [_HEAD], []
        for growth in self.found:
            name = f"{PurePath(target).stem}-{PurePath(growth.kernels).name}.png" if target != "-" else ""
            if name:
                place = str(PurePath(target).with_name(name))
                pictures.append((place, growth_plot.render(growth, self.bounds[growth.core, growth.kernels], place)))
            picture = [f"![cycles a MAC against MACs]({name})"] if name else []
            blocks += [f"## {_title(growth)}", *picture, markdown.text(_parts(growth)).strip("\n")]
        return [(target, "\n\n".join(blocks) + "\n"), *pictures]


def _title(growth: Growth) -> str:
    return f"{PurePath(growth.kernels).name} on {growth.core}"


def _parts(growth: Growth) -> list[Table | Text | str]:
    """What sticks out, by reason, fixed costs last; and what has none."""
    steep = sum(map(len, growth.explained.values())) + len(growth.fixed) + len(growth.unexplained)
    tables = [_reasons(growth)] if growth.explained or growth.fixed else []
    tables += [Text("Without a reason", "italic"), _without(growth.unexplained)] if growth.unexplained else []
    more = f", {len(growth.unexplained) - _MOST} of them not shown" if len(growth.unexplained) > _MOST else ""
    verdict = NONE if not growth.unexplained else f"{len(growth.unexplained):,} have no reason{more}."
    return [*tables, Text(f"{len(growth.rows):,} shapes, {growth.pairs:,} pairs of neighbours; {steep:,} pairs over {RATIO:g} times. {verdict}")]


def _reasons(growth: Growth) -> Table:
    """The commonest first."""
    table = Table(header_style="bold")
    for name, justify in (("reason", "left"), ("pairs", "right"), ("most", "right"), ("the most: cycles a MAC", "left")):
        table.add_column(name, justify=justify)
    fixed = [(FIXED, growth.fixed)] if growth.fixed else []
    for text, found in (*sorted(growth.explained.items(), key=lambda item: -len(item[1])), *fixed):
        most = max(found, key=lambda cliff: cliff.ratio)
        table.add_row(text, str(len(found)), f"{most.ratio:.2f}", _pair(most))
    return table


def _without(found: Sequence[Cliff]) -> Table:
    table = Table(header_style="bold")
    for name, justify in (("differ in", "left"), ("times", "right"), ("cycles a MAC", "left")):
        table.add_column(name, justify=justify)
    for cliff in found[:_MOST]:
        table.add_row(cliff.axis, f"{cliff.ratio:.2f}", _pair(cliff))
    return table


def _pair(cliff: Cliff) -> str:
    return " against ".join(f"{row['shape']} {row['cycles_per_mac']:.2f}" for row in (cliff.row, cliff.neighbour))
