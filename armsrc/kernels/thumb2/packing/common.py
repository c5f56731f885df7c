"""What packers share: the folded bias, the constants of a channel's requantizer, and int16 pairs.

Accumulators are kept scaled by 2^k (`scale`): weights and bias are multiplied by 2^k when they are packed. requantize.inc, beside the
kernels, says how each form computes y from the scaled accumulator, and why that is exact. Channels are axis 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

INT8, INT16, INT32 = np.iinfo(np.int8), np.iinfo(np.int16), np.iinfo(np.int32)
FLAG_CLAMP, FLAG_VARIED, SATURATING_SHIFT = 2, 16, 10  # of requantize.inc
SATURATING, DOUBLED = 0, 1  # forms of the requantization, as the code asks for them
TAPS = ((0, 3), (1, 4), (2, 5), (6, 7), (7, 8))  # of the words of a 3x3 filter of one channel
MOST_DOUBLED_SHIFT = 22  # of the doubled form: its constant fits int32


class Channels(NamedTuple):
    """The requantizer of every channel: int64 (out_c,) each."""

    multiplier: np.ndarray
    shift: np.ndarray
    zero_point: np.ndarray
    qmin: np.ndarray
    qmax: np.ndarray


class Requantization(NamedTuple):
    """What a form needs of every channel: int64 (out_c,) each. shift: what the code shifts by."""

    scale: np.ndarray
    multiplier: np.ndarray
    addend: np.ndarray
    shift: np.ndarray


def channels(p: Params) -> Channels:
    """The struct's requantizers, one a channel."""
    rows = np.asarray(p["requant"], np.int64)
    return Channels(*np.broadcast_to(rows, (p["out_c"], rows.shape[1])).T)


def folded_bias(p: Params, weights: np.ndarray) -> np.ndarray:
    """int64 (out_c,): the bias that makes the input's zero point 0, for weights (out_c, taps). Padding must then be the zero point."""
    return np.asarray(p["bias"], np.int64) - p["input_zero_point"] * weights.sum(axis=1, dtype=np.int64)


def rare(rq: Channels) -> np.ndarray:
    """bool (out_c,): which requantizers the forms below, the saturating one aside, do not take, whatever the accumulators are."""
    return (rq.multiplier == 0) | (rq.shift < 1) | (rq.shift > MOST_DOUBLED_SHIFT)


def is_signed(rq: Channels) -> bool:
    """Whether some channel can answer below its zero point, where the rounding's direction shows."""
    return bool((rq.qmin < rq.zero_point).any())


def clamp(p: Params) -> tuple[int, np.ndarray]:
    """What clamp_output (requantize.inc) is given: its flags, and the requantizers as words; 0 and none where no range is narrower than int8's."""
    rows = np.asarray(p["requant"])
    ranges = rows[:, 3:]
    if (ranges == (INT8.min, INT8.max)).all():
        return 0, np.zeros(0, np.uint32)
    return FLAG_CLAMP | FLAG_VARIED * bool((ranges != ranges[0]).any()), words(rows.ravel())


def saturating(rq: Channels, weights: np.ndarray, bias: np.ndarray, shift: int) -> Requantization | None:
    """Constants of the form `SMMLA; SSAT #8, ASR #shift`, a shift for all channels; None where some channel does not fit.

    weights: integers (out_c, taps). bias: folded, (out_c,).
    """
    scale = shift + 1 - rq.shift
    if is_signed(rq) or (rq.multiplier == 0).any() or (rq.shift < 1).any() or (scale < 2).any():
        return None
    low, high = reach(weights, bias)
    scaled = weights.astype(np.int64) << scale[:, None]
    if not (_fits(scaled, INT16) and _fits(low << scale, INT32) and _fits(high << scale, INT32)):
        return None
    addend = (1 << scale - 2) + (1 << shift - 1) + (rq.zero_point << shift)
    sums = [((end << scale) * rq.multiplier >> 32) + addend for end in (low, high)]
    return Requantization(scale, rq.multiplier, addend, np.full_like(scale, shift)) if _fits(np.array(sums), INT32) else None


