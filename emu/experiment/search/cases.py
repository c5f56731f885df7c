"""Calls of kernels that a schedule has to get right: a network's own structs at the ends of every range, and structs at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from armsrc import abi
from armsrc.kernelset import KernelSet
from emu import kws

EXTREMES = (-128, 127, 0)
_SIZES = (1, 2, 3, 4, 5, 7, 9)
_CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 16)
_WINDOWS = (((3, 3), (1, 1)), ((3, 3), (1, 1)), ((2, 2), (2, 2)), ((2, 2), (2, 2)), ((1, 1), (1, 1)), ((3, 3), (2, 2)), ((3, 2), (1, 2)))
_ATTEMPTS = 50  # at a struct, since not every window fits every input


@dataclass(frozen=True)
class Case:
    """structs: one a layer, two for a fused kernel. x: (H, W, C) int8 or float32."""

    kernel: str
    structs: tuple[dict[str, Any], ...]
    x: np.ndarray

    @property
    def second(self) -> dict[str, Any] | None:
        return self.structs[1] if len(self.structs) > 1 else None

    def reference(self) -> np.ndarray:
        """What the NumPy reference makes of it."""
        return kws.kernel_reference(self.kernel, self.structs[0], self.x, self.second)

    def __str__(self) -> str:
        sizes = [{name: value for name, value in params.items() if isinstance(value, int | np.integer)} for params in self.structs]
        return f"{self.kernel} with {' and '.join(map(str, sizes))}"


def cases(kernel: str, network: Sequence[Any], kernel_set: KernelSet, count: int, seed: int) -> Iterator[Case]:
    """Of one kernel: the network's layers at the ends of every range, then `count` at random; the same for the same seed."""
    parts, layers = abi.parts_of(kernel), list(network)
    for at in range(len(layers) - len(parts) + 1):
        together = layers[at:at + len(parts)]
        if tuple(layer.kernel for layer in together) == parts:
            structs = tuple(layer.params() for layer in together)
            for value in EXTREMES:
                yield Case(kernel, structs, np.full(abi.input_shape(parts[0], structs[0]), value, abi.dtype(parts[0])))
    random = np.random.default_rng(seed)
    for _ in range(count):
        if case := next(filter(None, (_drawn(kernel, parts, kernel_set, random) for _ in range(_ATTEMPTS))), None):
            yield case


def _drawn(kernel: str, parts: tuple[str, ...], kernel_set: KernelSet, random: np.random.Generator) -> Case | None:
    """A call at random; None where what was drawn is not legal, or not what the kernel set merges."""
    structs: list[dict[str, Any]] = []
    x = None
    for part in parts:
        shape = _shape(part, random)
        if structs:
            *shape["size"], shape["in_c"] = abi.output_shape(parts[0], structs[0])
            shape["size"] = tuple(shape["size"])
        try:
            params, drawn = kws.kernel_sample(part, kws.kernel_sizes(part, shape), int(random.integers(1 << 32)),
                                              activation=("relu", "none")[int(random.integers(2))], per_channel=bool(random.integers(2)))
        except ValueError:
            return None
        x = drawn if x is None else x
        structs.append(params)
    if len(parts) > 1 and not kernel_set.fuses(kernel, *structs):
        return None
    return Case(kernel, tuple(structs), x)


def _shape(kernel: str, random: np.random.Generator) -> dict[str, Any]:
    """As kwsq.synthetic takes it."""
    def one(choices: Sequence[Any]) -> Any:
        return choices[int(random.integers(len(choices)))]

    found: dict[str, Any] = {"size": (1, 1) if kernel.startswith("dense") else (one(_SIZES), one(_SIZES)), "in_c": one(_CHANNELS)}
    if abi.KERNELS[kernel][1]:
        found["out_c"] = found["in_c"] if kernel.startswith("depthwise") else one(_CHANNELS)
    if kernel.startswith(("conv2d", "depthwise", "max_pool")):
        kernel_size, stride = one(_WINDOWS)
        found |= {"kernel": kernel_size, "stride": stride, "padding": one(("same", "valid"))}
    return found
