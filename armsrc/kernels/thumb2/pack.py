"""What is packed ahead of time for the kernels of this set (armsrc/kernelset.py says what `pack` is)."""

from __future__ import annotations

from collections.abc import Callable

from armsrc.abi import Params
from armsrc.kernelset import Packed

from .packing import chains, conv, conv_chains, dense, few, matmul, narrow, one, registers, settled, taps

# kernel -> what may pack its layers, by the path that they choose; the first that takes a layer does.
PACKERS: dict[str, tuple[Callable[[Params], Packed | None], ...]] = {
    "conv2d_s8": (narrow.convolution, one.convolution, conv.walk, conv.tall, conv_chains.convolution, conv.colours, matmul.convolution),
    "dense_s8": (few.dense, one.dense, registers.dense, dense.dense),
    "depthwise_conv2d_s8": (taps.cheapest,),
    "pointwise_conv2d_s8": (narrow.pointwise, chains.pointwise, matmul.pointwise),
}


def pack(kernel: str, *params: Params) -> Packed | None:
    """The tables of a layer as its kernel wants them; None where no packer takes it."""
    packers = PACKERS.get(kernel, ())
    layers = [settled.settled(p, channels_at=-1 if kernel == "depthwise_conv2d_s8" else 0) for p in params] if packers else []
    return next(filter(None, (packer(*layers) for packer in packers)), None)
