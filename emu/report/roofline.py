"""Rooflines: a table with bars, JSON, CSV, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import atan, ceil, degrees, hypot, log
from types import ModuleType
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from emu.experiment.bounds import Bounds, Rate
from emu.experiment.roofline import Point, Roofline, Rooflines
from emu.report import plot
from emu.report.csv_form import text as csv_text
from emu.report.table import compiler, whose

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
FIGURES = ("macs", "moved", "unique", "cycles", "intensity", "unique_intensity", "macs_per_cycle", "bound_macs_per_cycle", "share", "limit")
_HEADS = ("MACs", "bytes moved", "MACs/byte", "unique", "MACs/byte", "MACs/cycle", "bound")
_BAR = 20  # characters
_MARKERS = "osD^vP"
_DENSE = 96  # points of a curve
_DASHED = (0, (5, 3))
_OFFSETS = ((-11, 0), (0, 12), (0, -12), (-9, 9), (-9, -9), (9, 9), (9, -9), (-21, 0), (0, 22))  # of a number from its marker, in points
_ROOM = 9.5  # between the middles of numbers and markers


@dataclass(frozen=True)
class Shown:
    """Rooflines as forms draw them."""

    found: Rooflines

    def parts(self) -> list[Table | Text | str]:
        """A table a core: every kernel set's layers, with what part of the bound they reach; under it the bounds."""
        return _parts(self.found)

    def document(self) -> dict[str, object]:
        """docs/experiments.md has the keys."""
        return _document(self.found)

    def csv(self) -> str:
        """One row a core, kernel set and layer."""
        found = self.found.found
        rows = [[one.core, one.memory, one.kernels, point.name, point.kernel, *_figures(point).values()] for one in found for point in one.points]
        return csv_text(("core", "memory", "kernels", "layer", "kernel", *FIGURES), rows)


def _parts(found: Rooflines) -> list[Table | Text | str]:
    parts: list[Table | Text | str] = []
    for core, several in groupby(found.found, key=lambda one: one.core):
        of_core = list(several)
        parts += [Text(f"roofline of kws, input {found.input}, on a modelled {core} with {of_core[0].memory} memory", "italic"), _table(of_core)]
        parts += [_bounds_line(roofs) for roofs in _distinct(of_core)]
        parts += [f"{one.kernels}: without MACs {', '.join(one.without)}" for one in of_core if one.without]
        parts += [f"{one.kernels}: {'; '.join((*whose(one.about), compiler(one.about)))}" for one in of_core]
    return [*parts, *(f"{pair}: {why}" for pair, why in found.failed)]


def _table(of_core: Sequence[Roofline]) -> Table:
    table = Table(header_style="bold")
    for name in ("kernels", "layer"):
        table.add_column(name)
    for name in _HEADS:
        table.add_column(name, justify="right")
    table.add_column("of the bound")
    table.add_column("limit")
    for one in of_core:
        for number, point in enumerate(one.points):
            table.add_row("" if number else one.kernels, point.name, f"{point.macs:,}", f"{point.moved:,}", f"{point.intensity:.2f}",
                          f"{point.unique:,}", f"{point.unique_intensity:.1f}", f"{point.macs_per_cycle:.3f}", f"{point.bound_macs_per_cycle:.3f}",
                          _bar(point.share), point.limit, end_section=number == len(one.points) - 1)
    return table


