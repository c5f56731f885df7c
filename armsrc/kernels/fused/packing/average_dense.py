"""Packs a global average pool with the dense layer behind it (global_avg_pool2d_dense.S)."""

from __future__ import annotations

import numpy as np

from armsrc import abi
from armsrc.abi import Params
from armsrc.kernelset import Packed

from ...thumb2.pack import pack
from ...thumb2.packing import common

_BLOCK = 16  # channels
_PIXELS = range(3, 257)
_PASS = 8  # pixels of a pass of the code


def average_dense(average: Params, dense: Params) -> Packed | None:
    """3 to 256 pixels of 16, 32, .. channels, their means not clamped; a dense layer that thumb2 packs, whose code reads no struct."""
    pixels, in_c = average["in_h"] * average["in_w"], average["in_c"]
    whole = (average["qmin"], average["qmax"]) == (common.INT8.min, common.INT8.max)
    behind = None if in_c % _BLOCK or pixels not in _PIXELS or not whole else pack("dense_s8", dense)
    if behind is None:
        return None
    header = common.words([in_c, pixels * in_c, (1 - pixels) % _PASS, (2**32 - 1) // pixels + 2])
    addresses = {at + len(header): name for at, name in behind.addresses.items()}
    scratch = in_c + max(behind.scratch, abi.scratch_bytes("dense_s8", dense))
    return Packed(np.concatenate([header, behind.words]), scratch, addresses)
