"""What a training run is told, and what it gives; apart from kwsq.fit, so that neither needs torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kwsq.layers import Network


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted; `rate` is the highest of the schedule, `average` the share of the average kept at every step."""

    seed: int = 0
    epochs: int = 1000
    copies: int = 32
    batch: int = 256
    rate: float = 0.03
    decay: float = 0.01
    smoothing: float = 0.05
    average: float = 0.998
    percentiles: tuple[float, float] = (0.01, 99.99)


@dataclass(frozen=True, eq=False)
class Fit:
    """One network fitted: `fold` of the speakers was held out (None: nobody); `curve` has (epoch, share right of the held out).

    `heard`: number of the recordings that `float_answers` and `int8_answers`, label numbers, are about: those held out, or all.
    """

    fold: int | None
    networks: list[Network]
    curve: list[tuple[int, float]]
    heard: np.ndarray
    float_answers: np.ndarray
    int8_answers: np.ndarray