def _bar(share: float) -> str:
    full = round(min(share, 1) * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {share:4.0%}"


def _distinct(of_core: Sequence[Roofline]) -> list[Bounds]:
    """Integers' bounds, then floating point's, each once."""
    found = {one.bounds.floating: one.bounds for one in of_core}
    return [found[floating] for floating in sorted(found)]


def _bounds_line(roofs: Bounds) -> str:
    what = "float32" if roofs.floating else "int8"
    return f"{what}: {_compute(roofs)}, {_memory(roofs)}; {_sentence(roofs)}"


def _compute(roofs: Bounds) -> str:
    return f"{roofs.compute.name} {roofs.macs_per_cycle:.3g} MACs a cycle"


def _memory(roofs: Bounds) -> str:
    return f"{roofs.memory.name} {roofs.bytes_per_cycle:.3g} bytes a cycle"


def _sentence(roofs: Bounds) -> str:
    """How the two come together."""
    return ("each takes the issue slot, so their cycles add up" if len(roofs.prices) == 1
            else "a multiply and a load can issue together, so the bound is the dearest of several sums")


def _document(found: Rooflines) -> dict[str, object]:
    return {
        "schema": SCHEMA, "input": found.input,
        "rooflines": [{**one.about, "core": one.core, "memory": one.memory, "bounds": _bounds(one.bounds),
                       "layers": [{"name": point.name, "kernel": point.kernel, **_figures(point)} for point in one.points],
                       "without_macs": list(one.without), "first_difference": one.problem or None} for one in found.found],
        "failed": [{"what": pair, "problem": why} for pair, why in found.failed]}


def _figures(point: Point) -> dict[str, object]:
    return {name: getattr(point, name) for name in FIGURES}


def _bounds(roofs: Bounds) -> dict[str, object]:
    return {"floating": roofs.floating, "macs_per_cycle": roofs.macs_per_cycle, "macs_stream": roofs.compute.name,
            "bytes_per_cycle": roofs.bytes_per_cycle, "bytes_stream": roofs.memory.name, "streams": [_rate(rate) for rate in roofs.rates],
            "prices": [{"cycles_per_mac": p, "cycles_per_byte": q} for p, q in roofs.prices]}


def _rate(rate: Rate) -> dict[str, object]:
    return {"instructions": rate.name, "macs": rate.macs, "bytes": rate.bytes, "cycles": rate.cycles}


# --- the picture ---


def draw(shown: Shown, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`: a panel a core, on logarithmic axes."""
    return plot.draw(target, lambda pyplot: figure(pyplot, shown.found))


def figure(pyplot: ModuleType, found: Rooflines) -> Figure:
    """The layers, numbered, under the core's roofs; a dotted line leads from each to where it would stand if no byte moved twice."""
    cores = [list(of_core) for _, of_core in groupby(found.found, key=lambda one: one.core)]
    columns = min(len(cores), 3)
    rows = ceil(len(cores) / columns)
    size = (9.6, 6.0) if len(cores) == 1 else (5.2 * columns + 2.4 * (len(cores) == rows * columns), 0.9 + 4.6 * rows)
    drawn, panels = pyplot.subplots(rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True, squeeze=False)
    drawn.suptitle(f"kws, input {found.input}: MACs a cycle under the core's roofs", fontweight="bold")
    x_range, y_range = _ranges(found.found)
    names, sets = _names(found.found), list(dict.fromkeys(one.kernels for one in found.found))
    for number, (axes, of_core) in enumerate(zip(panels.flat, cores, strict=False)):
        axes.set(xscale="log", yscale="log", xlim=x_range, ylim=y_range, title=f"modelled {of_core[0].core}, {of_core[0].memory} memory")
        axes.tick_params(labelbottom=number + columns >= len(cores))
        _grid(axes)
        _roofs(axes, _distinct(of_core))
        _layers(axes, of_core, sets, len(names))
    for axes in panels.flat[len(cores):]:
        axes.set_axis_off()
    drawn.supxlabel("MACs for each byte that loads and stores moved", fontsize=10.5)
    drawn.supylabel("MACs a cycle", fontsize=10.5)
    _legend(drawn, panels.flat[-1] if len(cores) < rows * columns else None, sets, names)
    return drawn


def _names(found: Sequence[Roofline]) -> list[str]:
    """Of layers, by their number in the picture: as the first kernel set calls those at its places, then those of longer ones."""
    return [point.name for one in found for point in one.points][:max(len(one.points) for one in found)]


def _ranges(found: Sequence[Roofline]) -> tuple[tuple[float, float], tuple[float, float]]:
    across = [value for one in found for point in one.points for value in (point.intensity, point.unique_intensity)]
    along = [point.macs_per_cycle for one in found for point in one.points] + [one.bounds.macs_per_cycle for one in found]
    return (min(across) / 2, max(across) * 1.6), (min(along) / 1.8, max(along) * 1.5)


def _grid(axes: Axes) -> None:
    """Ticks at 1, 2 and 5, as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axis.set_major_formatter(lambda value, _position: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.set_axisbelow(True)
    axes.grid(alpha=0.25)


def _roofs(axes: Axes, all_bounds: Sequence[Bounds]) -> None:
    """The roofs of MACs and of bytes, dashed, and under them the curve of what can be issued; what is above the highest curve is shaded."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across = [low * (high / low) ** (number / _DENSE) for number in range(_DENSE + 1)]
    for number, roofs in enumerate(all_bounds):
        color, slope, peak = plot.FAINT if number else plot.INK, roofs.bytes_per_cycle, roofs.macs_per_cycle
        axes.plot(across, [roofs.attainable(intensity) for intensity in across], color=color, linewidth=1.6, zorder=2)
        axes.plot([low, peak / slope, high], [slope * low, peak, peak], color=color, linewidth=0.9, linestyle=_DASHED, zorder=1)
        axes.annotate(_compute(roofs), (high, peak), (-6, 3), textcoords="offset points", ha="right", va="bottom", color=color, fontsize=8.5,
                      bbox=plot.BACKED, zorder=2.5)
    slope = max(roofs.bytes_per_cycle for roofs in all_bounds)
    start = max(low, bottom / slope) * 1.15
    axes.text(start, slope * start * 1.2, _memory(all_bounds[0]), rotation=degrees(atan(slope)), rotation_mode="anchor",
              transform_rotates_text=True, va="bottom", color=plot.INK, fontsize=8.5, bbox=plot.BACKED, zorder=2.5)
    axes.fill_between(across, [max(roofs.attainable(intensity) for roofs in all_bounds) for intensity in across], top, color=plot.INK, alpha=0.05,
                      linewidth=0)


def _layers(axes: Axes, of_core: Sequence[Roofline], sets: Sequence[str], most: int) -> None:
    """A marker a layer, and its number where there is room beside it."""
    placed = [_place(axes, point) for one in of_core for point in one.points]
    for one in of_core:
        color, marker = _style(sets.index(one.kernels))
        for number, point in enumerate(one.points, 1):
            height = point.macs_per_cycle
            axes.plot((point.intensity, point.unique_intensity), (height, height), color=color, linewidth=0.9, linestyle=":", zorder=3)
            axes.plot(point.unique_intensity, height, marker=marker, markersize=5, markerfacecolor="white", markeredgecolor=color, zorder=3)
            axes.plot(point.intensity, height, marker=marker, markersize=9, color=color, markeredgecolor="white", zorder=4)
            offset = _free(_place(axes, point), placed)
            axes.annotate(str(number), (point.intensity, height), offset, textcoords="offset points", color=color, fontsize=9, fontweight="bold",
                          ha="center", va="center", bbox=plot.BACKED, zorder=5)


def _place(axes: Axes, point: Point) -> tuple[float, float]:
    """In points of the page, roughly, from the lower left corner."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = (72 * inches * 0.85 for inches in axes.figure.get_size_inches() / axes.get_gridspec().get_geometry()[::-1])
    return width * log(point.intensity / low) / log(high / low), height * log(point.macs_per_cycle / bottom) / log(top / bottom)


def _free(at: tuple[float, float], placed: list[tuple[float, float]]) -> tuple[float, float]:
    """The first of the offsets at which a number meets nothing that was placed; it is placed, too."""
    def room(offset: tuple[float, float]) -> float:
        return min(hypot(at[0] + offset[0] - x, at[1] + offset[1] - y) for x, y in placed)

    offset = next((offset for offset in _OFFSETS if room(offset) >= _ROOM), _OFFSETS[0])
    placed.append((at[0] + offset[0], at[1] + offset[1]))
    return offset


def _style(number: int) -> tuple[str, str]:
    """Colour and marker of a kernel set."""
    return plot.COLORS[number % len(plot.COLORS)], _MARKERS[number % len(_MARKERS)]


def _legend(drawn: Figure, panel: Axes | None, sets: Sequence[str], names: Sequence[str]) -> None:
    """Kernel sets by colour and marker, what the lines are, layers by number; in a panel that is left over, or on the right."""
    from matplotlib.lines import Line2D

    def entry(label: str, **style: object) -> Line2D:
        return Line2D([], [], label=label, **({"color": plot.INK} | style))

    handles = [entry(name, color=color, marker=marker, linestyle="", markersize=9) for name, (color, marker) in zip(sets, map(_style, range(len(sets))), strict=True)]
    handles += [entry("what can be issued", linewidth=1.6), entry("MACs or accesses alone", linewidth=0.9, linestyle=_DASHED),
                entry("if each byte moved once", linewidth=0.9, linestyle=":", marker="o", markersize=5, markerfacecolor="white")]
    handles += [entry(name, linestyle="", marker=f"${number}$", markersize=7) for number, name in enumerate(names, 1)]
    if panel is None:
        drawn.legend(handles=handles, loc="outside right center", frameon=False, fontsize=9)
    else:
        panel.legend(handles=handles, loc="center", frameon=False, fontsize=10)
