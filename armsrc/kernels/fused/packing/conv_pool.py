"""Packs a convolution of one channel with the max pool behind it (conv2d_max_pool2d.S)."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from ...thumb2.packing import common, linear
from . import lanes

SHIFT, INPUT_SCALE = 16, 8  # of conv2d_max_pool2d.S
_COLUMNS, _SEGMENTS = 9, 6  # pooled columns a segment, segments that the frame holds
_AT_ONCE = 8  # filters whose results lie side by side
_AROUND = 8 + 512  # bytes of scratch around the results: CP_GARBAGE, CP_ROUND
_WINDOWS = 9  # conv_pool_lanes.inc: windows a segment


def conv_pool(conv: Params, pool: Params) -> Packed | None:
    """3x3 on one channel, stride 1, and 2x2 with stride 2, neither padded, no qmin below the zero point."""
    if not _fits(conv, pool):
        return None
    rq, weights = common.channels(conv), np.asarray(conv["weights"]).reshape(-1, 9)
    bias = common.folded_bias(conv, weights)
    if common.is_signed(rq):
        return None
    return _lanes(conv, pool, rq, weights, bias) or _walk(conv, pool, rq, weights, bias)


def _lanes(conv: Params, pool: Params, rq: common.Channels, weights: np.ndarray, bias: np.ndarray) -> Packed | None:
    """For conv_pool_lanes.inc; None for layers that have too large sums for it."""
    records = lanes.records(rq, weights.reshape(-1, 3, 3), bias, SHIFT)
    if records is None:
        return None
    segments = -(-pool["out_h"] // _WINDOWS)
    length = -(-pool["out_h"] // segments)
    flags, clamp = common.clamp(conv)
    header = [pool["out_w"], pool["out_h"], conv["out_c"], conv["in_w"], segments, length, pool["out_h"] - length, flags, len(records)]
    return common.packed("conv2d_max_pool2d_s8.lanes", common.words(header), records.ravel(), clamp, scratch=records.nbytes)


def _walk(conv: Params, pool: Params, rq: common.Channels, weights: np.ndarray, bias: np.ndarray) -> Packed | None:
    """For the others, up to 27 columns."""
    found = linear.find(rq, weights, bias, SHIFT, INPUT_SCALE) if pool["out_w"] <= _COLUMNS * _SEGMENTS // 2 else None
    if found is None:
        return None
    segments = -(-pool["out_w"] // _COLUMNS)
    length = -(-pool["out_w"] // segments)
    bands = -(-pool["out_h"] // (_SEGMENTS // (2 * segments)))
    rows = -(-pool["out_h"] // bands)
    flags, clamp = common.clamp(conv)
    header = [rows, pool["out_h"], pool["out_w"], conv["out_c"], conv["in_w"], segments, length, pool["out_w"] - length, flags]
    scaled = weights.astype(np.int64) << (found.scale - INPUT_SCALE)[:, None]
    pairs = [common.pairs(scaled[:, first], scaled[:, second]) for first, second in common.TAPS]
    filters = np.stack([*pairs, common.words(found.multiplier), common.words(found.addend)], axis=1)
    return common.packed("conv2d_max_pool2d_s8.walk", common.words(header), filters.ravel(), clamp,
                         scratch=_AROUND + 2 * rows * segments * length * _AT_ONCE)


def _fits(conv: Params, pool: Params) -> bool:
    plain = (conv["in_c"], conv["kernel_h"], conv["kernel_w"], conv["stride_h"], conv["stride_w"]) == (1, 3, 3, 1, 1)
    halves = (pool["kernel_h"], pool["kernel_w"], pool["stride_h"], pool["stride_w"]) == (2, 2, 2, 2)
    inside = conv["out_h"] <= conv["in_h"] - 2 and conv["out_w"] <= conv["in_w"] - 2
    whole = 2 * pool["out_h"] <= conv["out_h"] and 2 * pool["out_w"] <= conv["out_w"]
    unpadded = not (conv["pad_top"] or conv["pad_left"] or pool["pad_top"] or pool["pad_left"])
    return plain and halves and inside and whole and unpadded
