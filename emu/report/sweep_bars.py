"""Bars of a sweep's results: one column by shape, a bar for each variant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emu.errors import UsageError
from emu.report import plot, sweep
from emu.report.sweep_plot import is_wide, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 600  # that a page can show
_THICK, _BETWEEN = 0.085, 0.09  # inches, of a bar and of the gap between shapes
Row = Mapping[str, Any]


def render(rows: Sequence[Row], target: str, y: str, by: Sequence[str]) -> bytes:
    """PNG or SVG, by the suffix of `target`: shapes down, in the order of the rows. UsageError for more bars than can be told apart, or none."""
    usable = [row for row in rows if row[y] is not None]
    if not usable:
        raise UsageError(f"--y {y}: no row has it")
    alike = sweep.same_names(usable)
    series: dict[str, dict[str, float]] = {}
    for row in usable:
        own = series.setdefault(sweep.variant(row, by, alike), {})
        if own.setdefault(row["shape"], row[y]) != row[y]:
            raise UsageError(f"--bars: {row['shape']} has several values of {y} that --by {' '.join(by)} does not tell apart; --where takes one of them")
    shapes = list(dict.fromkeys(row["shape"] for row in usable))
    if (bars := len(shapes) * len(series)) > MOST_BARS:
        raise UsageError(f"--bars: {bars:,} bars, at most {MOST_BARS} can be drawn; --where takes some of them")
    return plot.draw(target, lambda pyplot: _figure(pyplot, shapes, series, y))


def _figure(pyplot: ModuleType, shapes: Sequence[str], series: Mapping[str, Mapping[str, float]], y: str) -> Figure:
    step = _THICK * len(series) + _BETWEEN
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + step * len(shapes)), layout="constrained")
    values = [value for own in series.values() for value in own.values()]
    for number, (name, own) in enumerate(series.items()):
        at = [place + _THICK / step * (number - (len(series) - 1) / 2) for place in range(len(shapes))]
        axes.barh(at, [own.get(shape, math.nan) for shape in shapes], _THICK / step, color=plot.COLORS[number % len(plot.COLORS)], label=name)
    axes.set_yticks(range(len(shapes)), shapes, fontsize=7)
    axes.set_ylim(len(shapes) - 0.4, -0.6)
    if is_wide(values):
        axes.set_xscale("log")
    axes.set_xlabel(words(y))
    axes.set_axisbelow(True)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right" if len(shapes) > 8 else "best")
    return figure