def doubled(rq: Channels, weights: np.ndarray, bias: np.ndarray) -> Requantization | None:
    """Constants of the doubled form, which shifts by each channel's own shift; None where some channel does not fit. Arguments: as above."""
    if rare(rq).any():
        return None
    low, high = reach(weights, bias)
    if not (_fits(2 * low, INT32) and _fits(2 * high, INT32)):
        return None
    return Requantization(np.ones_like(rq.shift), rq.multiplier, 2 * rq.zero_point + 1 << rq.shift - 1, rq.shift)


def form(rq: Channels, weights: np.ndarray, bias: np.ndarray) -> tuple[int, Requantization | None]:
    """The cheaper of these two forms that fits, and its constants; arguments: as above."""
    found = saturating(rq, weights, bias, SATURATING_SHIFT)
    return (DOUBLED, doubled(rq, weights, bias)) if found is None else (SATURATING, found)


def constants(found: Requantization, form: int) -> np.ndarray:
    """int64 (out_c, 2), or (out_c, 3) of the doubled form: what the code of a form reads of each channel, the bias aside."""
    return np.stack([found.multiplier, found.addend, found.shift][:2 + form], axis=1)


def plain(rq: Channels, weights: np.ndarray, bias: np.ndarray) -> np.ndarray | None:
    """Constants of the form without a scale, int64 (out_c, 3): multiplier << 1, addend, shift; None where some channel does not fit."""
    if rare(rq).any():
        return None
    addend = 2 * rq.zero_point + 1 << rq.shift - 1
    low, high = (end * rq.multiplier >> 31 for end in reach(weights, bias))
    if not (_fits(low - 1 + addend, INT32) and _fits(high + 1 + addend, INT32)):
        return None
    return np.stack([rq.multiplier << 1, addend, rq.shift], axis=1)


def pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """uint32: int16 `first` in the low halves, `second` in the high ones."""
    return (first.astype(np.int64) & 0xFFFF | (second.astype(np.int64) & 0xFFFF) << 16).astype(np.uint32)


def by_lanes(values: np.ndarray) -> np.ndarray:
    """uint32 (.., n / 2): int16 values (.., n), n a multiple of four, as SXTB16 without and with ROR #8 leaves a word of four bytes."""
    fours = values.reshape(*values.shape[:-1], -1, 4)
    return np.stack([pairs(fours[..., 0], fours[..., 2]), pairs(fours[..., 1], fours[..., 3])], axis=-1).reshape(*values.shape[:-1], -1)


def words(values: np.ndarray) -> np.ndarray:
    """uint32: integers modulo 2^32."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32)


def reach(weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest accumulator of each channel over all int8 inputs."""
    positive, negative = (np.clip(weights.astype(np.int64), *limits).sum(axis=1) for limits in ((0, None), (None, 0)))
    return bias + INT8.min * positive + INT8.max * negative, bias + INT8.max * positive + INT8.min * negative


def packed(path: str, *parts: np.ndarray, scratch: int = 0, addresses: Mapping[int, str] | None = None) -> Packed:
    """A layer of these words, for the code `path`, whose address comes before them. addresses: by the index of a word of theirs."""
    found = np.concatenate([np.zeros(1, np.uint32), *parts])
    return Packed(found, scratch, {0: path, **{at + 1: name for at, name in (addresses or {}).items()}})


def grouped(values: np.ndarray, size: int) -> np.ndarray:
    """(n, ..) as (ceil(n / size), size, ..), filled up with 0."""
    fill = [(0, -len(values) % size), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, fill).reshape(-1, size, *values.shape[1:])


def _fits(values: np.ndarray, limits: np.iinfo) -> bool:
    return bool(values.min() >= limits.min and values.max() <= limits.max)
