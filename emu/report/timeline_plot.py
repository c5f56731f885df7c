"""What issues in which cycle, as a picture: a row an instruction, its cycles from left to right, those that are lost in the colour of their reason."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from emu.report import plot
from emu.report.timeline import ALONE, HELD, Shown, look, marks, place, summary, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 160  # rows that can be read
_OWN, _SHADE = "#333333", "#9a9a9a"
_INCHES = 0.19  # of a row


def draw(shown: Shown, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`, of the first _MOST instructions."""
    return plot.draw(target, lambda pyplot: figure(pyplot, shown))


def figure(pyplot: ModuleType, shown: Shown) -> Figure:
    """Every tenth cycle has a line; an issue is dark, or hatched where its cycle is lost."""
    found, rows = shown.found, shown.found.rows[:min(_MOST, shown.rows)]
    end = max(max(row.begin + row.cycles, row.issue + 1) for row in rows)
    drawn, axes = pyplot.subplots(figsize=(min(22.0, 5.5 + 0.13 * end), 2.2 + _INCHES * len(rows)), layout="constrained")
    for number, row in enumerate(rows):
        for cycle, mark, reason in marks(row):
            face = look(reason)[1] if reason else _SHADE if mark == HELD else _OWN
            edge = _OWN if mark == ALONE else face
            axes.barh(number, 0.9, left=cycle + 0.05, height=0.74, color=face, edgecolor=edge, linewidth=1.6, hatch="///" if mark == ALONE else None)
    wide, wider = (max(len(item(row)) for row in rows) for item in (lambda row: row.text, place))
    labels = [f"{row.address:08x}  {row.text:<{wide}}  {place(row):<{wider}}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=7, family="monospace")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, end)
    axes.xaxis.tick_top()
    axes.set_xticks(range(0, end + 1, 10 if end > 15 else 1))
    axes.grid(axis="x", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    more = f"; the first {len(rows)} of {len(found.rows):,} instructions" if len(rows) < len(found.rows) else ""
    drawn.suptitle(f"{title(found)}\n{found.cycles} cycles: {summary(found)}{more}", fontsize=9, wrap=True)
    _legend(drawn, list(found.reasons))
    return drawn


def _legend(drawn: Figure, reasons: list[str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=_OWN, label="issues"), Patch(facecolor="white", edgecolor=_OWN, hatch="///", label="issues, and its cycle is lost"),
               Patch(facecolor=_SHADE, label="takes itself"), *(Patch(facecolor=look(reason)[1], label=reason) for reason in reasons)]
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False, fontsize=8)
