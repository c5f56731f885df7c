"""Packs a depthwise layer with the pointwise layer behind it (depthwise_pointwise_conv2d.S)."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from ...thumb2.packing import common, linear

SHIFT, INPUT_SCALE = 16, 8  # of both layers, in depthwise_pointwise_conv2d.S
_COLUMNS, _ROWS = 8, 8  # outputs that the frame holds the inputs of
_LEAST_COLUMNS = 5
_CHANNELS = 8
_PIXEL = 16  # bytes of a pixel in the tile
_EVEN = ((0, 3), (1, 4), (2, 5), (6, 7), (8, 9))  # taps of a channel's words for rows of even number, for odd ones; 9 is 0
_ODD = ((3, 6), (4, 7), (5, 8), (0, 1), (2, 9))


def depthwise_pointwise(depthwise: Params, pointwise: Params) -> Packed | None:
    """3x3 on eight channels, stride 1, not padded, of the whole int8 range with a zero point of -128 or -1, at least five columns; and a
    pointwise layer where no qmin lies below the zero point."""
    if not _fits(depthwise):
        return None
    of_depthwise, of_pointwise = common.channels(depthwise), common.channels(pointwise)
    taps, weights = np.asarray(depthwise["weights"]).reshape(9, -1).T, np.asarray(pointwise["weights"])
    first = linear.find(of_depthwise, taps, common.folded_bias(depthwise, taps), SHIFT, INPUT_SCALE, bent=True)
    pointwise_rows = of_pointwise, weights, common.folded_bias(pointwise, weights), SHIFT, INPUT_SCALE
    second = linear.find(*pointwise_rows, alike=True) or linear.find(*pointwise_rows)
    if first is None or second is None or common.clamp(depthwise)[0]:
        return None
    height, width = depthwise["out_h"], depthwise["out_w"]
    rows = -(-height // -(-height // _ROWS))
    segments = -(-width // _COLUMNS)
    length = -(-width // segments)
    flags, clamp = common.clamp(pointwise)
    tile = -(-(rows * length + 1) * _PIXEL // 64) * 64  # the kernel clears as many bytes at once
    multiplier = second.multiplier[0] if (second.multiplier == second.multiplier[0]).all() else 0
    header = [rows, height, width, depthwise["in_w"] * _CHANNELS, pointwise["out_c"], segments, length, width - length, tile // 4, flags,
              int(first.below.any()), multiplier]
    scaled = np.pad(taps.astype(np.int64) << (first.scale - INPUT_SCALE)[:, None], ((0, 0), (0, 1)))
    even, odd = ([common.pairs(scaled[:, low], scaled[:, high]) for low, high in words] for words in (_EVEN, _ODD))
    channels = np.stack([*even, *map(common.words, (first.multiplier, first.addend, first.below)), *odd], axis=1)
    scaled = weights.astype(np.int64) << (second.scale - INPUT_SCALE)[:, None]
    own = (second.addend,) if multiplier else (second.addend, second.multiplier)
    slots = np.stack([*common.pairs(scaled[:, ::2], scaled[:, 1::2]).T, *map(common.words, own)], axis=1)
    return Packed(np.concatenate([common.words(header), channels.ravel(), slots.ravel(), clamp]), tile)


def _fits(depthwise: Params) -> bool:
    sizes = ("in_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")
    plain = tuple(depthwise[size] for size in sizes) == (_CHANNELS, 3, 3, 1, 1, 0, 0)
    inside = depthwise["out_h"] <= depthwise["in_h"] - 2 and depthwise["out_w"] <= depthwise["in_w"] - 2
    return plain and inside and depthwise["out_w"] >= _LEAST_COLUMNS
