"""The constants with which a channel is requantized by one multiplication, or two, and the proof that they are right.

requantize.inc says what the code computes: u = clamp(acc - last, 0, reach), then y = floor((u * scale + offset - drop [u < zero]) / 2^32),
of which the plain form has the upper 24 of the 32 bits behind the point, and no drop. y never falls as acc grows; so it is right
everywhere if it is right on both sides of every step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..thumb2.packing.common import Channels

POINT = 32  # bits behind it
COARSE = 1 << 8  # what offset and drop, and in the plain form scale, are multiples of
MOST_SHIFT = 11  # u < 2^(9 + shift) then stays far below 2^24, and drop is a multiple


class Affine(NamedTuple):
    """last: the largest accumulator whose y is qmin. reach: from it to the smallest whose y is qmax. drop: less for u < zero."""

    last: int
    reach: int
    scale: int
    offset: int
    zero: int = 0
    drop: int = 0


def solve(rq: Channels, channel: int, *, full: bool) -> Affine | None:
    """The constants of one channel, or None where there are none."""
    multiplier, shift, zero_point, qmin, qmax = (int(field[channel]) for field in rq)
    if shift > MOST_SHIFT:
        return None
    if multiplier == 0 or qmin == qmax:
        return Affine(0, 0, 0, min(max(zero_point, qmin), qmax) << POINT)
    y = np.arange(qmin + 1, qmax + 1, dtype=np.int64)
    first = _first(multiplier, shift, y - zero_point)
    last = int(first[0]) - 1
    u = first - last  # of the first accumulator that has this y
    zero, drop = (max(0, -last), 1 << POINT - shift) if full and shift > 0 else (0, 0)
    exact = multiplier << 1 - shift if shift < 1 else multiplier >> shift - 1
    unit = 1 if full else COARSE
    for scale in (exact // unit * unit, (exact // unit + 1) * unit):
        at, before = (scale * v - drop * (v < zero) for v in (u, u - 1))
        least = max(int(((y << POINT) - at).max()), (qmin << POINT) - int(before[0]))
        most = min(int(((y << POINT) - before).min()), (qmax + 1 << POINT) - int(at[-1])) - 1
        offset = -(-least // COARSE) * COARSE
        if offset <= most:
            return Affine(last, int(u[-1]), scale, offset, zero, drop)
    return None


def _first(multiplier: int, shift: int, y: np.ndarray) -> np.ndarray:
    """int64: the smallest accumulator that gemmlowp's two roundings take to y or above, y without the zero point."""
    if shift < 1:
        return _ceil((y << 31) - (1 << 30), multiplier << -shift)
    high = (y << shift) - (1 << shift - 1)  # of high_mul; halves of negative numbers are rounded down
    return _ceil((high + (high < 0) << 31) - (1 << 30), multiplier)


def _ceil(numerator: np.ndarray, denominator: int) -> np.ndarray:
    return -(-numerator // denominator)
