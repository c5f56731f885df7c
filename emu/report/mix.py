"""Where cycles are, by class of instruction: a table with bars, JSON, CSV, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from emu.experiment.mix import ALL, Mix, Part
from emu.report import plot
from emu.report.csv_form import text as csv_text
from emu.report.table import built

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_BAR = 50  # characters
_REASONS = 6  # that the line under the table names
_WRITTEN = 0.035  # share from which on a percentage has room in its piece of the picture's bar
# Class -> letter in a terminal's bar, its style, and colour in pictures (Paul Tol's muted scheme, which the colour-blind can tell apart).
_LOOKS = {
    "MAC": ("M", "bold blue", "#332288"), "unpack": ("U", "magenta", "#aa4499"), "load": ("L", "cyan", "#88ccee"), "store": ("S", "green", "#44aa99"),
    "requantize": ("R", "yellow", "#ddcc77"), "loop": ("O", "red", "#cc6677"), "call": ("C", "bright_red", "#882255"),
    "other": ("-", "white", "#dddddd"), "stall": ("!", "bold bright_black", "#777777"),
}


@dataclass(frozen=True)
class Shown:
    """A mix as forms draw it. top: functions that tables and pictures show."""

    found: Mix
    top: int = 20

    @property
    def lines(self) -> list[Part]:
        """What tables and pictures show: all layers, or the dearest functions and the others together; the total."""
        shown, rest = list(self.found.parts), []
        if self.found.by == "function":
            shown, rest = shown[:self.top], shown[self.top:]
        others = [Mix("", "", "", {}, "", tuple(rest)).totals] if rest else []
        return [*shown, *(Part(f"{len(rest)} more", "", 0, other.cycles, other.stalls) for other in others), self.found.totals]

    def parts(self) -> list[Table | Text | str]:
        """Percent of each layer's or function's cycles; what the letters of the bars are, and what waits are for."""
        return [Text(f"{_title(self.found)}: percent of cycles, by what instructions are for", "italic"), _table(self.found.by, self.lines),
                ", ".join(f"{look[0]} {kind}" for kind, look in _LOOKS.items()), *_stalls(self.found.totals), *built(self.found.about)]

    def document(self) -> dict[str, object]:
        """docs/experiments.md has the keys."""
        found = self.found
        return {"schema": SCHEMA, "core": found.core, "memory": found.memory, **found.about, "classes": ALL,
                f"{found.by}s": [_facts(part) for part in found.parts], "totals": _facts(found.totals)}

    def csv(self) -> str:
        """One row a layer or function, no total."""
        rows = [[part.name, part.kernel, part.macs, part.total, *part.cycles.values()] for part in self.found.parts]
        return csv_text((self.found.by, "kernel", "macs", "cycles", *ALL), rows)


def _title(found: Mix) -> str:
    return f"{found.title}, on a modelled {found.core} with {found.memory} memory"


def _table(by: str, lines: Sequence[Part]) -> Table:
    table = Table(header_style="bold")
    table.add_column(by)
    for name in ("cycles", *ALL):
        table.add_column(name, justify="right")
    table.add_column("")
    for number, part in enumerate(lines, 1):
        cells = [f"{100 * share:.1f}" if share else "" for share in _shares(part).values()]
        table.add_row(part.name, f"{part.total:,}", *cells, _bar(part), end_section=number == len(lines) - 1,
                      style="bold" if number == len(lines) else None)
    return table


def _shares(part: Part) -> dict[str, float]:
    """0 to 1, by class."""
    return {kind: cycles / part.total if part.total else 0.0 for kind, cycles in part.cycles.items()}


def _bar(part: Part) -> Text:
    """_BAR letters; where shares do not divide, those that are cut most get one more."""
    shares = _shares(part)
    lengths = {kind: int(share * _BAR) for kind, share in shares.items()}
    if part.total:
        for kind in sorted(ALL, key=lambda kind: lengths[kind] - shares[kind] * _BAR)[:_BAR - sum(lengths.values())]:
            lengths[kind] += 1
    bar = Text()
    for kind, length in lengths.items():
        letter, style, _ = _LOOKS[kind]
        bar.append(letter * length, style)
    return bar


def _stalls(totals: Part) -> list[str]:
    reasons = [f"{reason} {cycles:,}" for reason, cycles in totals.stalls.items()]
    more = f", {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    return [f"stalls: {', '.join(reasons[:_REASONS])}{more}"] if reasons else []


def _facts(part: Part) -> dict[str, object]:
    return {"name": part.name, "kernel": part.kernel or None, "macs": part.macs, "cycles": part.total, "by_class": dict(part.cycles),
            "stalls": dict(part.stalls)}


# --- the picture ---


def draw(shown: Shown, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`: a bar a layer or function, its classes one behind the other."""
    return plot.draw(target, lambda pyplot: figure(pyplot, shown))


def figure(pyplot: ModuleType, shown: Shown) -> Figure:
    """Bars as long as each other, so that shares can be compared; the cycles stand beside the names."""
    lines = shown.lines
    drawn, axes = pyplot.subplots(figsize=(11.5, 1.7 + 0.52 * len(lines)), layout="constrained")
    drawn.suptitle(_title(shown.found), fontweight="bold")
    starts = [0.0] * len(lines)
    for kind, (_, _, color) in _LOOKS.items():
        shares = [_shares(part)[kind] for part in lines]
        axes.barh(range(len(lines)), shares, left=starts, height=0.74, color=color, edgecolor="white", linewidth=0.8, label=kind)
        _percentages(axes, starts, shares, color)
        starts = [start + share for start, share in zip(starts, shares, strict=True)]
    axes.set_yticks(range(len(lines)), [f"{part.name}\n{part.total:,} cycles" for part in lines], fontsize=9)
    axes.invert_yaxis()
    axes.axhline(len(lines) - 1.5, color=plot.INK, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _position: f"{share:.0%}")
    axes.set_xlabel("of the cycles")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    drawn.legend(loc="outside lower center", ncols=len(_LOOKS), frameon=False, fontsize=9, handlelength=1.2, columnspacing=1.2)
    return drawn


def _percentages(axes: Axes, starts: Sequence[float], shares: Sequence[float], color: str) -> None:
    """In the pieces that have room for them, in what can be read on their colour."""
    red, green, blue = (int(color[at:at + 2], 16) for at in (1, 3, 5))
    ink = plot.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
    for line, (start, share) in enumerate(zip(starts, shares, strict=True)):
        if share >= _WRITTEN:
            axes.text(start + share / 2, line, f"{100 * share:.0f}", color=ink, ha="center", va="center", fontsize=8.5)
