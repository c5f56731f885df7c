"""The constants with which a channel is requantized by one multiplication, and the proof that they are right.

requantize.inc says what the code computes: u = clamp(acc - last, 0, reach), then y = floor((u * scale + offset) / 2^24). y never falls as acc
grows; so it is right everywhere if it is right on both sides of every step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..thumb2.packing.common import Channels

POINT = 24  # bits behind it
MOST_SHIFT = 11  # keeps all numbers below far from 2^63; beyond it 24 bits are always too few


class Affine(NamedTuple):
    """last: the largest accumulator whose y is qmin. reach: from it to the smallest whose y is qmax."""

    last: int
    reach: int
    scale: int
    offset: int


def solve(rq: Channels, channel: int) -> Affine | None:
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
    rounded_down = multiplier >> 31 - POINT + shift
    for scale in (rounded_down, rounded_down + 1):
        at, before = scale * u, scale * (u - 1)
        least = max(int(((y << POINT) - at).max()), qmin << POINT)
        most = min(int(((y << POINT) - before).min()), (qmax + 1 << POINT) - int(at[-1])) - 1
        if least <= most:
            return Affine(last, int(u[-1]), scale, least)
    return None


def _first(multiplier: int, shift: int, y: np.ndarray) -> np.ndarray:
    """int64: the smallest accumulator that gemmlowp's two roundings take to y or above, y without the zero point."""
    if shift < 1:
        return _ceil((y << 31) - (1 << 30), multiplier << -shift)
    high = (y << shift) - (1 << shift - 1)  # of high_mul; halves of negative numbers are rounded down
    return _ceil((high + (high < 0) << 31) - (1 << 30), multiplier)


def _ceil(numerator: np.ndarray, denominator: int) -> np.ndarray:
    return -(-numerator // denominator)
