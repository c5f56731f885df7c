"""Channels whose answer is settled: the same for every input.

A dead one, whose requantizer is rare, would keep its whole layer from being packed.
"""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params

from . import common, linear

_MULTIPLIER, _SHIFT = 1 << 30, 8  # that the forms take; an accumulator of a 2^(_SHIFT + 1) is requantized to a, without a rounding


def settled(p: Params, channels_at: int) -> Params:
    """The layer with such channels made of no weights and a bias, where their requantizers are rare. channels_at: of weights, the axis."""
    rq = common.channels(p)
    rare = common.rare(rq)
    if not rare.any():
        return p
    weights = np.moveaxis(np.array(p["weights"]), channels_at, 0)
    by_channel = weights.reshape(len(weights), -1)
    least, most = (linear.answers(rq, end[:, None])[:, 0] for end in common.reach(by_channel, common.folded_bias(p, by_channel)))
    same = rare & (least == most)  # y never falls as the accumulator grows
    if not same.any():
        return p
    weights[same] = 0
    bias = np.where(same, least - rq.zero_point << _SHIFT + 1, p["bias"]).astype(np.int32)
    rows = np.stack([np.where(same, _MULTIPLIER, rq.multiplier), np.where(same, _SHIFT, rq.shift), *rq[2:]], axis=1).astype(np.int32)
    return {**p, "weights": np.moveaxis(weights, 0, channels_at), "bias": bias, "requant": rows, "per_channel": 1}
