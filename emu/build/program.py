"""What a generated network.c holds, as its exporter's manifest says: layers, their kernels, and which symbol plays which part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tensor:
    """Where an array lies in the image: a symbol, a shape (C order) and an element type."""

    symbol: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Tensor:
        return cls(row["symbol"], tuple(row["shape"]), np.dtype(row["dtype"]))


@dataclass(frozen=True)
class Layer:
    """One layer of the program, or several that one kernel takes. tensors: part ("input", "weights", ...) -> symbol; sizes in bytes.

    covers: how many of the network's layers. scratch_bytes: what the kernel may use of the scratch that all layers share.
    """

    name: str
    kernel: str
    macs: int
    weight_bytes: int
    activation_bytes: int
    output: Tensor
    tensors: Mapping[str, str]
    covers: int = 1
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Program:
    """A network as it stands in an image."""

    name: str
    dtype: np.dtype
    input: Tensor
    layers: tuple[Layer, ...]

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Program:
        """From what the exporter returns beside the C text."""
        layers = tuple(Layer(row["name"], row["kernel"], row["macs"], row["weight_bytes"], row["activation_bytes"],
                             Tensor.of(row["output"]), dict(row["tensors"]), row["covers"],
                             row["scratch_bytes"]) for row in manifest["layers"])
        return cls(manifest["network"], np.dtype(manifest["dtype"]), Tensor.of(manifest["input"]), layers)
