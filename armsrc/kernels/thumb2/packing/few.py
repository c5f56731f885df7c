"""Packs dense layers with few outputs for dense_few.inc, whose head says how its weights come about."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import biased, common, registers

_SHIFT, _BENT_SHIFT, _ALIKE_SHIFT = 14, 14, 13  # of the code
_PLAIN, _BENT, _ALIKE = range(3)  # requantizers
_TILE, _PASS = 8, 4  # channels; groups of four inputs
_RATES = {8: 41.25, 6: 30.75, 4: 21.75, 2: 12.25}  # cycles of a tile for four inputs
_LANES = (0, 2, 1, 3)  # inputs of a group of four, as the code's words hold them


def dense(p: Params) -> Packed | None:
    """What is cheaper here than with registers.py, with a line for each (biased.py), and without a weight of -128 beside a negative one."""
    weights, rq = np.asarray(p["weights"], np.int64), common.channels(p)
    out_c, in_c = weights.shape
    if cycles(in_c, out_c) > registers.cycles(in_c, out_c):
        return None
    groups = -(-in_c // 4)
    even = np.pad(weights, ((0, out_c % 2), (0, groups * 4 - in_c)))
    halves = (even[0::2] + (even[1::2] << 8)).reshape(-1, groups, 4)[..., _LANES]
    if halves.min() < common.INT16.min:
        return None
    folded = common.folded_bias(p, weights)
    found = _line(rq, common.reach(weights, folded))
    if found is None:
        return None
    line, form = found
    bias, addend, below, multiplier = (np.pad(np.broadcast_to(field, out_c), (0, out_c % 2)).reshape(-1, 2) for field in (
        (folded << biased.SCALE) + line.more, line.addend, line.below, line.multiplier))
    words = common.pairs(halves[..., 0::2], halves[..., 1::2])
    own = np.concatenate([bias[:, :1], *[(multiplier,), (below, addend, multiplier), ()][form]], axis=1)
    shared = [part[0, :1] for part in (addend, below, multiplier)] if form == _ALIKE else []
    flags, rows = common.clamp(p)
    tiles = [slice(at, at + _TILE // 2) for at in range(0, len(words), _TILE // 2)]
    stream = [part for tile in tiles
              for part in (common.words(bias[tile, 1]), np.moveaxis(words[tile], 0, -1).ravel(), *map(common.words, shared), common.words(own[tile].ravel()))]
    return common.packed("dense_s8.few", common.words([in_c % 4 << 8 | -groups % _PASS, out_c, form, groups * 4, flags]), *stream, rows)


def _line(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray]) -> tuple[biased.Line, int] | None:
    """Lines, and their form; one line where bent ones are alike."""
    plain = biased.find(rq, reach, _SHIFT, bent=False)
    if plain:
        return plain, _PLAIN
    if all((field == field[0]).all() for field in rq):
        one = biased.find(common.Channels(*(field[:1] for field in rq)), (reach[0].min(keepdims=True), reach[1].max(keepdims=True)), _ALIKE_SHIFT, bent=True)
        if one:
            return one, _ALIKE
    bent = biased.find(rq, reach, _BENT_SHIFT, bent=True)
    return (bent, _BENT) if bent else None


def cycles(in_c: int, out_c: int) -> float:
    """What a call takes, about."""
    groups, even = -(-in_c // 4), out_c + out_c % 2
    tiles = [_TILE] * (even // _TILE) + [even % _TILE] * (even % _TILE > 0)
    copied = (20 + 6 * groups) * (in_c % 4 > 0)
    return 50 + copied + sum(_RATES[tile] * groups + 20 + 9 * tile for tile in tiles)
