"""Cycles a MAC against MACs over a grid of shapes: a panel a kind, colour by input channels, rings where a shape sticks out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from emu.experiment.figures.growth import Growth
from emu.report import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {"conv2d": "convolution", "depthwise_conv2d": "depthwise convolution", "pointwise_conv2d": "pointwise convolution", "dense": "dense"}
_RING = "#c44e52"
_LABELS = {plot.FAINT: "over 1.5 times a neighbour, for a reason", _RING: "over 1.5 times a neighbour"}
_FAMILY = ("kernel_h", "kernel_w", "in_c", "out_c", "stride_h", "stride_w", "padding")  # shapes that a line joins differ in their input alone
Row = Mapping[str, Any]


def render(growth: Growth, bound: float, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`. bound: the core's least cycles a MAC."""
    return plot.draw(target, lambda pyplot: _figure(pyplot, growth, bound), dpi=96)


def _figure(pyplot: ModuleType, growth: Growth, bound: float) -> Figure:
    from matplotlib.colors import LogNorm
    from matplotlib.lines import Line2D

    kinds = [kind for kind in _TITLES if any(row["kind"] == kind for row in growth.rows)]
    figure, grid = pyplot.subplots(2, 2, figsize=(9.8, 6.8), layout="constrained", sharex=True, sharey=True, squeeze=False)
    norm = LogNorm(1, max(row["in_c"] for row in growth.rows))
    rings = {_RING: {cliff.row["point"] for cliff in growth.unexplained},
             plot.FAINT: {cliff.row["point"] for found in growth.explained.values() for cliff in found}}
    for axes, kind in zip(grid.flat, kinds, strict=False):
        drawn = _panel(pyplot, axes, [row for row in growth.rows if row["kind"] == kind], rings, norm)
        axes.axhline(bound, color=plot.INK, linewidth=0.9, linestyle=(0, (5, 3)))
        axes.set_title(_TITLES[kind])
    for axes in grid[:, 0]:
        axes.set_ylabel("cycles a MAC")
    for axes in grid[-1]:
        axes.set_xlabel("MACs")
    grid[0, 0].annotate(f"bound {bound:g}", (1, bound), xycoords=("axes fraction", "data"), xytext=(-4, 3), textcoords="offset points", ha="right",
                        color=plot.INK, fontsize=8)
    bar = figure.colorbar(drawn, ax=grid, label="input channels", aspect=40, pad=0.01)
    bar.set_ticks(ticks := [2 ** power for power in range(0, int(math.log2(norm.vmax)) + 1, 2)], labels=[str(tick) for tick in ticks])
    bar.minorticks_off()
    figure.suptitle(f"{growth.kernels} kernels on a modelled {growth.core}, zero wait states", fontweight="bold")
    grid[0, 1].legend(handles=[Line2D([], [], **_ring(color), label=label) for color, label in _LABELS.items() if rings[color]], fontsize=8)
    return figure


def _panel(pyplot: ModuleType, axes: Axes, rows: Sequence[Row], rings: Mapping[str, set[str]], norm: object) -> object:
    """Returns what the colour bar is made from."""
    families: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        families.setdefault(tuple(row[name] for name in _FAMILY), []).append(row)
    colors = pyplot.colormaps["viridis_r"]
    for members in families.values():
        line = sorted((row["macs"], row["cycles_per_mac"]) for row in members)
        if len(line) > 1:
            axes.plot(*zip(*line, strict=True), color=colors(norm(members[0]["in_c"])), linewidth=0.6, alpha=0.45)
    drawn = axes.scatter([row["macs"] for row in rows], [row["cycles_per_mac"] for row in rows], c=[row["in_c"] for row in rows], cmap=colors, norm=norm, s=9,
                         linewidths=0)
    for color, points in rings.items():
        ringed = [row for row in rows if row["point"] in points]
        axes.plot([row["macs"] for row in ringed], [row["cycles_per_mac"] for row in ringed], **_ring(color))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_axisbelow(True)
    axes.grid(which="major", alpha=0.25)
    return drawn


def _ring(color: str) -> dict[str, object]:
    return {"linestyle": "", "marker": "o", "markersize": 6.5, "markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": 0.8}
