"""The picture of a timeline: the smoothed posterior of every word over time, and where a word was detected."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from emu.report import plot
from emu.stream.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(timeline: Timeline, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`."""
    return plot.draw(target, lambda pyplot: _figure(pyplot, timeline))


def _figure(pyplot: ModuleType, timeline: Timeline) -> Figure:
    figure, axes = pyplot.subplots(figsize=(14, 5.4), layout="constrained")
    times = [decision.time for decision in timeline.decisions]
    colors = pyplot.colormaps["tab10"].colors
    for at, label in enumerate(timeline.labels):
        confidences = [decision.smoothed[at] for decision in timeline.decisions]
        axes.plot(times, confidences, label=label, color=colors[at % len(colors)], marker=".", markersize=3)
    axes.axhline(timeline.rule.threshold, color="gray", linestyle="--", linewidth=1, label="threshold")
    for detection in timeline.detections:
        axes.annotate(detection.word, (detection.time, detection.confidence), xytext=(0, 10), textcoords="offset points", ha="center",
                      fontweight="bold", arrowprops={"arrowstyle": "-"})
    axes.set_xlim(0, timeline.duration)
    axes.set_ylim(0, 1.1)
    axes.set_xlabel("seconds (the end of the second that was listened to)")
    axes.set_ylabel(f"smoothed confidence, mean of {timeline.rule.smooth} decisions")
    about, found = timeline.about, len(timeline.detections)
    axes.set_title(f"{about['network']}, {about['kernels']} kernels: {timeline.name}, {found} words detected", fontweight="bold")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
