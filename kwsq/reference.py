"""Exact int8 inference in NumPy: what every kernel must answer, bit for bit.

x is HWC or NHWC int8 (dense: C or NC, too), the output has the same number of axes; channels are axis 0 of weights and the
last axis of activations. Every layer computes, as armsrc/include/kernels.h says,

    acc = bias + sum over the window of (x - input_zero_point) * weight        int32, exact
    y   = rq.apply(acc)                                                        see kwsq.quantize.Requantizer

Products are summed by BLAS in floats wide enough to hold every partial sum, so the sums are exact integers. Padding counts as
input_zero_point in convolutions and as nothing in pools. Wrong shapes, dtypes and an accumulator outside int32 are ValueErrors.
"""

from __future__ import annotations

import numpy as np

from kwsq import geometry
from kwsq.geometry import Padding
from kwsq.inference import Inference
from kwsq.quantize import INT32, Requantizer

_BATCH_BYTES = 1 << 24  # windows are gathered for as many images at a time as fit a cache


def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, input_zero_point: int, rq: Requantizer,
           stride: tuple[int, int] = (1, 1), padding: Padding = "VALID") -> np.ndarray:
    """Convolution: w (O, KH, KW, I) int8, b (O,) int32 -> int8 (N,) OH, OW, O."""
    images, single = _images(x)
    _check_weights("OHWI", w, b, rq, input_zero_point, images.shape[3])
    kernel = w.shape[1:3]
    place = geometry.windows(images.shape[1:3], kernel, stride, padding)
    rows = w.reshape(len(w), -1)
    step = max(1, _BATCH_BYTES // (4 * place.out_h * place.out_w * rows.shape[1]))
    out = np.empty((len(images), place.out_h, place.out_w, len(w)), np.int8)
    for start in range(0, len(images), step):
        part = geometry.pad(images[start:start + step], place, input_zero_point)
        seen = geometry.patches(part, kernel, stride).reshape(-1, rows.shape[1])
        out[start:start + step] = rq.apply(_accumulate(seen, rows, b, input_zero_point)).reshape(-1, *out.shape[1:])
    return out[0] if single else out


def depthwise_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, input_zero_point: int, rq: Requantizer,
                     stride: tuple[int, int] = (1, 1), padding: Padding = "VALID") -> np.ndarray:
    """One filter a channel: w (C, KH, KW) int8, b (C,) int32 -> int8 (N,) OH, OW, C."""
    images, single = _images(x)
    _check_weights("CHW", w, b, rq, input_zero_point, images.shape[3])
    place = geometry.windows(images.shape[1:3], w.shape[1:], stride, padding)
    # a 32-bit sum is enough exactly when no input can overflow it
    wide = np.int32 if _largest(w.reshape(len(w), -1), b) <= INT32.max else np.int64
    padded = geometry.pad(images, place, input_zero_point).astype(wide) - wide(input_zero_point)
    acc = np.broadcast_to(b.astype(wide), (len(images), place.out_h, place.out_w, len(w))).copy()
    for i, j, seen in geometry.taps(padded, w.shape[1:], stride, place):
        acc += seen * w[:, i, j].astype(wide)
    out = rq.apply(_fits(acc))
    return out[0] if single else out


def pointwise_conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray, input_zero_point: int, rq: Requantizer) -> np.ndarray:
    """1x1 convolution: w (O, I) int8, b (O,) int32 -> int8 (N,) H, W, O."""
    images, single = _images(x)
    _check_weights("OI", w, b, rq, input_zero_point, images.shape[3])
    acc = _accumulate(images.reshape(-1, images.shape[3]), w, b, input_zero_point)
    out = rq.apply(acc).reshape(*images.shape[:3], len(w))
    return out[0] if single else out


def dense(x: np.ndarray, w: np.ndarray, b: np.ndarray, input_zero_point: int, rq: Requantizer) -> np.ndarray:
    """Fully connected: x (I,) or (N, I), or images that hold I numbers each, w (O, I) int8, b (O,) int32 -> int8 (O,) or (N, O)."""
    x = np.asarray(x)
    _check_int8("x", x)
    rows, single = geometry.vectors(x)
    _check_weights("OI", w, b, rq, input_zero_point, rows.shape[1])
    out = rq.apply(_accumulate(rows, w, b, input_zero_point))
    return out[0] if single else out


def max_pool2d(x: np.ndarray, pool: tuple[int, int], stride: tuple[int, int], padding: Padding = "VALID") -> np.ndarray:
    """Largest value of each `pool` window (h, w) -> int8 (N,) OH, OW, C; padding is never the largest."""
    images, single = _images(x)
    place = geometry.windows(images.shape[1:3], pool, stride, padding)
    out = np.full((len(images), place.out_h, place.out_w, images.shape[3]), -128, np.int8)
    for _, _, seen in geometry.taps(geometry.pad(images, place, -128), pool, stride, place):
        np.maximum(out, seen, out=out)
    return out[0] if single else out


