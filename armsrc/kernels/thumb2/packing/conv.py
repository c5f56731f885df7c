"""Packs convolutions with one input channel for the kernels that keep a filter in the registers (conv2d_walk.inc)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

# The first word of a packed layer, behind those of matmul.py: which code takes it.
WALK, TALL = 16, 17
_PAIRS, _BLOCK, _FRAME = 10, 128, 768  # conv2d_walk.inc: pairs of columns a block, bytes of a block and of all in the frame
_AT_ONCE = 8  # filters whose results lie side by side
_TAPS = ((0, 3), (1, 4), (2, 5), (6, 7), (7, 8))  # of a filter's words
_OUTPUTS, _ROWS, _COLUMNS = 5, 10, 4  # conv2d_tall.inc: outputs one below the other, the largest window


def walk(p: Params) -> Packed | None:
    """3x3 windows on one channel, stride 1 or 2 across, where every channel has a saturating requantization."""
    if (p["in_c"], p["kernel_h"], p["kernel_w"]) != (1, 3, 3) or p["stride_w"] > 2 or p["out_w"] < 2:
        return None
    pairs = p["out_w"] + 1 if p["stride_w"] == 2 else (p["out_w"] + 3) // 2
    blocks, first = -(-pairs // _PAIRS), -pairs % _PAIRS
    room = _FRAME // (blocks * _BLOCK - (12 * first & ~7))  # the first block of a row begins with its first pair
    if not room:
        return None
    bands = -(-p["out_h"] // room)
    rows = -(-p["out_h"] // bands)
    pitch = 0 if _inside(p, 2 * pairs) else max(8, -(-2 * pairs // 4) * 4)
    results = 0 if p["out_c"] == _AT_ONCE else rows * p["out_w"] * _AT_ONCE
    odd = p["stride_w"] == 1 and p["out_w"] % 2
    header = [WALK, p["stride_w"], first, (first + 1) % _PAIRS, blocks, odd, rows, pitch,
              min(p["in_w"], 2 * pairs - p["pad_left"]), results]
    weights = np.asarray(p["weights"]).reshape(-1, 9)
    return _packed(p, header, weights, _TAPS, 3, pitch * ((rows - 1) * p["stride_h"] + 3) + results, bias_at=5)


def tall(p: Params) -> Packed | None:
    """Windows of up to 10 x 4 on one channel, stride 1 or 2 down, where every channel has a saturating requantization."""
    kernel_h, kernel_w, stride = p["kernel_h"], p["kernel_w"], p["stride_h"]
    if p["in_c"] > 1 or stride > 2 or not (_ROWS - 4 < kernel_h <= _ROWS and kernel_w <= _COLUMNS) or p["out_h"] < _OUTPUTS:
        return None
    columns = (p["out_w"] - 1) * p["stride_w"] + _COLUMNS
    pitch = max(8, -(-columns // 4) * 4)
    halves = np.arange(_ROWS).reshape(2, -1) if stride == 1 else np.arange(_ROWS).reshape(-1, 2).T  # rows of the window
    header = [TALL, halves[1, 0], 0, 0, 0, 0, 0, pitch, min(p["in_w"], columns - p["pad_left"]), 0]
    weights = np.zeros((p["out_c"], _ROWS, _COLUMNS), np.int64)
    weights[:, :kernel_h, :kernel_w] = np.asarray(p["weights"])[..., 0]
    taps = [(row * _COLUMNS + first, row * _COLUMNS + first + 2) for half in halves for first in (0, 1) for row in half]
    scratch = pitch * ((_OUTPUTS - 1) * stride + _ROWS)
    return _packed(p, header, weights.reshape(p["out_c"], -1), taps, _ROWS, scratch, bias_at=0)


def _packed(p: Params, header: list[int], weights: np.ndarray, taps: Sequence[tuple[int, int]], reach: int, scratch: int,
            bias_at: int) -> Packed | None:
    """The header, its rest, and each filter: the pairs of taps and the bias, multiplier, addend. weights: (out_c, taps)."""
    bias = common.folded_bias(p, weights)
    found = common.saturating(common.channels(p), weights, bias, common.SATURATING_SHIFT)
    if found is None:
        return None
    scaled = weights.astype(np.int64) << found.scale[:, None]
    filters = [common.pairs(scaled[:, a], scaled[:, b]) for a, b in taps]
    filters.insert(bias_at, common.words(bias << found.scale))
    filters += map(common.words, (found.multiplier, found.addend))
    flags, ranges = common.clamp(p)
    header = [*header, flags, reach, 4 * len(filters) * p["out_c"]]
    return Packed(np.concatenate([common.words(header), np.stack(filters, axis=1).ravel(), ranges]), scratch)


def _inside(p: Params, columns: int) -> bool:
    """Whether all windows lie in the input, and that many columns."""
    return not p["pad_top"] | p["pad_left"] and columns <= p["in_w"] and (p["out_h"] - 1) * p["stride_h"] + 3 <= p["in_h"]
