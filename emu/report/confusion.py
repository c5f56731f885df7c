"""The picture of an evaluation: the confusion matrix, rows as shares of what was said."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from emu.evaluate.score import Evaluation
from emu.report import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(evaluation: Evaluation, target: str) -> bytes:
    """PNG or SVG, by the suffix of `target`."""
    return plot.draw(target, lambda pyplot: _figure(pyplot, evaluation))


def _figure(pyplot: ModuleType, evaluation: Evaluation) -> Figure:
    labels, counts = evaluation.labels, evaluation.confusion
    score = evaluation.score
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = pyplot.subplots(figsize=(9, 8), layout="constrained")
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels)
    scores = {word: evaluation.by_word[word] for word in labels}
    axes.set_yticks(range(len(labels)), [f"{word} {own.share(own.correct):.0%}" if own.clips else word for word, own in scores.items()])
    axes.set_xlabel("heard on the device")
    axes.set_ylabel("said, and how much of it was heard right")
    figure.colorbar(shown, ax=axes, shrink=0.8, label="share of the clips of a word")
    about = evaluation.about
    right = f"{score.share(score.correct):.2%} right" if score.clips else "nothing was judged"
    axes.set_title(f"{about['network']}, {about['kernels']} kernels: {right} of {score.clips:,} clips", fontweight="bold")
    return figure
