"""The kernel ABI's rules for the host: what `include/kernels.h` calls legal, and the sizes that follow from a struct.

A struct is seen here as a dict, field name -> int, float or array: `weights` in the ABI's layout (int8 or float32), `bias`
int32 or float32 (out_c,), `requant` int32 (1 or out_c, 5) with the columns multiplier, shift, zero_point, qmin, qmax.
Both `kwsq.export` and `emu.machine` hand their structs through `check`, so nothing illegal reaches a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Params = Mapping[str, Any]

WINDOW = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")
MAX_ELEMENTS = 1 << 24

# kernel -> (struct, layout of the weights or None)
KERNELS: dict[str, tuple[str, str | None]] = {
    "conv2d_s8": ("conv2d_s8_params", "OHWI"),
    "depthwise_conv2d_s8": ("conv2d_s8_params", "HWC"),
    "pointwise_conv2d_s8": ("pointwise_s8_params", "OI"),
    "dense_s8": ("pointwise_s8_params", "OI"),
    "max_pool2d_s8": ("max_pool2d_params", None),
    "global_avg_pool2d_s8": ("global_avg_pool2d_s8_params", None),
    "conv2d_f32": ("conv2d_f32_params", "OHWI"),
    "depthwise_conv2d_f32": ("conv2d_f32_params", "HWC"),
    "pointwise_conv2d_f32": ("pointwise_f32_params", "OI"),
    "dense_f32": ("pointwise_f32_params", "OI"),
    "max_pool2d_f32": ("max_pool2d_params", None),
    "global_avg_pool2d_f32": ("global_avg_pool2d_f32_params", None),
}

# Kernels that take two layers in one call, which a set may have: kernel -> the two that it stands for.
FUSED: dict[str, tuple[str, str]] = {
    "conv2d_max_pool2d_s8": ("conv2d_s8", "max_pool2d_s8"),
    "depthwise_pointwise_conv2d_s8": ("depthwise_conv2d_s8", "pointwise_conv2d_s8"),
    "global_avg_pool2d_dense_s8": ("global_avg_pool2d_s8", "dense_s8"),
}
FUSED_STRUCT = "fused_s8_params"


class AbiError(ValueError):
    """A parameter struct that no kernel promises to handle; the message names the field and what is legal."""


def is_float(kernel: str) -> bool:
    return kernel.endswith("_f32")


def parts_of(kernel: str) -> tuple[str, ...]:
    """The kernels that a fused one stands for; of any other, itself."""
    return FUSED.get(kernel, (kernel,))


def dtype(kernel: str) -> np.dtype:
    """Element type of the kernel's input, output and weights."""
    return np.dtype(np.float32 if is_float(kernel) else np.int8)


def input_shape(kernel: str, p: Params) -> tuple[int, int, int]:
    """(H, W, C) of the input."""
    return p["in_h"], p["in_w"], p["in_c"]


def output_shape(kernel: str, p: Params) -> tuple[int, int, int]:
    """(H, W, C) of the output."""
    if kernel.startswith("global"):
        return 1, 1, p["in_c"]
    if kernel.startswith("max_pool"):
        return p["out_h"], p["out_w"], p["in_c"]
    if kernel.startswith(("pointwise", "dense")):
        return p["in_h"], p["in_w"], p["out_c"]
    return p["out_h"], p["out_w"], p["out_c"]


def weights_shape(kernel: str, p: Params) -> tuple[int, ...] | None:
    """Shape of the weights as the ABI stores them, or None for a kernel without."""
    layout = KERNELS[kernel][1]
    sizes = {"O": "out_c", "I": "in_c", "H": "kernel_h", "W": "kernel_w", "C": "in_c"}
    return None if layout is None else tuple(p[sizes[axis]] for axis in layout)


