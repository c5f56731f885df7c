"""Packs dense layers for dense_packed.inc, whose head says how its weights and its bias come about."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

_TILE = 5  # channels


def dense(p: Params) -> Packed | None:
    """Any dense layer without rare requantizers."""
    weights = np.asarray(p["weights"], np.int64)
    out_c, in_c = weights.shape
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    constants = common.plain(rq, weights, bias)
    if constants is None:
        return None
    groups = -(-in_c // 4)
    padded = np.pad(weights, ((0, 0), (0, groups * 4 - in_c)))
    offset = (padded + [128, 0] * (groups * 2)).astype(np.uint8).view("<u4")
    biases = common.words(bias + 128 * padded[:, 1::2].sum(axis=1))
    varied = bool(p["per_channel"])
    cuts = range(0, out_c, _TILE)
    tiles = [np.concatenate([biases[at:at + _TILE], offset[at:at + _TILE].T.ravel(),
                             common.words(constants[at:at + (_TILE if varied else 1)]).ravel()]) for at in cuts]
    whole = sum(tile.nbytes for tile in tiles[:out_c // _TILE])
    flags, rows = common.clamp(p)
    header = common.words([in_c, groups, whole, out_c % _TILE, varied, flags, out_c])
    return common.packed("dense_s8.packed", header, *tiles, rows, scratch=groups * 8)
