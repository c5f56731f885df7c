"""Legal parameter structs at random: shapes, padding, requantizers and the extreme values that the ABI allows.

A seed makes a case, so hypothesis tries as many different ones as it is asked for: of choices one by one it repeats most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from armsrc import abi

Params = dict[str, Any]

INT8_KERNELS = [kernel for kernel in abi.KERNELS if not abi.is_float(kernel)]
FLOAT_KERNELS = [kernel for kernel in abi.KERNELS if abi.is_float(kernel)]
STYLES = ("random", "all_min", "all_max", "sparse", "rails")  # of weights, and of biases
INPUTS = ("random", "random", "all_min", "all_max")
SMALL = 9  # of inputs about their zero point, in cases that are about rounding


class Draw:
    """What chance chooses. random: for arrays."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def int(self, low: int, high: int) -> int:
        """Both ends included."""
        return int(self.random.integers(low, high + 1))

    def of(self, choices: Sequence[Any]) -> Any:
        return choices[self.int(0, len(choices) - 1)]

    def once_in(self, times: int) -> bool:
        return self.int(1, times) == 1


def _seeded(make: Callable[..., Any], kernel: str) -> st.SearchStrategy[Any]:
    return st.integers(0, 2**32 - 1).map(lambda seed: make(Draw(seed), kernel))


def cases(kernel: str) -> st.SearchStrategy[tuple[Params, np.ndarray, dict[str, int]]]:
    """(struct, input (H, W, C), byte offsets of the arrays) for that kernel."""
    return _seeded(_case, kernel)


def fused_cases(kernel: str) -> st.SearchStrategy[tuple[tuple[Params, Params], np.ndarray, dict[str, int]]]:
    """(two structs, input (H, W, C), byte offsets) for a fused kernel: pairs of the kind that such kernels are for, and others."""
    return _seeded(_fused_case, kernel)


def _case(draw: Draw, kernel: str) -> tuple[Params, np.ndarray, dict[str, int]]:
    params, style, of_input = shapes(draw, kernel), draw.of(STYLES), draw.of(INPUTS)
    if abi.is_float(kernel):
        if abi.KERNELS[kernel][1]:
            params |= float_arithmetic(draw, kernel, params)
        return params, draw.random.normal(0, 4, abi.input_shape(kernel, params)).astype(np.float32), {}
    if abi.KERNELS[kernel][1]:
        params |= arithmetic(draw, kernel, params, style)
        if draw.once_in(2):
            _usual(draw, kernel, params)
        if style == "rails" and draw.once_in(2):
            of_input = _to_the_rails(kernel, params)
        elif draw.once_in(4):
            return params, _to_halves(draw, kernel, params), _offsets(draw)
    elif kernel == "global_avg_pool2d_s8":
        params["qmin"], params["qmax"] = sorted((draw.int(-128, 127), draw.int(-128, 127)))
    return params, _input(draw, of_input, abi.input_shape(kernel, params)), _offsets(draw)


def _offsets(draw: Draw) -> dict[str, int]:
    return {name: draw.int(0, 3) for name in ("input", "output", "weights")}


def _input(draw: Draw, style: str, shape: tuple[int, ...]) -> np.ndarray:
    if style == "random":
        return draw.random.integers(-128, 128, shape).astype(np.int8)
    return np.full(shape, {"all_min": -128, "all_max": 127}[style], np.int8)


def _to_the_rails(kernel: str, params: Params) -> str:
    """Weights and biases, a channel's of one sign, with which this input brings accumulators of windows without padding to an end of int32."""
    by_channel = np.abs(params["weights"].astype(np.int64)).clip(0, 127)
    by_channel = by_channel.reshape(-1, params["out_c"]).T if abi.KERNELS[kernel][1] == "HWC" else by_channel.reshape(params["out_c"], -1)
    sign = np.where(params["bias"] < 0, -1, 1)
    room = ((1 << 31) - 1 >> max(0, -params["requant"][:, 1].min())) - 255 * by_channel.sum(axis=1)
    by_channel *= sign[:, None]
    params["weights"] = (by_channel.T if abi.KERNELS[kernel][1] == "HWC" else by_channel).reshape(params["weights"].shape).astype(np.int8)
    params["bias"], params["input_zero_point"] = (sign * room).astype(np.int32), -128
    return "all_max"


def _to_halves(draw: Draw, kernel: str, params: Params) -> np.ndarray:
    """Weights, biases and shifts so small that outputs are not clamped, and many accumulators stand at a half or beside one; and an input."""
    random = draw.random
    params["weights"] = random.integers(-1, 2, params["weights"].shape).astype(np.int8)
    params["bias"] = random.integers(-9, 10, params["out_c"]).astype(np.int32)
    params["requant"][:, 0] = np.where(random.random(len(params["requant"])) < 0.5, 1 << 30, params["requant"][:, 0].clip(1 << 30))
    params["requant"][:, 1] = random.integers(1, 5, len(params["requant"]))
    middle = np.clip(params["input_zero_point"], SMALL - 128, 127 - SMALL)
    return (middle + random.integers(-SMALL, SMALL + 1, abi.input_shape(kernel, params))).astype(np.int8)


