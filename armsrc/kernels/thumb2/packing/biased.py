"""Requantization in two instructions, or four, as in linear.py, of accumulators that hold their bias, times 2^8.

The kernels compute

    y = sat8((floor(a * m / 2^32) + addend) >> shift)        a = acc * 2^8 + more

where `more`, which goes with the bias, and the addend hold the zero point and what rounding adds. It is the same function if and only if
at each step the least accumulator that answers t does so, and the one before it does not: for each t that is a range of 256 values of
`more`. What lies in all ranges is right. Where nothing does, multipliers beside the requantizer's own are tried.

Below the zero point rounding half away from zero is a line of its own, with an addend of its own, which the sign of a chooses. `more` may
move that sign as far as both lines answer the zero point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import common, linear

SCALE = 8
_TRIED, _FEW_TRIED = 256, 8  # multipliers on either side; those after which most channels must have a line
_MOVED = 16  # accumulators, at most, whose sign `more` may change
_FAR = 1 << 61
_AT_ONCE = 128  # channels


class Line(NamedTuple):
    """int64 (n,) each. below: added to the addend where a is negative."""

    multiplier: np.ndarray
    more: np.ndarray
    addend: np.ndarray
    below: np.ndarray


class _Stairs(NamedTuple):
    """Some channels. first: int64 (n, 255), the least accumulators that answer the targets. lower, upper: whether such a one, and the one
    before it, is asked for. least, most: the limits of `more`. moved: (n,), accumulators whose sign it may change."""

    first: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    least: np.ndarray
    most: np.ndarray
    moved: np.ndarray
    zero_point: np.ndarray


def find(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray], shift: int, *, bent: bool) -> Line | None:
    """The lines of n channels; None where some channel has none. reach: int64 (n,), the least and the largest accumulators, bias included.

    shift: of the code. bent: with addends, two for each channel; else there are none, and no y may be below its zero point.
    """
    if (rq.multiplier == 0).any() or (rq.shift < 1).any() or (rq.shift > shift).any() or not bent and common.is_signed(rq):
        return None
    exact = rq.multiplier * 2.0 ** (shift + 1 - SCALE - rq.shift)
    if exact.max() > common.INT32.max:
        return None
    stairs = _stairs(rq, *reach, bent=bent)
    if (stairs.least > stairs.most).any():
        return None
    found, left = np.zeros((4, len(exact)), np.int64), np.arange(len(exact))
    for beside in sorted(range(-_TRIED, _TRIED + 1), key=abs):
        multiplier = np.rint(exact[left]).astype(np.int64) + beside
        more, addend, below, right = (_bent if bent else _plain)(_Stairs(*(field[left] for field in stairs)), multiplier, shift)
        right &= multiplier <= common.INT32.max
        found[:, left[right]] = np.stack([multiplier, more, addend, below])[:, right]
        left = left[~right]
        if not len(left):
            return Line(*found)
        if beside == -_FEW_TRIED and 4 * len(left) > len(exact) + 4:
            return None
    return None


def _stairs(rq: common.Channels, low: np.ndarray, high: np.ndarray, *, bent: bool) -> _Stairs:
    """Of accumulators in [low, high]."""
    first = linear.staircase(rq, low, high)
    asked = linear.in_range(rq)
    lower, upper = asked & (first <= high[:, None]), asked & (first > low[:, None])
    least, most = common.INT32.min - (low << SCALE), common.INT32.max - (high << SCALE)
    nearest = np.where(lower | upper, np.minimum(abs(first), abs(first - 1)), _MOVED + 1).min(axis=1, initial=_MOVED + 1)
    moved = np.maximum(nearest - 1, 0)
    if bent:
        least, most = np.maximum(least, -moved << SCALE), np.minimum(most, (moved + 1 << SCALE) - 1)
    return _Stairs(first, lower, upper, least, most, moved, rq.zero_point)


_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # more, addend, below, whether they are right


def _plain(stairs: _Stairs, multiplier: np.ndarray, shift: int) -> _Found:
    none = np.zeros_like(multiplier)
    lowest, highest = _products(stairs, multiplier, shift, stairs.lower, stairs.upper)
    lowest, highest = np.maximum(-(-lowest // multiplier), stairs.least), np.minimum(highest // multiplier, stairs.most)
    return lowest + highest >> 1, none, none, lowest <= highest


def _bent(stairs: _Stairs, multiplier: np.ndarray, shift: int) -> _Found:
    """As many channels at a time as tables of their candidates should have."""
    parts = [_bent_at_once(_Stairs(*(field[at:at + _AT_ONCE] for field in stairs)), multiplier[at:at + _AT_ONCE], shift)
             for at in range(0, len(multiplier), _AT_ONCE)]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _bent_at_once(stairs: _Stairs, multiplier: np.ndarray, shift: int) -> _Found:
    """more * multiplier + addend * 2^32 has to lie in a range for each part: `more` with which an addend does so for both."""
    more = np.arange(stairs.least.min(), stairs.most.max() + 1)
    products, addends = more * multiplier[:, None], []
    right = (more >= stairs.least[:, None]) & (more <= stairs.most[:, None])
    for lowest, highest in (_part(stairs, multiplier, shift, negative=negative) for negative in (False, True)):
        room = highest[:, None] - products
        right &= (room & 0xFFFFFFFF) <= (highest - lowest)[:, None]
        addends.append(room >> 32)
    best, rows = right.argmax(axis=1), np.arange(len(multiplier))
    above, below = (found[rows, best] for found in addends)
    return more[best], above, below - above, right[rows, best]


def _part(stairs: _Stairs, multiplier: np.ndarray, shift: int, *, negative: bool) -> tuple[np.ndarray, np.ndarray]:
    """What `_products` returns, for one of the two lines, which also answers the zero point where the sign is moved."""
    lower, upper = (asked & ((acc < 0) == negative) for asked, acc in ((stairs.lower, stairs.first), (stairs.upper, stairs.first - 1)))
    least, most = _products(stairs, multiplier, shift, lower, upper)
    scaled, value = stairs.moved * multiplier << SCALE, stairs.zero_point << 32 + shift
    if negative:
        return least, np.minimum(most, value + (1 << 32 + shift) - scaled - 1)
    return np.maximum(least, value + scaled), most


def _products(stairs: _Stairs, multiplier: np.ndarray, shift: int, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest more * multiplier with which sums of `lower`, and none of `upper`, reach their targets, in units of 2^-32."""
    values, scaled = linear.TARGETS << 32 + shift, multiplier[:, None] << SCALE
    least = np.where(lower, values - stairs.first * scaled, -_FAR).max(axis=1)
    return least, np.where(upper, values - (stairs.first - 1) * scaled - 1, _FAR).min(axis=1)
