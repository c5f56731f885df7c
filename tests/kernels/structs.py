"""Legal parameter structs at random: shapes, padding, requantizers and the extreme values that the ABI allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from armsrc import abi

INT8_KERNELS = [kernel for kernel in abi.KERNELS if not abi.is_float(kernel)]
FLOAT_KERNELS = [kernel for kernel in abi.KERNELS if abi.is_float(kernel)]
STYLES = ("random", "all_min", "all_max", "sparse", "rails")


@st.composite
def cases(draw: st.DrawFn, kernel: str) -> tuple[dict[str, Any], np.ndarray, dict[str, int]]:
    """(struct, input (H, W, C), byte offsets of the arrays) for that kernel."""
    params = draw(shapes(kernel))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    style = draw(st.sampled_from(STYLES))
    if abi.KERNELS[kernel][1]:
        params |= (float_arithmetic if abi.is_float(kernel) else arithmetic)(draw, kernel, params, style, random)
    elif kernel == "global_avg_pool2d_s8":
        params["qmin"], params["qmax"] = sorted(draw(st.lists(st.integers(-128, 127), min_size=2, max_size=2)))
    shape = abi.input_shape(kernel, params)
    if abi.is_float(kernel):
        x = random.normal(0, 4, shape).astype(np.float32)
        return params, x, {}
    x = {"all_min": np.full(shape, -128, np.int8), "all_max": np.full(shape, 127, np.int8)}.get(style)
    if x is None:
        x = random.integers(-128, 128, shape).astype(np.int8)
    offsets = {name: draw(st.integers(0, 3)) for name in ("input", "output", "weights")}
    return params, x, offsets


@st.composite
def shapes(draw: st.DrawFn, kernel: str) -> dict[str, int]:
    """The fields that say sizes, small enough to run in milliseconds, with every special case of a kernel within reach."""
    channels = st.one_of(st.sampled_from([1, 2, 3, 4, 8, 16]), st.integers(1, 20))
    params: dict[str, int] = {}
    params["in_h"], params["in_w"] = (1, 1) if kernel.startswith("dense") else (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    params["in_c"] = draw(st.integers(1, 70)) if kernel.startswith("dense") else draw(channels)
    if "conv2d" in kernel or kernel.startswith("dense"):
        params["out_c"] = params["in_c"] if kernel.startswith("depthwise") else draw(channels)
    if kernel.startswith(("conv2d", "depthwise", "max_pool")):
        common = draw(st.booleans())  # the 3x3, stride 1 and the 2x2, stride 2 that fast paths are for
        square = 2 if kernel.startswith("max_pool") else 3
        for axis, extent, pad in (("h", "in_h", "pad_top"), ("w", "in_w", "pad_left")):
            size = square if common else draw(st.integers(1, 5))
            stride = (square - 1 if square == 3 and draw(st.booleans()) else square if square == 2 else 1) if common else draw(st.integers(1, 3))
            before = draw(st.integers(0, size - 1)) if draw(st.booleans()) else 0
            most = (params[extent] - 1 + before) // stride + 1
            inside = (params[extent] + before - size) // stride + 1
            out = inside if inside >= 1 and draw(st.booleans()) else draw(st.integers(1, most))
            params |= {f"kernel_{axis}": size, f"stride_{axis}": stride, pad: before, f"out_{axis}": out}
    return params


@st.composite
def fused_cases(draw: st.DrawFn, kernel: str) -> tuple[tuple[dict[str, Any], dict[str, Any]], np.ndarray, dict[str, int]]:
    """(two structs, input (H, W, C), byte offsets) for a fused kernel: pairs of the kind that such kernels are for, and others."""
    first, second = abi.FUSED[kernel]
    structs = _fused_shapes(draw, kernel)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    style = draw(st.sampled_from(STYLES))
    for part, params in zip((first, second), structs, strict=True):
        if abi.KERNELS[part][1]:
            params |= arithmetic(draw, part, params, style, random)
            if part.startswith("conv2d"):
                params["weights"] //= draw(st.sampled_from([1, 2, 3, 5]))  # small ones have kernels of their own
            if draw(st.integers(0, 9)) < 9:
                _usual(draw, part, params, random)
        elif part.startswith("global"):
            params["qmin"], params["qmax"] = draw(st.sampled_from([(-128, 127)] * 7 + [(-100, 90)]))
    shape = abi.input_shape(first, structs[0])
    x = {"all_min": np.full(shape, -128, np.int8), "all_max": np.full(shape, 127, np.int8)}.get(style)
    if x is None:
        x = random.integers(-128, 128, shape).astype(np.int8)
    return structs, x, {name: draw(st.integers(0, 3)) for name in ("input", "output")}


def _fused_shapes(draw: st.DrawFn, kernel: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sizes of both layers."""
    channels = st.integers(1, 20)
    if kernel.startswith("global"):
        shape = {"in_h": draw(st.integers(1, 17)), "in_w": draw(st.integers(1, 17)), "in_c": draw(st.sampled_from([16, 16, 32, 48, 24]))}
        return shape, {"in_h": 1, "in_w": 1, "in_c": shape["in_c"], "out_c": draw(channels)}
    plain = {"kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0}
    if kernel.startswith("conv2d"):
        out_h, out_w = draw(st.integers(1, 7) | st.integers(8, 24)), draw(st.integers(1, 28))
        beyond = draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))  # outputs that no window sees, inputs that no output sees
        conv = {"in_h": 2 * out_h + beyond[0] + beyond[2] + 2, "in_w": 2 * out_w + beyond[1] + beyond[3] + 2, "in_c": 1,
                "out_h": 2 * out_h + beyond[0], "out_w": 2 * out_w + beyond[1], "out_c": draw(channels), **plain}
        pool = {"in_h": conv["out_h"], "in_w": conv["out_w"], "in_c": conv["out_c"], "out_h": out_h, "out_w": out_w,
                "kernel_h": 2, "kernel_w": 2, "stride_h": 2, "stride_w": 2, "pad_top": 0, "pad_left": 0}
        return conv, pool
    out_h, out_w, in_c = draw(st.integers(1, 19)), draw(st.integers(4, 18)), draw(st.sampled_from([8] * 9 + [4]))
    beyond = draw(st.lists(st.integers(0, 1), min_size=2, max_size=2))
    depthwise = {"in_h": out_h + 2 + beyond[0], "in_w": out_w + 2 + beyond[1], "in_c": in_c,
                 "out_h": out_h, "out_w": out_w, "out_c": in_c, **plain}
    return depthwise, {"in_h": out_h, "in_w": out_w, "in_c": in_c, "out_c": draw(channels)}