def global_avg_pool2d(x: np.ndarray, qmin: int = -128, qmax: int = 127) -> np.ndarray:
    """clamp(sum over the pixels / pixels, rounded half away from zero, qmin, qmax) -> int8 (C,) or (N, C).

    The zero point is not subtracted: input and output share scale and zero point.
    """
    images, single = _images(x)
    if not -128 <= qmin <= qmax <= 127:
        raise ValueError(f"qmin {qmin} and qmax {qmax} must be ordered and in [-128, 127]")
    pixels = images.shape[1] * images.shape[2]
    total = images.sum(axis=(1, 2), dtype=np.int64)
    mean = np.sign(total) * ((np.abs(total) + pixels // 2) // pixels)
    out = np.clip(mean, qmin, qmax).astype(np.int8)
    return out[0] if single else out


_INFERENCE = Inference({
    "conv2d_s8": lambda at, x: conv2d(x, at.weights, at.bias, at.input_zero_point, at.requantizer, at.stride, at.padding),
    "depthwise_conv2d_s8":
        lambda at, x: depthwise_conv2d(x, at.weights, at.bias, at.input_zero_point, at.requantizer, at.stride, at.padding),
    "pointwise_conv2d_s8": lambda at, x: pointwise_conv2d(x, at.weights, at.bias, at.input_zero_point, at.requantizer),
    "dense_s8": lambda at, x: dense(x, at.weights, at.bias, at.input_zero_point, at.requantizer),
    "max_pool2d_s8": lambda at, x: max_pool2d(x, at.pool, at.stride, at.padding),
    "global_avg_pool2d_s8": lambda at, x: global_avg_pool2d(x, at.qmin, at.qmax),
})
run_layer, run, run_kernel = _INFERENCE.run_layer, _INFERENCE.run, _INFERENCE.run_kernel


def _images(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """x as NHWC, and whether it was a single image."""
    x = np.asarray(x)
    _check_int8("x", x)
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"x has the shape {x.shape}, expected (H, W, C) or (N, H, W, C)")
    return (x[None], True) if x.ndim == 3 else (x, False)


def _check_int8(name: str, array: np.ndarray) -> None:
    if array.dtype != np.int8:
        raise ValueError(f"{name} is {array.dtype}, expected int8")


def _check_weights(layout: str, w: np.ndarray, b: np.ndarray, rq: Requantizer, input_zero_point: int, in_c: int) -> None:
    _check_int8("w", w)
    axis = 0 if layout == "CHW" else -1
    if w.ndim != len(layout) or 0 in w.shape or w.shape[axis] != in_c:
        raise ValueError(f"w has the shape {w.shape}, expected {layout} for an input of {in_c} channels")
    if b.dtype != np.int32 or b.shape != (len(w),):
        raise ValueError(f"b is {b.dtype} {b.shape}, expected int32 ({len(w)},)")
    if rq.per_channel and len(rq.table()) != len(w):
        raise ValueError(f"the requantizer has {len(rq.table())} channels, expected {len(w)}")
    if not -128 <= input_zero_point <= 127:
        raise ValueError(f"input_zero_point is {input_zero_point}, expected [-128, 127]")


def _largest(w: np.ndarray, b: np.ndarray) -> int:
    """No accumulator of weights (O, taps) and biases (O,) can exceed this."""
    return int((np.abs(b.astype(np.int64)) + 255 * np.abs(w.astype(np.int64)).sum(axis=1)).max())


def _accumulate(x: np.ndarray, w: np.ndarray, b: np.ndarray, input_zero_point: int) -> np.ndarray:
    """int32 (M, O): b + (x - input_zero_point) @ w.T for int8 x (M, taps), w (O, taps)."""
    total = np.abs(w.astype(np.int64)).sum(axis=1).max()
    # every partial sum of x * w stays below 128 * total, so it is exact while that fits the mantissa (24 or 53 bits)
    real = np.float32 if 128 * total < 1 << 24 else np.float64
    products = x.astype(real) @ w.T.astype(real)
    offset = b.astype(np.int64) - np.int64(input_zero_point) * w.sum(axis=1, dtype=np.int64)
    if _largest(w, b) <= INT32.max and np.abs(offset).max() <= INT32.max:
        return products.astype(np.int32) + offset.astype(np.int32)
    return _fits(products.astype(np.int64) + offset)


def _fits(acc: np.ndarray) -> np.ndarray:
    if acc.dtype == np.int32:
        return acc
    if acc.size and (acc.min() < INT32.min or acc.max() > INT32.max):
        raise ValueError("an accumulator does not fit int32: |bias| + 255 * sum |weight| must stay below 2^31")
    return acc.astype(np.int32)
