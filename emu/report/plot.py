"""The two-panel picture of a run: cycles by layer on the left, weight and activation bytes on the right."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from emu.errors import UsageError
from emu.profile import Profile
from emu.result import OnCore, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")
INK, FAINT = "#222222", "#8a8a8a"  # of lines and words, and of those that stand back
BACKED = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}  # behind words that stand on lines
_WEIGHTS, _ACTIVATIONS = "#4c72b0", "#dd8452"


def check_suffix(target: str) -> None:
    """UsageError for a file name that says no picture format."""
    if Path(target).suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {target}: the suffix must be .png or .svg")


def render(result: Result, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`, of the first input."""
    return draw(target, lambda pyplot: _figure(pyplot, result.profile, [column for column in result.cores if column.profile]))


def draw(target: str, figure_of: Callable[[ModuleType], Figure], dpi: int = 110) -> bytes:
    """The figure that `figure_of(pyplot)` makes, as PNG or SVG by the suffix of `target`."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    form = Path(target).suffix.lower()[1:]
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "thumbcycle"}):  # text stays text, and the same run gives the same file
        figure = figure_of(pyplot)
        figure.savefig(drawn, format=form, dpi=dpi, metadata={"Date": None} if form == "svg" else None)
        pyplot.close(figure)
    return drawn.getvalue()


def _figure(pyplot: ModuleType, profile: Profile, cores: Sequence[OnCore]) -> Figure:
    names = [row.name for row in profile.layers]
    figure, (compute, memory) = pyplot.subplots(1, 2, figsize=(14, 5.4), layout="constrained")
    of = f"{len(cores)} modelled cores" if len(cores) > 1 else f"{profile.about.get('kernels', '')} kernels, modelled {profile.core}"
    figure.suptitle(f"{profile.about.get('network', '')} per layer: {of}", fontweight="bold")

    if len(cores) > 1:
        _side_by_side(compute, names, cores)
        compute.set_ylabel(f"modelled cycles, {profile.memory} memory")
    else:
        cycles = [row.cycles for row in profile.layers]
        bars = compute.bar(names, cycles, color=COLORS[:len(names)])
        compute.bar_label(bars, labels=[f"{count:,}" for count in cycles], padding=2)
        compute.set_title(f"compute: {profile.totals.cycles:,} cycles")
        compute.set_ylabel(f"modelled {profile.core} cycles, {profile.memory} memory")

    weights = [row.weight_bytes for row in profile.layers]
    activations = [row.activation_bytes for row in profile.layers]
    memory.bar(names, weights, color=_WEIGHTS, label="weight bytes (flash)")
    stacked = memory.bar(names, activations, bottom=weights, color=_ACTIVATIONS, label="activation bytes (RAM)")
    memory.bar_label(stacked, labels=[f"{w:,}+{a:,}" for w, a in zip(weights, activations, strict=True)], padding=2)
    memory.set_title("memory footprint")
    memory.set_ylabel("bytes")
    memory.legend()
    for axes in (compute, memory):
        axes.tick_params(axis="x", rotation=20)
        axes.set_axisbelow(True)
        axes.grid(axis="y", alpha=0.3)
        axes.margins(y=0.12)
    return figure


def _side_by_side(axes: Axes, names: Sequence[str], cores: Sequence[OnCore]) -> None:
    """A bar a core, at each layer."""
    width = 0.8 / len(cores)
    for number, column in enumerate(cores):
        at = [place + (number - (len(cores) - 1) / 2) * width for place in range(len(names))]
        label = f"{column.core}, {column.profile.about['kernels']}: {column.profile.totals.cycles:,}"
        axes.bar(at, [row.cycles for row in column.profile.layers], width, color=COLORS[number % len(COLORS)], label=label)
    axes.set_xticks(range(len(names)), names)
    axes.set_title("compute: cycles by core")
    axes.legend()
