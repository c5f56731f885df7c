"""Requantization in two instructions, or four: a line, found by trying, that takes all of a requantizer's steps at the right accumulators.

A channel's y is a staircase of its accumulator: between qmin and qmax it has at most 255 steps. The kernels compute

    y = sat8((SMMLA(acc * 2^k, m, addend)) >> shift) = sat8(floor((floor(acc * 2^k * m / 2^32) + addend) / 2^shift))

without the bias, which is in the addend. It is the same staircase if and only if it is at least t where y becomes t, and below t just
before, for every t in (qmin, qmax]: each step says how large and how small the addend may be. Where no addend does with the
requantizer's own multiplier, multipliers near it are tried. What is found is exact, since every step was looked at; channels for which
nothing is found are not packed.

Below the zero point rounding half away from zero is a line of its own, a little lower. `below` is the difference, which the kernels add
to sums that are negative; so the zero point must be -1, where the sign of the sum is the sign of y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import common

_TRIED = 192  # multipliers on either side
TARGETS = np.arange(common.INT8.min + 1, common.INT8.max + 1)
_FAR = 1 << 62
_STEP = 19  # of spans' multipliers: at the last of all answers the line moves by 2^-11 accumulators
_ROOM = 1 << 30  # of a line's offset: where it is as large, no other multiplier is tried


class Linear(NamedTuple):
    """int64 (out_c,) each. scale: k, the inputs' part of it included. below: what is added to a negative sum."""

    scale: np.ndarray
    multiplier: np.ndarray
    addend: np.ndarray
    below: np.ndarray


class Spans(NamedTuple):
    """int64 (out_c,) each. y = sat8(floor((acc * 2^k * multiplier + offset) / 2^(32 + shift))) for every offset from least to most."""

    multiplier: np.ndarray
    least: np.ndarray
    most: np.ndarray


def find(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int, input_scale: int, *, bent: bool = False,
         low_byte: int | None = None, alike: bool = False) -> Linear | None:
    """The lines of all channels, or None. weights: int8 (out_c, taps). bias: folded, (out_c,). Inputs come scaled by 2^input_scale.
    bent: channels that can answer below a zero point of -1 may have two lines. low_byte: what multipliers end with; they are as large as they
    can be then. alike: one scale for all channels, so that those with one requantizer have one multiplier."""
    reach = common.reach(weights, np.zeros_like(bias))
    scale = _scale(weights, np.maximum(-reach[0], reach[1]), input_scale)
    if alike:
        scale = np.full_like(scale, scale.min())
    if low_byte is not None:
        scale = np.minimum(scale, np.maximum(shift + 1 - rq.shift, input_scale))
    return lines(rq, reach, bias, scale, shift, bent=bent, low_byte=low_byte)


def lines(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray], bias: np.ndarray, scale: np.ndarray, shift: int, *,
          bent: bool = False, low_byte: int | None = None) -> Linear | None:
    """The lines of all channels for accumulators without bias from reach[0] to reach[1], which come scaled by 2^scale; or None."""
    low, high = reach
    steps, wanted = staircase(rq, low + bias, high + bias) - bias[:, None], in_range(rq)
    found = []
    for channel in range(len(bias)):
        zero_point, qmin, qmax = (int(field[channel]) for field in (rq.zero_point, rq.qmin, rq.qmax))
        asked = wanted[channel]
        parts = [asked]
        if qmin < zero_point:
            if not bent or zero_point != -1 or qmax < 0:
                return None
            parts = [asked & (TARGETS > zero_point), asked & (TARGETS <= zero_point)]
        slope = float(rq.multiplier[channel]) * 2.0 ** (shift + 1 - int(rq.shift[channel]) - int(scale[channel]))
        ends = np.array([low[channel], high[channel]])
        line = _line([(steps[channel][part], TARGETS[part] << shift) for part in parts], ends, int(scale[channel]), slope, shift, low_byte)
        if line is None:
            return None
        found.append(line)
    return Linear(scale, *np.array(found, np.int64).T)


