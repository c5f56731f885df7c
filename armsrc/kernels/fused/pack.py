"""Pairs of layers that this set takes in one call, and what is packed for them (armsrc/kernelset.py says what `pack` and `fuses` are)."""

from __future__ import annotations

from collections.abc import Callable

from armsrc.abi import Params
from armsrc.kernelset import Packed

from .packing import average_dense, conv_pool, depthwise_pointwise

PACKERS: dict[str, Callable[[Params, Params], Packed | None]] = {
    "conv2d_max_pool2d_s8": conv_pool.conv_pool,
    "depthwise_pointwise_conv2d_s8": depthwise_pointwise.depthwise_pointwise,
    "global_avg_pool2d_dense_s8": average_dense.average_dense,
}


def fuses(kernel: str, first: Params, second: Params) -> bool:
    """Whether the kernel takes these two layers."""
    return pack(kernel, first, second) is not None


def pack(kernel: str, *params: Params) -> Packed | None:
    """What the kernel reads of two layers; None for pairs that it does not take."""
    packer = PACKERS.get(kernel)
    return packer(*params) if packer and len(params) == 2 else None