def shapes(draw: Draw, kernel: str) -> Params:
    """The fields that say sizes, small enough to run in milliseconds, with every special case of a kernel within reach."""
    def channels() -> int:
        return draw.of([1, 2, 3, 4, 8, 16]) if draw.once_in(2) else draw.int(1, 20)

    params: Params = {}
    params["in_h"], params["in_w"] = (1, 1) if kernel.startswith("dense") else (draw.int(1, 9), draw.int(1, 9))
    params["in_c"] = draw.int(1, 70) if kernel.startswith("dense") else channels()
    if "conv2d" in kernel or kernel.startswith("dense"):
        params["out_c"] = params["in_c"] if kernel.startswith("depthwise") else channels()
    if kernel.startswith(("conv2d", "depthwise", "max_pool")):
        params |= _window(draw, kernel, params)
    return params


def _window(draw: Draw, kernel: str, params: Params) -> Params:
    """Kernel, strides, padding and output; half of them the 3x3 and the 2x2 that fast paths are for."""
    found: Params = {}
    square, strides = (2, (2,)) if kernel.startswith("max_pool") else (3, (1, 2))
    common, stride = draw.once_in(2), draw.of(strides)
    for axis, pad in (("h", "pad_top"), ("w", "pad_left")):
        extent = params[f"in_{axis}"]
        size, step = (square, stride) if common else (draw.int(1, 5), draw.int(1, 3))
        before = draw.int(0, size - 1) if draw.once_in(2) else 0
        most, inside = (extent - 1 + before) // step + 1, (extent + before - size) // step + 1
        out = inside if inside >= 1 and draw.once_in(2) else draw.int(1, most)
        found |= {f"kernel_{axis}": size, f"stride_{axis}": step, pad: before, f"out_{axis}": out}
    return found


def _fused_case(draw: Draw, kernel: str) -> tuple[tuple[Params, Params], np.ndarray, dict[str, int]]:
    first, second = abi.FUSED[kernel]
    structs, style = _fused_shapes(draw, kernel), draw.of(STYLES)
    for part, params in zip((first, second), structs, strict=True):
        if abi.KERNELS[part][1]:
            params |= arithmetic(draw, part, params, style)
            if part.startswith("conv2d"):
                params["weights"] //= draw.of([1, 2, 3, 5])  # small ones have kernels of their own
            if not draw.once_in(10):
                _usual(draw, part, params)
                if part.startswith("dense"):
                    params["requant"][:] = params["requant"][0]
        elif part.startswith("global"):
            params["qmin"], params["qmax"] = (-100, 90) if draw.once_in(8) else (-128, 127)
    x = _input(draw, draw.of(INPUTS), abi.input_shape(first, structs[0]))
    if draw.once_in(3):
        halves = [_to_halves(draw, part, params) for part, params in zip((first, second), structs, strict=True) if abi.KERNELS[part][1]]
        x = halves[0] if abi.KERNELS[first][1] else (structs[1]["input_zero_point"] + draw.random.integers(-SMALL, SMALL + 1, x.shape)).clip(-128, 127).astype(np.int8)
        if second.startswith(("pointwise", "dense")) and "requant" in structs[0]:
            structs[1]["input_zero_point"] = int(structs[0]["requant"][0, 2])
        if second.startswith("dense"):
            structs[1]["requant"][:] = structs[1]["requant"][0]
    return structs, x, {name: draw.int(0, 3) for name in ("input", "output")}


