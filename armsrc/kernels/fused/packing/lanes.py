"""Packs a convolution of one channel with the max pool behind it for conv_pool_lanes.inc, where sums are lanes of 16 bits.

Two outputs side by side, of columns 2j and 2j + 1, are the two lanes of an accumulator. Of a kernel row the product P is that of the input's
columns 2j, 2j + 1 and the weights w0, w1, and Q that of the columns 2j + 2, 2j + 3 and w2, w1; what each adds to which lane stands in
_TAPS. Weights are negated, so the largest sum is the smallest lane. Input columns of even number come without a sign, as x + 128.

A filter's six products go to one accumulator, or to two, whose lanes are added with UQADD16. Accumulators begin with a constant: the low
lane must not fall below 0, because the high one would lose 1, and no lane may pass 2^16 - 1. A sum of two accumulators that would pass it
becomes 2^16 - 1, which is right where that already lies below the requantizer's first step.
"""

from __future__ import annotations

import numpy as np

from ...thumb2.packing import common, linear

_LANE = (1 << 16) - 1
_HALF = 1 << 15
_SCALE = 16  # SMLAWB takes lanes times 2^16
_SIGNED, _UNSIGNED = (common.INT8.min, common.INT8.max), (0, 255)
_TAPS = (((0, _UNSIGNED), (1, _SIGNED)), ((0, _SIGNED),)), (((2, _UNSIGNED),), ((1, _UNSIGNED), (2, _SIGNED)))  # P, Q; lanes; (tap, input)

# Forms of the kernel's code, the fastest first: which of P0 P1 P2 Q0 Q1 Q2 go to the second accumulator, as bits.
CODES = (0, 0b010010, 0b101100)
# Of the same table, with other records: requantize four filters, fewer; next column, next record; four filters of one multiplier.
_SECOND, _SOME, _DONE, _SKIP, _ALIKE = 3, 4, 5, 6, 7
_AT_ONCE = 4


def records(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray | None:
    """uint32 (n, 9), what the kernel goes through for each pooled column: four filters (code, six weights, the accumulators' constants), then
    their multipliers and addends. None where some filter has none. weights, bias: see filters."""
    found = filters(rq, weights, bias, shift)
    if found is None:
        return None
    rows = []
    for at in range(0, len(found), _AT_ONCE):
        some = found[at:at + _AT_ONCE]
        missing = _AT_ONCE - len(some)
        rows += [*some[:, :9], *np.array([[_SKIP] + [0] * 8] * missing, np.uint32).reshape(-1, 9)]
        constants = np.pad(some[:, 9:], ((0, missing), (0, 0))).T
        second = _SOME if missing else _ALIKE if (some[:, 9] == some[0, 9]).all() else _SECOND
        rows.append(np.concatenate([[second], *constants]))
    return np.array([*rows, [_DONE] + [0] * 8], np.uint32)


def filters(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int) -> np.ndarray | None:
    """uint32 (out_c, 11): code, six weights, the accumulators' constants, multiplier, addend (for y + 128); None where some filter has none.
    weights: int8 (out_c, 3, 3). bias: folded, (out_c,)."""
    found = [_filter(common.Channels(*(field[at:at + 1] for field in rq)), weights[at].astype(np.int64), bias[at:at + 1], shift)
             for at in range(len(weights))]
    return None if any(row is None for row in found) else common.words(np.array(found))


def _filter(rq: common.Channels, weights: np.ndarray, bias: np.ndarray, shift: int) -> list[int] | None:
    """The words of one filter, by the first code that takes it."""
    inputs = [256 * -weights[row, 1] - (weights[row, 0] << 24) for row in range(3)]
    inputs += [-weights[row, 2] - (weights[row, 1] << 16) for row in range(3)]
    if max(map(abs, inputs[:3])) > common.INT32.max:
        return None
    low, high = common.reach(weights.reshape(1, -1), np.zeros(1, np.int64))
    for number, code in enumerate(CODES):
        begun = _begin(weights, code)
        if begun is None:
            continue
        zero, constants = begun                 # the lane of a sum of 0
        least = np.maximum(low, zero - _LANE)   # smaller sums have the same lane
        if (linear.answers(rq, (least + bias)[:, None]) > linear.answers(rq, (low + bias)[:, None])).any():
            continue
        shifted = _HALF - zero                  # the kernel takes lanes less 2^15, times a multiplier below 0
        line = linear.lines(rq, (least + shifted, high + shifted), bias - shifted, np.full(1, _SCALE), shift)
        if line is None:
            continue
        addend = int(line.addend[0]) - (common.INT8.min << shift)
        if (int(line.multiplier[0]) * int(high[0] + shifted) >> _SCALE) + addend <= common.INT32.max:
            return [number, *inputs, *constants, -line.multiplier[0], addend]
    return None


def _begin(weights: np.ndarray, code: int) -> tuple[int, list[int]] | None:
    """The lane of a sum of 0, and what the accumulators begin with; None where some lane may leave its 16 bits."""
    lanes = [_lane(weights, code, lane) for lane in range(2)]
    if any(least > most for ranges, _ in lanes for least, most in ranges):
        return None
    zero = max(sum(least for least, _ in ranges) + offset for ranges, offset in lanes)
    constants = [0, 0]
    for lane, (ranges, offset) in enumerate(lanes):
        left = zero - offset - sum(least for least, _ in ranges)
        for at, (least, most) in enumerate(ranges):
            more = min(left, most - least)
            constants[at] += least + more << 16 * lane
            left -= more
        if left:
            return None
    return zero, constants


def _lane(weights: np.ndarray, code: int, lane: int) -> tuple[list[tuple[int, int]], int]:
    """Of each accumulator the least and the largest beginning with which the lane fits, and by how much their sum is too large, because some
    inputs come as x + 128."""
    lows, highs, offset = [0, 0], [0, 0], 0
    for product, taps in enumerate(_TAPS):
        for row in range(3):
            where = code >> 3 * product + row & 1
            for tap, limits in taps[lane]:
                ends = sorted(-int(weights[row, tap]) * limit for limit in limits)
                lows[where] += ends[0]
                highs[where] += ends[1]
                offset -= int(weights[row, tap]) * (limits[0] - common.INT8.min)
    ranges = [(-low, _LANE - high) for low, high in zip(lows, highs, strict=True)]
    return ranges if code else ranges[:1], offset
