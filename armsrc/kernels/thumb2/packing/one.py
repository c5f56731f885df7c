"""Packs dense layers with one output or two for dense_one.inc, whose head says what its stream is."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

_PASS = 16  # inputs
_FEW = 64  # inputs; from here on whole passes cost less in dense_few.inc
_LANES = (0, 2, 1, 3)  # inputs of a group of four, as the code's words hold them


def dense(p: Params) -> Packed | None:
    """One output, or two where dense_few.inc takes more cycles."""
    few = p["in_c"] % _PASS == 0 and p["in_c"] >= _FEW
    return _packed(p) if p["out_c"] == 1 or (p["out_c"] == 2 and not few) else None


def two(p: Params) -> Packed | None:
    """Two outputs that dense_few.inc does not take."""
    return _packed(p) if p["out_c"] == 2 else None


def _packed(p: Params) -> Packed | None:
    """None where a requantizer is rare."""
    weights = np.asarray(p["weights"], np.int64)
    out_c, in_c = weights.shape
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    constants = common.plain(rq, weights, bias)
    if constants is None:
        return None
    whole = in_c // 4 * 4
    groups = weights[:, :whole].reshape(out_c, -1, 4)[..., _LANES]
    fours = common.pairs(groups[..., 0::2], groups[..., 1::2]).swapaxes(0, 1)
    header = [in_c // _PASS, in_c % _PASS // 4, in_c % 4, out_c]
    flags, rows = common.clamp(p)
    return common.packed("dense_s8.one", common.words([*header, flags]), common.words(bias), fours.ravel(),
                         common.words(weights[:, whole:].T.ravel()), common.words(constants.ravel()), rows)