def _fused_shapes(draw: Draw, kernel: str) -> tuple[Params, Params]:
    """Sizes of both layers."""
    out_c = draw.int(1, 20)
    if kernel.startswith("global"):
        shape = {"in_h": draw.int(1, 17), "in_w": draw.int(1, 17), "in_c": draw.of([16, 16, 32, 48, 24])}
        return shape, {"in_h": 1, "in_w": 1, "in_c": shape["in_c"], "out_c": out_c}
    plain = {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0}
    beyond = [draw.int(0, 1) for _ in range(4)]  # outputs that no window sees, inputs that no output sees
    if kernel.startswith("conv2d"):
        out_h, out_w = draw.int(1, 7) if draw.once_in(2) else draw.int(8, 24), draw.int(1, 28)
        conv = {"in_h": 2 * out_h + beyond[0] + beyond[2] + 2, "in_w": 2 * out_w + beyond[1] + beyond[3] + 2, "in_c": 1,
                "out_h": 2 * out_h + beyond[0], "out_w": 2 * out_w + beyond[1], "out_c": out_c, **plain}
        pool = {"in_h": conv["out_h"], "in_w": conv["out_w"], "in_c": conv["out_c"], "out_h": out_h, "out_w": out_w,
                "kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2, "pad_top": 0, "pad_left": 0}
        return conv, pool
    out_h, out_w, in_c = draw.int(1, 19), draw.int(4, 18), 4 if draw.once_in(10) else 8
    depthwise = {"in_h": out_h + 2 + beyond[0], "in_w": out_w + 2 + beyond[1], "in_c": in_c,
                 "out_h": out_h, "out_w": out_w, "out_c": in_c, **plain}
    return depthwise, {"in_h": out_h, "in_w": out_w, "in_c": in_c, "out_c": out_c}


def _usual(draw: Draw, part: str, params: Params) -> None:
    """Requantizers as networks have them, in place of `arithmetic`'s."""
    rows = len(params["requant"])
    zero_point = draw.of([-128, -1, -1, 0] if part.startswith("depthwise") else [-128, -1, 0, 127, -40])
    whole = part.startswith("depthwise") or draw.once_in(6)
    low, high = -128 if whole else zero_point, 127 if whole or draw.once_in(2) else max(zero_point, 100)
    fields = [draw.random.integers(1 << 30, 1 << 31, rows), draw.random.integers(3, 11, rows), *np.full((rows, 3), (zero_point, low, high)).T]
    params["requant"] = np.stack(fields, axis=1).astype(np.int32)
    if not draw.once_in(4):
        params["bias"] = np.clip(params["bias"], -40000, 40000)


def arithmetic(draw: Draw, kernel: str, params: Params, style: str) -> Params:
    """Weights, biases and requantizers that the ABI allows, up to its limits."""
    random, shape = draw.random, abi.weights_shape(kernel, params)
    weights = {"all_min": np.full(shape, -128, np.int8), "all_max": np.full(shape, 127, np.int8)}.get(style)
    if weights is None:
        weights = random.integers(-128, 128, shape).astype(np.int8)
    if style == "sparse":
        weights[random.random(shape) < 0.9] = 0
    axes = tuple(range(len(shape) - 1)) if abi.KERNELS[kernel][1] == "HWC" else tuple(range(1, len(shape)))
    reach = 255 * np.abs(weights.astype(np.int64)).sum(axis=axes)
    left = draw.int(0, 3) if reach.max() << 3 < 1 << 30 else 0
    room = ((1 << 31) - 1 >> left) - reach
    bias = np.where(random.random(len(room)) < 0.5, room, -room) if style == "rails" else random.integers(-np.minimum(room, 40000), np.minimum(room, 40000) + 1)
    per_channel = draw.int(0, 1)
    rows = params["out_c"] if per_channel else 1
    return {"input_zero_point": draw.of([-128, 127, 0, -7, 93]), "per_channel": per_channel, "weights": weights, "bias": bias.astype(np.int32),
            "requant": _requantizers(draw, rows, left)}


def _requantizers(draw: Draw, rows: int, left: int) -> np.ndarray:
    """int32 (rows, 5); shifts to the left up to `left`."""
    random = draw.random
    shift = random.integers(-left, 32, rows) if draw.once_in(2) else np.clip(random.integers(4, 12, rows), -left, 31)
    shift[random.random(rows) < 0.1] = draw.of([-left, 0, 1, 31])
    multiplier = random.integers(1 << 30, 1 << 31, rows)
    multiplier[random.random(rows) < 0.15] = draw.of([0, 1 << 30, (1 << 31) - 1])
    zero_point = random.integers(-128, 128, rows)
    zero_point[random.random(rows) < 0.2] = draw.of([-128, 127])
    low, high = np.sort(random.integers(-128, 128, (2, rows)), axis=0)
    kind = draw.of(["full", "relu", "any"])
    low = {"full": np.full(rows, -128), "relu": zero_point, "any": low}[kind]
    high = {"full": np.full(rows, 127), "relu": np.full(rows, 127), "any": high}[kind]
    return np.stack([multiplier, shift, zero_point, low, high], axis=1).astype(np.int32)


def float_arithmetic(draw: Draw, kernel: str, params: Params) -> Params:
    """Weights and biases of ordinary size, with and without a clamp."""
    low, high = draw.of([(-3.4e38, 3.4e38), (0.0, 3.4e38), (0.0, 6.0)])
    return {"act_min": low, "act_max": high, "weights": draw.random.normal(0, 1, abi.weights_shape(kernel, params)).astype(np.float32),
            "bias": draw.random.normal(0, 3, params["out_c"]).astype(np.float32)}
