"""Packs a global average pool with the dense layer behind it (global_avg_pool2d_dense.S)."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from ...thumb2.packing import common

_BLOCK = 16  # channels
_PIXELS = range(3, 257)
_PASS, _TILE = 8, 5  # pixels of a pass of the code, outputs of a tile


def average_dense(average: Params, dense: Params) -> Packed | None:
    """3 to 256 pixels of 16, 32, .. channels, their means not clamped; a dense layer with one requantizer, and no rare one."""
    pixels, in_c = average["in_h"] * average["in_w"], average["in_c"]
    weights = np.asarray(dense["weights"], np.int64)
    constants = common.plain(common.channels(dense), weights, common.folded_bias(dense, weights))
    whole = (average["qmin"], average["qmax"]) == (common.INT8.min, common.INT8.max)
    if in_c % _BLOCK or pixels not in _PIXELS or not whole or constants is None or (constants != constants[0]).any():
        return None
    flags, clamp = common.clamp(dense)
    header = [in_c, pixels * in_c, (1 - pixels) % _PASS, (2**32 - 1) // pixels + 2, dense["out_c"], flags]
    beyond = -dense["out_c"] % _TILE
    bias = np.pad(common.folded_bias(dense, weights), (0, beyond)).reshape(-1, _TILE)
    lanes = common.by_lanes(np.pad(weights, ((0, beyond), (0, 0)))).reshape(len(bias), _TILE, -1)
    words = np.swapaxes(lanes, 1, 2).reshape(len(bias), -1)
    tail = np.broadcast_to(common.words(constants[0]), (len(bias), 3))
    stream = np.concatenate([common.words(bias), words, tail], axis=1)
    return Packed(np.concatenate([common.words(header), stream.ravel(), clamp]), 2 * in_c)
