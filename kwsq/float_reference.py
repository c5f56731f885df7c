"""The layers of kwsq.reference in float32: what a float network answers, and what calibration observes.

Shapes and layouts are those of kwsq.reference. Sums are taken in float64 and each output is rounded to float32 once, so
the answer does not depend on the order in which a BLAS adds. y = min(max(acc, act_min), act_max); padding is 0.
Wrong shapes and dtypes are ValueErrors.
"""

from __future__ import annotations

import numpy as np

from kwsq import geometry
from kwsq.geometry import Padding
from kwsq.inference import Inference
from kwsq.layers import NO_LIMIT


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int] = (1, 1), padding: Padding = "VALID",
           act_min: float = -NO_LIMIT, act_max: float = NO_LIMIT) -> np.ndarray:
    """Convolution: w (O, KH, KW, I), b (O,) -> float32 (N,) OH, OW, O."""
    images, single = _images(x)
    _check_weights("OHWI", w, b, images.shape[3])
    place = geometry.windows(images.shape[1:3], w.shape[1:3], stride, padding)
    seen = geometry.patches(geometry.pad(images, place, 0), w.shape[1:3], stride)
    acc = seen.reshape(*seen.shape[:3], -1).astype(np.float64) @ w.reshape(len(w), -1).T.astype(np.float64) + b
    return _finish(acc, act_min, act_max, single)


def depthwise_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int] = (1, 1), padding: Padding = "VALID",
                     act_min: float = -NO_LIMIT, act_max: float = NO_LIMIT) -> np.ndarray:
    """One filter a channel: w (C, KH, KW), b (C,) -> float32 (N,) OH, OW, C."""
    images, single = _images(x)
    _check_weights("CHW", w, b, images.shape[3])
    place = geometry.windows(images.shape[1:3], w.shape[1:], stride, padding)
    padded = geometry.pad(images, place, 0).astype(np.float64)
    acc = np.broadcast_to(b.astype(np.float64), (len(images), place.out_h, place.out_w, len(w))).copy()
    for i, j, seen in geometry.taps(padded, w.shape[1:], stride, place):
        acc += seen * w[:, i, j]
    return _finish(acc, act_min, act_max, single)


def pointwise_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray,
                     act_min: float = -NO_LIMIT, act_max: float = NO_LIMIT) -> np.ndarray:
    """1x1 convolution: w (O, I), b (O,) -> float32 (N,) H, W, O."""
    images, single = _images(x)
    _check_weights("OI", w, b, images.shape[3])
    return _finish(images.astype(np.float64) @ w.T.astype(np.float64) + b, act_min, act_max, single)


def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray, act_min: float = -NO_LIMIT, act_max: float = NO_LIMIT) -> np.ndarray:
    """Fully connected: x (I,) or (N, I), or images that hold I numbers each, w (O, I), b (O,) -> float32 (O,) or (N, O)."""
    x = np.asarray(x)
    _check_float("x", x)
    rows, single = geometry.vectors(x)
    _check_weights("OI", w, b, rows.shape[1])
    return _finish(rows.astype(np.float64) @ w.T.astype(np.float64) + b, act_min, act_max, single)


def max_pool2d(x: np.ndarray, pool: tuple[int, int], stride: tuple[int, int], padding: Padding = "VALID") -> np.ndarray:
    """Largest value of each `pool` window (h, w) -> float32 (N,) OH, OW, C; padding is never the largest."""
    images, single = _images(x)
    place = geometry.windows(images.shape[1:3], pool, stride, padding)
    out = np.full((len(images), place.out_h, place.out_w, images.shape[3]), -np.inf, np.float32)
    for _, _, seen in geometry.taps(geometry.pad(images, place, -np.inf), pool, stride, place):
        np.maximum(out, seen, out=out)
    return out[0] if single else out


def global_avg_pool2d(x: np.ndarray) -> np.ndarray:
    """Mean over the pixels -> float32 (C,) or (N, C)."""
    images, single = _images(x)
    out = images.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    return out[0] if single else out


_INFERENCE = Inference({
    "conv2d_f32": lambda at, x: conv2d(x, at.weights, at.bias, at.stride, at.padding, at.act_min, at.act_max),
    "depthwise_conv2d_f32": lambda at, x: depthwise_conv2d(x, at.weights, at.bias, at.stride, at.padding, at.act_min, at.act_max),
    "pointwise_conv2d_f32": lambda at, x: pointwise_conv2d(x, at.weights, at.bias, at.act_min, at.act_max),
    "dense_f32": lambda at, x: dense(x, at.weights, at.bias, at.act_min, at.act_max),
    "max_pool2d_f32": lambda at, x: max_pool2d(x, at.pool, at.stride, at.padding),
    "global_avg_pool2d_f32": lambda at, x: global_avg_pool2d(x),
})
run_layer, run, run_kernel = _INFERENCE.run_layer, _INFERENCE.run, _INFERENCE.run_kernel


def _finish(acc: np.ndarray, act_min: float, act_max: float, single: bool) -> np.ndarray:
    out = np.clip(acc, act_min, act_max).astype(np.float32)
    return out[0] if single else out


def _images(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """x as NHWC, and whether it was a single image."""
    x = np.asarray(x)
    _check_float("x", x)
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"x has the shape {x.shape}, expected (H, W, C) or (N, H, W, C)")
    return (x[None], True) if x.ndim == 3 else (x, False)


def _check_float(name: str, array: np.ndarray) -> None:
    if array.dtype != np.float32:
        raise ValueError(f"{name} is {array.dtype}, expected float32")


def _check_weights(layout: str, w: np.ndarray, b: np.ndarray, in_c: int) -> None:
    _check_float("w", w)
    axis = 0 if layout == "CHW" else -1
    if w.ndim != len(layout) or 0 in w.shape or w.shape[axis] != in_c:
        raise ValueError(f"w has the shape {w.shape}, expected {layout} for an input of {in_c} channels")
    if b.dtype != np.float32 or b.shape != (len(w),):
        raise ValueError(f"b is {b.dtype} {b.shape}, expected float32 ({len(w)},)")
