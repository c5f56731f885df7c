"""Pictures of a sweep's results: one column against another, a line a variant."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emu.errors import UsageError
from emu.experiment.sweep.cliffs import Cliff
from emu.experiment.sweep.columns import COLUMNS
from emu.report import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERS = tuple(column.name for column in COLUMNS if column.kind in ("int64", "double"))
_COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c", "#ccb974", "#64b5cd")
MOST_PANELS, MOST_LINES = 36, 64  # that can still be told apart
_MARKERS = "osD^v<>P"
_WIDE = 100  # a range that many times its least value is drawn in powers of ten
_EXACT, _BINS = 12, 24  # places across that each have a median; of more, that many parts of the range
Row = Mapping[str, Any]


def render(rows: Sequence[Row], target: str, x: str, y: str, by: Sequence[str], panels: str | None, cliffs: Sequence[Cliff] = ()) -> bytes:
    """PNG or SVG, by the suffix of `target`. Points, and a line through their median, for each value of `by`; a panel for each of `panels`.

    cliffs: those that are steep are ringed. UsageError when there were too many panels or lines to tell apart.
    """
    for option, columns, most in (("--panels", [panels] if panels else [], MOST_PANELS), ("--by", by, MOST_LINES)):
        if (count := len({_value(row, columns) for row in rows})) > most:
            raise UsageError(f"{option} {' '.join(columns)}: {count:,} values, at most {most} can be drawn; --where takes some of them")
    usable = [row for row in rows if row[x] is not None and row[y] is not None]
    if "macs" in (x, y):  # pools have none
        usable = [row for row in usable if row["macs"]]
    return plot.draw(target, lambda pyplot: _figure(pyplot, usable, x, y, by, panels, {cliff.row["point"] for cliff in cliffs if cliff.steep}))


def _figure(pyplot: ModuleType, rows: Sequence[Row], x: str, y: str, by: Sequence[str], panels: str | None, ringed: set[str]) -> Figure:
    names = list(dict.fromkeys(_value(row, [panels]) if panels else "" for row in rows)) or [""]
    across = math.ceil(math.sqrt(len(names)))
    down = math.ceil(len(names) / across)
    figure, grid = pyplot.subplots(down, across, figsize=(max(6.4 * across, 8), 4.8 * down), layout="constrained", squeeze=False, sharex=True, sharey=True)
    series = list(dict.fromkeys(_value(row, by) for row in rows))
    styles = {name: (_COLORS[number % len(_COLORS)], _MARKERS[number % len(_MARKERS)]) for number, name in enumerate(series)}
    for axes, name in zip(grid.flat, names, strict=False):
        own = [row for row in rows if not panels or _value(row, [panels]) == name]
        for label, style in styles.items():
            _draw(axes, [row for row in own if _value(row, by) == label], x, y, label, style)
        _ring(axes, [row for row in own if row["point"] in ringed], x, y)
        axes.set_title(name)
        _scale(axes, rows, x, y)
    for axes in list(grid.flat)[len(names):]:
        axes.set_visible(False)
    named = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True) if label}
    if named:
        grid.flat[0].legend(named.values(), named)
    figure.suptitle(_title(rows, x, y, (*by, panels)), fontweight="bold")
    return figure


def _draw(axes: Axes, rows: Sequence[Row], x: str, y: str, label: str, style: tuple[str, str]) -> None:
    if not rows:
        return
    color, marker = style
    axes.plot([row[x] for row in rows], [row[y] for row in rows], marker, color=color, markersize=3.5, alpha=0.45, markeredgewidth=0)
    axes.plot(*_median_line([(row[x], row[y]) for row in rows]), color=color, linewidth=1.4, label=label)


def _median_line(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Medians of both coordinates, by place; of many places, by part of the range, in powers where that is wide."""
    places = {x for x, _ in points}
    least, most = min(places), max(places)
    wide = is_wide((least, most))
    low, high = (math.log(least), math.log(most)) if wide else (least, most)

    def part(x: float) -> float:
        return x if len(places) <= _EXACT else int(_BINS * ((math.log(x) if wide else x) - low) / (high - low))

    parts: dict[float, list[tuple[float, float]]] = {}
    for point in sorted(points):
        parts.setdefault(part(point[0]), []).append(point)
    medians = [tuple(map(statistics.median, zip(*inside, strict=True))) for inside in parts.values()]
    return [x for x, _ in medians], [y for _, y in medians]


def _ring(axes: Axes, rows: Sequence[Row], x: str, y: str) -> None:
    if rows:
        axes.plot([row[x] for row in rows], [row[y] for row in rows], "o", markersize=8, markerfacecolor="none", markeredgecolor="#c44e52",
                  label="costs much more a MAC than a neighbour")


def _scale(axes: Axes, rows: Sequence[Row], x: str, y: str) -> None:
    for column, scale, label in ((x, axes.set_xscale, axes.set_xlabel), (y, axes.set_yscale, axes.set_ylabel)):
        found = [row[column] for row in rows]
        if found and is_wide(found):
            scale("log")
        label(words(column))
    axes.set_axisbelow(True)
    axes.grid(which="major", alpha=0.3)


def _title(rows: Sequence[Row], x: str, y: str, apart: Sequence[str | None]) -> str:
    """What the columns are of, where all rows share it."""
    same = [str(values.pop()) for name in ("kernels", "kind", "core", "memory") if name not in apart and len(values := {row[name] for row in rows}) == 1]
    return f"{words(y)} against {words(x)}: {', '.join(same)}" if same else f"{words(y)} against {words(x)}"


def is_wide(values: Sequence[float]) -> bool:
    """Whether the values, one at least, are drawn in powers of ten."""
    return min(values) > 0 and max(values) > _WIDE * min(values)


def words(column: str) -> str:
    """A column as a picture names it."""
    return {"macs": "MACs", "cycles_per_mac": "cycles a MAC", "cycles": "modelled cycles"}.get(column, column.replace("_", " "))


def _value(row: Row, columns: Sequence[str]) -> str:
    return " ".join(str(row[column]) for column in columns if row[column] not in (None, ""))