def scratch_bytes(kernel: str, p: Params) -> int:
    """Bytes of scratch that the ABI promises the kernel (the formula at the head of kernels.h)."""
    layout = KERNELS[kernel][1]
    if layout is None or is_float(kernel):
        return 0
    taps = {"OHWI": lambda: p["kernel_h"] * p["kernel_w"] * p["in_c"], "HWC": lambda: p["kernel_h"] * p["kernel_w"] * 4,
            "OI": lambda: p["in_c"]}[layout]()
    return 4 * (-(-taps // 4) * 4) + 4 * p["out_c"]


def check(kernel: str, p: Params) -> None:
    """Raise AbiError unless `kernel` promises to handle the struct `p`."""
    if kernel not in KERNELS:
        raise AbiError(f"no kernel {kernel!r} in the ABI (it has {', '.join(KERNELS)})")
    if missing := [field for field in _fields(kernel) if field not in p]:
        raise AbiError(f"{kernel}: the struct lacks {', '.join(missing)}")
    check_sizes(kernel, p)
    if kernel == "global_avg_pool2d_s8":
        _require(-128 <= p["qmin"] <= p["qmax"] <= 127, kernel, "qmin, qmax", (p["qmin"], p["qmax"]), "-128 <= qmin <= qmax <= 127")
    shape = weights_shape(kernel, p)
    if shape is None:
        return
    weights, bias = np.asarray(p["weights"]), np.asarray(p["bias"])
    _require(weights.shape == shape and weights.dtype == dtype(kernel), kernel, "weights",
             f"{weights.dtype} {weights.shape}", f"{dtype(kernel)} {shape} ({KERNELS[kernel][1]})")
    bias_type = np.dtype(np.float32 if is_float(kernel) else np.int32)
    _require(bias.shape == (p["out_c"],) and bias.dtype == bias_type, kernel, "bias",
             f"{bias.dtype} {bias.shape}", f"{bias_type} ({p['out_c']},)")
    if is_float(kernel):
        _require(p["act_min"] <= p["act_max"], kernel, "act_min, act_max", (p["act_min"], p["act_max"]), "act_min <= act_max")
    else:
        _check_arithmetic(kernel, p, weights, bias)


def check_call(kernel: str, structs: Sequence[Params]) -> None:
    """`check` of a kernel's struct, or of a fused kernel's two, which must fit each other."""
    parts = parts_of(kernel)
    if len(structs) != len(parts):
        raise AbiError(f"{kernel} takes {len(parts)} struct{'s' * (len(parts) > 1)}, not {len(structs)}")
    for part, p in zip(parts, structs, strict=True):
        check(part, p)
    if len(parts) > 1:
        between, wanted = output_shape(parts[0], structs[0]), input_shape(parts[1], structs[1])
        _require(between == wanted, kernel, "the input of the second layer", wanted, f"the first one's output {between}")


def _fields(kernel: str) -> tuple[str, ...]:
    """Fields that a struct must have for the checks below; the rest of it is checked when it is packed or compiled."""
    layout = KERNELS[kernel][1]
    if layout is None:
        kind = ("qmin", "qmax") if kernel == "global_avg_pool2d_s8" else ()
    else:
        kind = ("out_c", "weights", "bias", *(("act_min", "act_max") if is_float(kernel) else ("input_zero_point", "per_channel", "requant")))
    window = (*WINDOW, "out_h", "out_w") if layout in ("OHWI", "HWC") or kernel.startswith("max_pool") else ()
    return ("in_h", "in_w", "in_c", *window, *kind)


def check_sizes(kernel: str, p: Params) -> None:
    """Raise AbiError unless the sizes in the struct `p` are legal; its arrays need not be there yet."""
    for field, value in p.items():
        if field not in ("weights", "bias", "requant", "act_min", "act_max"):
            _require(isinstance(value, int | np.integer), kernel, field, repr(value), "a whole number")
    for field in ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w"):
        if field in p:
            _require(1 <= p[field] <= MAX_ELEMENTS, kernel, field, p[field], "at least 1 and at most 2^24")
    for shape in (input_shape(kernel, p), output_shape(kernel, p)):
        _require(np.prod(shape, dtype=object) <= MAX_ELEMENTS, kernel, "shape", shape, "at most 2^24 elements")
    weights = weights_shape(kernel, p)
    if weights is not None:
        _require(np.prod(weights, dtype=object) <= MAX_ELEMENTS, kernel, "weights", weights, "at most 2^24 elements")
    if kernel.startswith("dense"):
        _require(p["in_h"] == p["in_w"] == 1, kernel, "in_h, in_w", (p["in_h"], p["in_w"]), "1, 1")
    if kernel.startswith("depthwise"):
        _require(p["in_c"] == p["out_c"], kernel, "out_c", p["out_c"], f"in_c = {p['in_c']}")
    if "kernel_h" in p:
        for pad, size, stride, extent, out in (("pad_top", "kernel_h", "stride_h", "in_h", "out_h"),
                                               ("pad_left", "kernel_w", "stride_w", "in_w", "out_w")):
            _require(0 <= p[pad] < p[size], kernel, pad, p[pad], f"0 <= {pad} < {size} = {p[size]}")
            start = (p[out] - 1) * p[stride] - p[pad]
            _require(start < p[extent], kernel, out, p[out], f"the last window to start inside the input, not at {start} of {p[extent]}")


def _check_arithmetic(kernel: str, p: Params, weights: np.ndarray, bias: np.ndarray) -> None:
    _require(-128 <= p["input_zero_point"] <= 127, kernel, "input_zero_point", p["input_zero_point"], "in [-128, 127]")
    requant = np.asarray(p["requant"])
    _require(requant.dtype == np.int32, kernel, "requant", requant.dtype, "int32")
    rows = p["out_c"] if p["per_channel"] else 1
    _require(requant.shape == (rows, 5), kernel, "requant", requant.shape, f"({rows}, 5)")
    multiplier, shift, zero_point, qmin, qmax = requant.astype(np.int64).T
    limits = [
        ("multiplier", multiplier, (multiplier == 0) | ((multiplier >= 1 << 30) & (multiplier < 1 << 31)), "0 or in [2^30, 2^31)"),
        ("shift", shift, (shift >= -3) & (shift <= 31), "in -3 .. 31"),
        ("zero_point", zero_point, (zero_point >= -128) & (zero_point <= 127), "in [-128, 127]"),
        ("qmin", qmin, (qmin >= -128) & (qmin <= qmax), "-128 <= qmin <= qmax"),
        ("qmax", qmax, qmax <= 127, "at most 127"),
    ]
    axis = tuple(range(weights.ndim))
    kept = axis[-1] if KERNELS[kernel][1] == "HWC" else 0
    total = np.abs(weights.astype(np.int64)).sum(axis=tuple(a for a in axis if a != kept))
    bound = np.abs(bias.astype(np.int64)) + 255 * total
    shifted = bound << np.maximum(-np.clip(shift, -3, 31), 0)
    limits += [("bias and weights", bound, bound < 1 << 31, "|bias| + 255 * sum |weight| < 2^31"),
               ("shift", shifted, shifted < 1 << 31, "an accumulator that still fits int32 when shifted left")]
    for field, values, legal, expected in limits:
        if not legal.all():
            channel = int(np.argmin(legal))
            _require(False, kernel, f"{field} of channel {channel}", int(values[channel]), expected)


def _require(legal: bool, kernel: str, field: str, got: object, expected: str) -> None:
    if not legal:
        raise AbiError(f"{kernel}: {field} is {got}, but the kernel ABI wants {expected}")
