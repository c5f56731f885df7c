"""Packs convolutions with one input channel for the kernels that keep a filter in the registers (conv2d_walk.inc)."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

# The first word of a packed layer, behind those of matmul.py: which code takes it.
WALK = 16
_PAIRS, _BLOCKS = 10, 7  # pairs of columns a block, blocks that the kernel's frame holds
_AT_ONCE = 8  # filters whose results lie side by side
_TAPS = ((0, 3), (1, 4), (2, 5), (6, 7), (7, 8))  # of a filter's words


def walk(p: Params) -> Packed | None:
    """3x3 windows on one channel, stride 1 or 2 across, where every channel has a saturating requantization."""
    if (p["in_c"], p["kernel_h"], p["kernel_w"]) != (1, 3, 3) or p["stride_w"] > 2 or p["out_w"] < 2:
        return None
    weights = np.asarray(p["weights"]).reshape(-1, 9)
    bias = common.folded_bias(p, weights)
    found = common.saturating(common.channels(p), weights, bias, common.SATURATING_SHIFT)
    pairs = p["out_w"] + 1 if p["stride_w"] == 2 else (p["out_w"] + 3) // 2
    blocks = -(-pairs // _PAIRS)
    if found is None or blocks > _BLOCKS:
        return None
    bands = -(-p["out_h"] // (_BLOCKS // blocks))
    rows = -(-p["out_h"] // bands)
    pitch = 0 if _inside(p, 2 * pairs) else -(-2 * pairs // 4) * 4
    results = 0 if p["out_c"] == _AT_ONCE else rows * p["out_w"] * _AT_ONCE
    flags, ranges = common.clamp(p)
    odd = p["stride_w"] == 1 and p["out_w"] % 2
    header = [WALK, p["stride_w"], -pairs % _PAIRS, (1 - pairs) % _PAIRS, blocks, odd, rows, pitch,
              min(p["in_w"], 2 * pairs - p["pad_left"]), results, flags]
    scaled = weights.astype(np.int64) << found.scale[:, None]
    filters = [common.pairs(scaled[:, a], scaled[:, b]) for a, b in _TAPS]
    filters += map(common.words, (bias << found.scale, found.multiplier, found.addend))
    words = np.concatenate([common.words(header), np.stack(filters, axis=1).ravel(), ranges])
    return Packed(words, scratch=pitch * ((rows - 1) * p["stride_h"] + 3) + results)


def _inside(p: Params, columns: int) -> bool:
    """Whether all windows lie in the input, and that many columns."""
    return not p["pad_top"] | p["pad_left"] and columns <= p["in_w"] and (p["out_h"] - 1) * p["stride_h"] + 3 <= p["in_h"]