def _usual(draw: st.DrawFn, part: str, params: dict[str, Any], random: np.random.Generator) -> None:
    """Requantizers as networks have them, in place of `arithmetic`'s."""
    rows = len(params["requant"])
    zero_point = draw(st.sampled_from([-128, -1, -1, 0] if part.startswith("depthwise") else [-128, -1, 0, 127, -40]))
    whole = part.startswith("depthwise") or draw(st.integers(0, 5)) == 5
    low, high = -128 if whole else zero_point, 127 if whole or draw(st.booleans()) else max(zero_point, 100)
    fields = [random.integers(1 << 30, 1 << 31, rows), random.integers(3, 11, rows), *np.full((rows, 3), (zero_point, low, high)).T]
    params["requant"] = np.stack(fields, axis=1).astype(np.int32)
    if part.startswith("dense"):
        params["requant"][:] = params["requant"][0]
    if draw(st.integers(0, 3)) < 3:
        params["bias"] = np.clip(params["bias"], -40000, 40000)


def arithmetic(draw: st.DrawFn, kernel: str, params: dict[str, int], style: str, random: np.random.Generator) -> dict[str, Any]:
    """Weights, biases and requantizers that the ABI allows, up to its limits."""
    shape = abi.weights_shape(kernel, params)
    weights = {"all_min": np.full(shape, -128, np.int8), "all_max": np.full(shape, 127, np.int8)}.get(style)
    if weights is None:
        weights = random.integers(-128, 128, shape).astype(np.int8)
    if style == "sparse":
        weights[random.random(shape) < 0.9] = 0
    axes = tuple(range(len(shape) - 1)) if abi.KERNELS[kernel][1] == "HWC" else tuple(range(1, len(shape)))
    reach = 255 * np.abs(weights.astype(np.int64)).sum(axis=axes)
    left = draw(st.integers(0, 3)) if reach.max() << 3 < 1 << 30 else 0
    room = ((1 << 31) - 1 >> left) - reach
    bias = np.where(random.random(len(room)) < 0.5, room, -room) if style == "rails" else random.integers(-np.minimum(room, 40000), np.minimum(room, 40000) + 1)
    per_channel = int(draw(st.booleans()))
    rows = params["out_c"] if per_channel else 1
    shift = random.integers(-left, 32, rows) if draw(st.booleans()) else np.clip(random.integers(4, 12, rows), -left, 31)
    shift[random.random(rows) < 0.1] = draw(st.sampled_from([-left, 0, 1, 31]))
    multiplier = random.integers(1 << 30, 1 << 31, rows)
    multiplier[random.random(rows) < 0.15] = draw(st.sampled_from([0, 1 << 30, (1 << 31) - 1]))
    zero_point = random.integers(-128, 128, rows)
    low, high = np.sort(random.integers(-128, 128, (2, rows)), axis=0)
    kind = draw(st.sampled_from(["full", "relu", "any"]))
    low = {"full": np.full(rows, -128), "relu": zero_point, "any": low}[kind]
    high = {"full": np.full(rows, 127), "relu": np.full(rows, 127), "any": high}[kind]
    return {"input_zero_point": draw(st.sampled_from([-128, 127, 0, -7, 93])), "per_channel": per_channel, "weights": weights,
            "bias": bias.astype(np.int32), "requant": np.stack([multiplier, shift, zero_point, low, high], axis=1).astype(np.int32)}


def float_arithmetic(draw: st.DrawFn, kernel: str, params: dict[str, int], style: str, random: np.random.Generator) -> dict[str, Any]:
    """Weights and biases of ordinary size, with and without a clamp."""
    low, high = draw(st.sampled_from([(-3.4e38, 3.4e38), (0.0, 3.4e38), (0.0, 6.0)]))
    return {"act_min": low, "act_max": high, "weights": random.normal(0, 1, abi.weights_shape(kernel, params)).astype(np.float32),
            "bias": random.normal(0, 3, params["out_c"]).astype(np.float32)}