def spans(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray], bias: np.ndarray, scale: int, shift: int, lift: np.ndarray) -> Spans | None:
    """Lines whose addend may have a fraction; None where some channel has none. reach: the accumulators without bias, below 2^(31 - scale).

    lift: (out_c,), what the kernel adds to sums that are above the zero point, for channels that answer below it; 0 for those that do not.
    """
    slope = np.rint(rq.multiplier * 2.0 ** (shift + 1 - rq.shift - scale)).astype(np.int64)
    if slope.max() > common.INT32.max:
        return None
    targets = (TARGETS << shift) - np.where(TARGETS > rq.zero_point[:, None], lift[:, None], 0)
    low, high = reach
    limit = (_FAR - 1 - (lift << 32))[:, None]  # products and addends below 2^30 make sums that fit
    step = np.maximum(slope >> np.maximum(rq.shift, 0) + _STEP, 1)
    steps = staircase(rq, low + bias, high + bias) - bias[:, None]
    asked = in_range(rq)
    reached, passed = asked & (steps <= high[:, None]), asked & (steps > low[:, None])
    best = Spans(slope.copy(), np.full_like(slope, _FAR), np.full_like(slope, -_FAR))
    left = np.arange(len(slope))
    for tried in range(2 * _TRIED + 1):
        multiplier = np.clip(slope[left] + (tried + 1) // 2 * (1 - 2 * (tried % 2)) * step[left], 0, common.INT32.max)
        offset = (targets[left] << 32) - steps[left] * (multiplier << scale)[:, None]
        least = np.where(reached[left], offset, -_FAR).max(axis=1)
        most = np.where(passed[left], offset + (multiplier << scale)[:, None] - 1, limit[left]).min(axis=1)
        better = most - least > (best.most - best.least)[left]
        for field, value in zip(best, (multiplier, least, most), strict=True):
            field[left[better]] = value[better]
        left = left[(best.most - best.least)[left] < _ROOM]
        if not len(left):
            break
    return best if (best.most >= best.least).all() else None


def _scale(weights: np.ndarray, reach: np.ndarray, input_scale: int) -> np.ndarray:
    """The largest scale at which weights fit int16 and accumulators int32."""
    of_weights = common.INT16.max // np.maximum(np.abs(weights.astype(np.int64)).max(axis=1), 1)
    bits = np.minimum(np.log2(of_weights), np.log2(common.INT32.max / np.maximum(reach, 1)) - input_scale)
    return np.floor(np.minimum(bits, 8)).astype(np.int64) + input_scale


def _line(parts: Sequence[tuple[np.ndarray, np.ndarray]], reach: np.ndarray, scale: int, slope: float, shift: int,
          low_byte: int | None = None) -> tuple[int, int, int] | None:
    """Multiplier, addend and the difference to the second part's. parts: (smallest accumulators, without bias, that answer the targets,
    beyond the reach for none; targets)."""
    tries = np.arange(-_TRIED, _TRIED + 1)
    multipliers = np.rint(slope * (1 + tries[np.argsort(np.abs(tries), kind="stable")] * 2.0 ** -(shift + 7))).astype(np.int64)
    if low_byte is not None:
        multipliers = multipliers & ~0xFF | low_byte
    multipliers = multipliers[multipliers <= common.INT32.max]
    for some in (multipliers[:1], multipliers[1:]):
        addends = [_addends(steps, targets, reach, scale, some) for steps, targets in parts]
        room = np.min([most - least for least, most in addends], axis=0)
        if len(some) and room.max() >= 0:
            best = int(room.argmax())
            chosen = [int(least[best] + most[best]) // 2 for least, most in addends]
            return int(some[best]), chosen[0], chosen[-1] - chosen[0]
    return None


def _addends(steps: np.ndarray, targets: np.ndarray, reach: np.ndarray, scale: int,
             multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each multiplier the least and the largest addend with which the steps are right, and sums fit int32."""
    def products(acc: np.ndarray) -> np.ndarray:
        return (acc << scale) * multipliers[:, None] >> 32

    reached, passed = steps <= reach[1], steps > reach[0]
    ends = products(reach)
    least = (targets[reached] - products(steps[reached])).max(axis=1, initial=-_FAR)
    most = (targets[passed] - 1 - products(steps[passed] - 1)).min(axis=1, initial=_FAR)
    return np.maximum(least, common.INT32.min - ends[:, 0]), np.minimum(most, common.INT32.max - ends[:, 1])


def in_range(rq: common.Channels) -> np.ndarray:
    """bool (out_c, 255): the targets in (qmin, qmax], where y has a step."""
    return (TARGETS > rq.qmin[:, None]) & (TARGETS <= rq.qmax[:, None])


def staircase(rq: common.Channels, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(out_c, 255): for t from -127 to 127 the smallest accumulator in [low, high] that answers t or more; high + 1 where none does."""
    first = np.broadcast_to(low[:, None], (len(low), len(TARGETS))).copy()
    last = np.broadcast_to(high[:, None] + 1, first.shape).copy()
    while (first < last).any():
        middle = first + last >> 1
        reached = answers(rq, middle) >= TARGETS
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
