"""What the two references share: a layer, a network or an ABI function run by NumPy functions, one a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kwsq import layers


class Inference:
    """Runs layers by `functions`: kernel -> its output for a layer and an input that fits it."""

    def __init__(self, functions: Mapping[str, Callable[[Any, np.ndarray], np.ndarray]]) -> None:
        self._functions = functions

    def run_layer(self, layer: layers.Layer, x: np.ndarray) -> np.ndarray:
        """Output of one layer: x of `layer.input_shape` or a batch of those, the output of `layer.output_shape` likewise."""
        if layer.kernel not in self._functions:
            raise ValueError(f"layer {layer.name!r} is {layer.dtype}: kwsq.reference runs int8, kwsq.float_reference float32")
        return self._functions[layer.kernel](layer, layers.fit_input(layer, x))

    def run(self, network: layers.Network, x: np.ndarray) -> list[np.ndarray]:
        """The output of every layer of a network, in order; x (H, W, C) or (N, H, W, C) of the network's dtype."""
        outputs = []
        for layer in network:
            x = self.run_layer(layer, x)
            outputs.append(x)
        return outputs

    def run_kernel(self, kernel: str, params: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
        """What the ABI function `kernel` must write for the parameter struct `params` (as armsrc.abi describes it)."""
        return self.run_layer(layers.from_params(kernel, params), x)
