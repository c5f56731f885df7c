"""Requantization in two instructions whatever the requantizer: a line, found by trying, that takes all its steps at the right accumulators.

A channel's y is a staircase of its accumulator: between qmin and qmax it has at most 255 steps. The kernels compute

    y = sat8((SMMLA(acc * 2^k, m, addend)) >> shift) = sat8(floor((floor(acc * 2^k * m / 2^32) + addend) / 2^shift))

without the bias, which is in the addend. It is the same staircase if and only if it is at least t where y becomes t, and below t just
before, for every t in (qmin, qmax]: each says how large or how small the addend may be. Where no addend does with the requantizer's own
multiplier, multipliers near it are tried: a little steeper is what rounding half away from zero looks like. What is found is exact,
since every step was looked at; channels for which nothing is found are not packed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...thumb2.packing import common

_TRIED = 192  # multipliers on either side
_MULTIPLIER = 1 << 31


class Linear(NamedTuple):
    """int64 (out_c,) each. scale: k, the inputs' part of it included."""

    scale: np.ndarray
    multiplier: np.ndarray
    addend: np.ndarray


def find(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int, input_scale: int) -> Linear | None:
    """The lines of all channels, or None. weights: int8 (out_c, taps). bias: folded, (out_c,). Inputs come scaled by 2^input_scale."""
    low, high = common.reach(weights, np.zeros_like(bias))
    scale = _scale(weights, np.maximum(-low, high), input_scale)
    steps = _steps(rq, low + bias, high + bias) - bias[:, None]
    targets = np.arange(common.INT8.min + 1, common.INT8.max + 1, dtype=np.int64) << shift
    asked = (np.arange(common.INT8.min + 1, common.INT8.max + 1) > rq.qmin[:, None]) & (
        np.arange(common.INT8.min + 1, common.INT8.max + 1) <= rq.qmax[:, None])
    found = []
    for channel in range(len(bias)):
        line = _line(steps[channel][asked[channel]], targets[asked[channel]], (int(low[channel]), int(high[channel])), int(scale[channel]),
                     _slope(rq, channel, shift, int(scale[channel])), shift)
        if line is None:
            return None
        found.append(line)
    return Linear(scale, *np.array(found, np.int64).T)


def _slope(rq: common.Channels, channel: int, shift: int, scale: int) -> float:
    """The multiplier that fits the requantizer, of accumulators scaled by 2^scale."""
    return float(rq.multiplier[channel]) * 2.0 ** (shift + 1 - int(rq.shift[channel]) - scale)


def _scale(weights: np.ndarray, reach: np.ndarray, input_scale: int) -> np.ndarray:
    """The largest scale at which weights fit int16 and accumulators int32."""
    of_weights = common.INT16.max // np.maximum(np.abs(weights.astype(np.int64)).max(axis=1), 1)
    bits = np.minimum(np.log2(of_weights), np.log2(common.INT32.max / np.maximum(reach, 1)) - input_scale)
    return np.floor(np.minimum(bits, 8)).astype(np.int64) + input_scale


def _line(steps: np.ndarray, targets: np.ndarray, reach: tuple[int, int], scale: int, slope: float, shift: int) -> tuple[int, int] | None:
    """Multiplier and addend. steps: the smallest accumulators, without bias, that answer the targets; beyond the reach for none."""
    tries = np.arange(-_TRIED, _TRIED + 1)
    multipliers = np.rint(slope * (1 + tries[np.argsort(np.abs(tries), kind="stable")] * 2.0 ** -(shift + 7))).astype(np.int64)
    multipliers = multipliers[multipliers < _MULTIPLIER]
    if not len(multipliers):
        return None
    reached, passed = steps <= reach[1], steps > reach[0]
    at, before = steps[reached], steps[passed] - 1
    for group in (multipliers[:1], multipliers[1:]):
        least = _most(targets[reached] - _products(at, scale, group), -(1 << 62))
        most = -_most(_products(before, scale, group) - (targets[passed] - 1), -(1 << 62))
        sums = _products(np.array(reach), scale, group)
        least = np.maximum(least, common.INT32.min - sums[:, 0])
        most = np.minimum(most, common.INT32.max - sums[:, 1])
        if len(group) and (most - least).max() >= 0:
            best = int((most - least).argmax())
            return int(group[best]), int(least[best] + most[best]) // 2
    return None


def _products(acc: np.ndarray, scale: int, multipliers: np.ndarray) -> np.ndarray:
    """(multipliers, acc): what SMMLA adds to the addend."""
    return (acc << scale) * multipliers[:, None] >> 32


def _most(values: np.ndarray, least: int) -> np.ndarray:
    return values.max(axis=1, initial=least)


def _steps(rq: common.Channels, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(out_c, 255): for t from -127 to 127 the smallest accumulator in [low, high] that answers t or more; high + 1 where none does."""
    wanted = np.arange(common.INT8.min + 1, common.INT8.max + 1)
    first = np.broadcast_to(low[:, None], (len(low), len(wanted))).copy()
    last = np.broadcast_to(high[:, None] + 1, first.shape).copy()
    while (first < last).any():
        middle = first + last >> 1
        reached = answers(rq, middle) >= wanted
        last = np.where(reached, middle, last)
        first = np.where(reached, first, np.minimum(middle + 1, last))
    return first


def answers(rq: common.Channels, acc: np.ndarray) -> np.ndarray:
    """What the requantizers make of accumulators (out_c, n): kernels.h."""
    multiplier, shift, zero_point, qmin, qmax = (field[:, None] for field in rq)
    right = np.maximum(shift, 0)
    high = (acc << np.maximum(-shift, 0)) * multiplier + (1 << 30) >> 31
    rounded = high + (1 << right >> 1) - ((high < 0) & (right > 0)) >> right
    return np.clip(rounded + zero_point, qmin, qmax)
