"""Requantization in two instructions, or four, as in linear.py, of accumulators that hold their bias, times 2^8.

The kernels compute

    y = sat8((floor(a * m / 2^32) + addend) >> shift)        a = acc * 2^8 + more

where `more`, which goes with the bias, and the addend hold the zero point and what rounding adds. It is the same function if and only if
at each step the least accumulator that answers t does so, and the one before it does not: for each t that is a range of 256 values of
`more`. What lies in all ranges is right. Where nothing does, multipliers beside the requantizer's own are tried.

Below the zero point rounding half away from zero is a line of its own, with an addend of its own; there a, which then begins with the bias
and has `more` in 0 .. 255, is negative.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import common, linear

SCALE = 8
BENT_SHIFT = 13  # of the code, with addends
_TRIED, _FEW_TRIED = 256, 8  # multipliers on either side; those after which most channels must have a line
_ADDENDS = np.arange(-8, 9)  # around the exact one
_FAR = 1 << 62


class Line(NamedTuple):
    """int64 (out_c,) each. bias: of a. below: added to the addend where a is negative. is_bent: whether there are addends."""

    multiplier: np.ndarray
    bias: np.ndarray
    addend: np.ndarray
    below: np.ndarray
    is_bent: bool


class _Stairs(NamedTuple):
    """Some channels. first: int64 (n, 255), the least accumulators that answer the targets. lower, upper: whether such a one, and the one
    before it, is asked for. least, most: the limits of `more`. unit: what one is worth behind the high multiply, in units of the sum."""

    first: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    least: np.ndarray
    most: np.ndarray
    unit: np.ndarray
    zero_point: np.ndarray


def find(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int) -> Line | None:
    """The lines of all channels, without addends where there are such; None where some channel has none.

    weights: int8 (out_c, taps). bias: folded, (out_c,). shift: of the code, without addends.
    """
    return _lines(rq, weights, bias, shift, bent=False) or _lines(rq, weights, bias, BENT_SHIFT, bent=True)


def _lines(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int, *, bent: bool) -> Line | None:
    """bent: with addends, two for each channel; else there are none, and no y may be below its zero point."""
    if (rq.multiplier == 0).any() or (rq.shift < 1).any() or (rq.shift > shift).any() or not bent and common.is_signed(rq):
        return None
    exact = rq.multiplier * 2.0 ** (shift + 1 - SCALE - rq.shift)
    if exact.max() > common.INT32.max:
        return None
    stairs = _stairs(rq, *common.reach(weights, bias), shift, bent=bent)
    if (stairs.least > stairs.most).any():
        return None
    found, left = np.zeros((4, len(bias)), np.int64), np.arange(len(bias))
    for beside in sorted(range(-_TRIED, _TRIED + 1), key=abs):
        multiplier = np.rint(exact[left]).astype(np.int64) + beside
        more, addend, below, right = (_bent if bent else _plain)(_Stairs(*(field[left] for field in stairs)), multiplier, shift)
        right &= multiplier <= common.INT32.max
        found[:, left[right]] = np.stack([multiplier, more, addend, below])[:, right]
        left = left[~right]
        if not len(left):
            return Line(found[0], found[1] + (bias << SCALE), found[2], found[3], bent)
        if beside == -_FEW_TRIED and 4 * len(left) > len(bias) + 4:
            return None
    return None


def _stairs(rq: common.Channels, low: np.ndarray, high: np.ndarray, shift: int, *, bent: bool) -> _Stairs:
    """Of accumulators in [low, high]. bent: `more` must not change the sign."""
    first = linear.staircase(rq, low, high)
    asked = (linear.TARGETS > rq.qmin[:, None]) & (linear.TARGETS <= rq.qmax[:, None])
    least, most = common.INT32.min - (low << SCALE), common.INT32.max - (high << SCALE)
    if bent:
        least, most = np.maximum(least, 0), np.minimum(most, (1 << SCALE) - 1)
    return _Stairs(first, asked & (first <= high[:, None]), asked & (first > low[:, None]), least, most, 1 << shift - rq.shift, rq.zero_point)


_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # more, addend, below, whether they are right


def _plain(stairs: _Stairs, multiplier: np.ndarray, shift: int) -> _Found:
    none = np.zeros_like(multiplier)
    lowest, highest = _range(stairs, multiplier, linear.TARGETS << shift, stairs.lower, stairs.upper)
    return lowest + highest >> 1, none, none, lowest <= highest


def _bent(stairs: _Stairs, multiplier: np.ndarray, shift: int) -> _Found:
    """The addends of both parts near the exact ones, in the combination that leaves `more` the largest range."""
    exact = (stairs.zero_point << shift) + (1 << shift - 1) + (stairs.unit >> 2)
    ranges = []
    for beyond, negative in ((0, False), (stairs.unit, True)):
        lower, upper = (asked & ((acc < 0) == negative) for asked, acc in ((stairs.lower, stairs.first), (stairs.upper, stairs.first - 1)))
        values = [(linear.TARGETS << shift) - (exact - beyond + other)[:, None] for other in _ADDENDS]
        ranges.append(np.swapaxes([_range(stairs, multiplier, value, lower, upper) for value in values], 0, 1))
    (low, high), (low_below, high_below) = ranges
    lowest, highest = np.maximum(low[:, None], low_below), np.minimum(high[:, None], high_below)
    room = (highest - lowest).reshape(-1, len(multiplier))
    best = room.argmax(axis=0)
    chosen = (*np.unravel_index(best, lowest.shape[:2]), np.arange(len(multiplier)))
    others = [_ADDENDS[index] for index in chosen[:2]]
    return lowest[chosen] + highest[chosen] >> 1, exact + others[0], others[1] - others[0] - stairs.unit, room.max(axis=0) >= 0


def _range(stairs: _Stairs, multiplier: np.ndarray, values: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest `more` for which products of `lower`, and none of `upper`, reach the values (255,) or (n, 255)."""
    need = -(-(values << 32) // multiplier[:, None])
    least = np.where(lower, need - (stairs.first << SCALE), -_FAR).max(axis=1)
    most = np.where(upper, need - 1 - (stairs.first - 1 << SCALE), _FAR).min(axis=1)
    return np.maximum(least, stairs.least), np.minimum(most, stairs.most)
