"""One kernel's struct and input at random, of a given shape: what a layer of a trained network could be.

A shape is a mapping: `size` (h, w) and `in_c` of the input, and where the kernel has them `out_c`, `kernel` (h, w), `stride` (h, w)
and `padding` ("same", "valid").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from armsrc import abi
from kwsq import geometry
from kwsq.quantize import quantize_multiplier

ACTIVATIONS = ("relu", "none")
_SPREAD = 48.0  # standard deviation that outputs are scaled to


def sizes(kernel: str, shape: Mapping[str, Any]) -> dict[str, int]:
    """The fields of the struct that say sizes. ValueError, AbiError included, for a shape that no kernel handles."""
    (in_h, in_w), in_c = shape["size"], shape["in_c"]
    found = {"in_h": in_h, "in_w": in_w, "in_c": in_c}
    if abi.KERNELS[kernel][1]:
        found["out_c"] = shape.get("out_c", in_c)
    if "kernel" in shape:
        (kernel_h, kernel_w), (stride_h, stride_w) = shape["kernel"], shape["stride"]
        place = geometry.windows((in_h, in_w), shape["kernel"], shape["stride"], shape["padding"].upper())
        found |= {"out_h": place.out_h, "out_w": place.out_w, "kernel_h": kernel_h, "kernel_w": kernel_w,
                  "stride_h": stride_h, "stride_w": stride_w, "pad_top": place.top, "pad_left": place.left}
    abi.check_sizes(kernel, found)
    return found


def macs(kernel: str, fields: Mapping[str, int]) -> int:
    """Multiply-accumulates, windows over padding counted whole; 0 for a pool."""
    weights = abi.weights_shape(kernel, fields)
    if weights is None:
        return 0
    out_h, out_w, _ = abi.output_shape(kernel, fields)
    return out_h * out_w * math.prod(weights)


def sample(kernel: str, fields: Mapping[str, int], seed: int, *, activation: str = "relu",
           per_channel: bool = True) -> tuple[dict[str, Any], np.ndarray]:
    """(struct, input (H, W, C)) of these sizes; the same seed gives the same ones.

    Weights and inputs have all values of their type; accumulators are scaled so that outputs spread over int8.
    activation: "relu" or "none". per_channel: a requantizer a channel, or one for all.
    """
    random = np.random.default_rng(seed)
    draw = _floats if abi.is_float(kernel) else _integers
    return {**fields, **draw(kernel, fields, random, activation, per_channel)}, _input(kernel, fields, random)


def _input(kernel: str, fields: Mapping[str, int], random: np.random.Generator) -> np.ndarray:
    shape = abi.input_shape(kernel, fields)
    if abi.is_float(kernel):
        return random.normal(0, 1, shape).astype(np.float32)
    return random.integers(-128, 128, shape, np.int8)


def _integers(kernel: str, fields: Mapping[str, int], random: np.random.Generator, activation: str, per_channel: bool) -> dict[str, Any]:
    shape = abi.weights_shape(kernel, fields)
    if shape is None:
        return {"qmin": -128, "qmax": 127} if kernel.startswith("global") else {}
    weights = random.integers(-127, 128, shape, np.int8)
    taps = weights.size // fields["out_c"]
    deviation = math.sqrt(taps) * 74.0 * 74.0  # of a sum of products of numbers that are spread evenly over int8
    rows = fields["out_c"] if per_channel else 1
    multiplier, shift = quantize_multiplier(_SPREAD / deviation * random.uniform(0.7, 1.4, rows))
    zero_point = -128 if activation == "relu" else int(random.integers(-32, 33))
    columns = multiplier, shift, *(np.full(rows, value) for value in (zero_point, -128, 127))
    return {"input_zero_point": int(random.integers(-128, 128)), "per_channel": int(per_channel), "weights": weights,
            "bias": random.integers(-int(deviation), int(deviation) + 1, fields["out_c"], np.int32),
            "requant": np.stack(columns, axis=1).astype(np.int32)}


def _floats(kernel: str, fields: Mapping[str, int], random: np.random.Generator, activation: str, _per_channel: bool) -> dict[str, Any]:
    shape = abi.weights_shape(kernel, fields)
    if shape is None:
        return {}
    limit = float(np.finfo(np.float32).max)
    taps = math.prod(shape) // fields["out_c"]
    return {"act_min": 0.0 if activation == "relu" else -limit, "act_max": limit,
            "weights": random.normal(0, 1 / math.sqrt(taps), shape).astype(np.float32),
            "bias": random.normal(0, 1, fields["out_c"]).astype(np.float32)}
