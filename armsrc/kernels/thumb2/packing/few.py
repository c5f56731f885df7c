"""Packs dense layers with few outputs for dense_few.inc, whose head says how its weights come about."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import biased, common, registers

_SHIFT = 14  # of the code, without addends
_FORM = 1 << 30
_TILE, _PASS = 8, 16  # channels, inputs
_MOST, _MOST_OF_BLOCK = 16, 10  # outputs; with 64 inputs, which registers.py is best at
_LANES = (0, 2, 1, 3)  # inputs of a group of four, as the code's words hold them


def dense(p: Params) -> Packed | None:
    """16, 32, .. inputs and few outputs with a line for each (biased.py), and without a weight of -128 beside a negative one."""
    weights, rq = np.asarray(p["weights"], np.int64), common.channels(p)
    out_c, in_c = weights.shape
    if in_c % _PASS or out_c > (_MOST_OF_BLOCK if in_c == registers.BLOCK else _MOST):
        return None
    even = np.pad(weights, ((0, out_c % 2), (0, 0)))
    halves = (even[0::2] + (even[1::2] << 8)).reshape(-1, in_c // 4, 4)[..., _LANES]
    if halves.min() < common.INT16.min:
        return None
    line = biased.find(rq, weights, common.folded_bias(p, weights), _SHIFT)
    if line is None:
        return None
    bias, addend, below, multiplier = (np.pad(field, (0, out_c % 2)).reshape(-1, 2) for field in (line.bias, line.addend, line.below, line.multiplier))
    words = common.pairs(halves[..., 0::2], halves[..., 1::2])
    constants = common.words(np.concatenate([bias[:, :1], *((below, addend) if line.is_bent else ()), multiplier], axis=1))
    flags, rows = common.clamp(p)
    tiles = [slice(at, at + _TILE // 2) for at in range(0, len(words), _TILE // 2)]
    stream = [part for tile in tiles
              for part in (common.words(bias[tile, 1]), np.moveaxis(words[tile], 0, -1).ravel(), constants[tile].ravel())]
    return Packed(np.concatenate([common.words([_FORM, out_c, line.is_bent, in_c, flags]), *stream, rows]))
