"""Affine int8 quantization: scales, zero points, Q0.31 multipliers, and the requantizer from accumulator to int8.

real = scale * (q - zero_point). Scales are float32, ratios of scales float64, all else integers. The formulas are those of
gemmlowp (https://github.com/google/gemmlowp/blob/master/doc/quantization.md) as TensorFlow Lite's reference kernels and
TinyMind's qaffine.hpp and qcalibration.hpp use them. Everywhere shift > 0 is to the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

Numbers = int | Sequence[int] | np.ndarray

INT32 = np.iinfo(np.int32)
_LIMITS = {"multiplier": (0, INT32.max), "shift": (-31, 62), "zero_point": (-128, 127), "qmin": (-128, 127), "qmax": (-128, 127)}


class AffineParams(NamedTuple):
    """real = scale * (q - zero_point); scale is a Python float that holds a float32 value."""

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Requantizer:
    """int32 accumulator to int8; each field is a number, or one number per channel (the last axis of what it is applied to).

    multiplier is Q0.31 in [0, 2^31); shift in [-31, 62], > 0 to the right; zero_point, qmin <= qmax in [-128, 127].
    ValueError when a field is out of range or the fields disagree on the number of channels.
    """

    multiplier: Numbers
    shift: Numbers
    zero_point: Numbers
    qmin: Numbers
    qmax: Numbers

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _integers(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, int(value) if value.ndim == 0 else value)
        lengths = {np.size(value) for value in self._values() if np.ndim(value)}
        if len(lengths) > 1:
            raise ValueError(f"requantizer: fields with {sorted(lengths)} channels do not go together")
        if np.any(np.asarray(self.qmin) > np.asarray(self.qmax)):
            raise ValueError("requantizer: qmin is above qmax")

    def _values(self) -> tuple[int | np.ndarray, ...]:
        return self.multiplier, self.shift, self.zero_point, self.qmin, self.qmax

    @property
    def per_channel(self) -> bool:
        """Whether any field holds one value per channel."""
        return any(np.ndim(value) for value in self._values())

    def table(self) -> np.ndarray:
        """int32 (1 or channels, 5): multiplier, shift, zero_point, qmin, qmax, as the kernel ABI lays them out."""
        columns = np.broadcast_arrays(*(np.atleast_1d(value) for value in self._values()))
        return np.stack(columns, axis=1).astype(np.int32)

    @classmethod
    def from_table(cls, table: np.ndarray, per_channel: bool) -> Requantizer:
        """The inverse of `table`; per tensor when `per_channel` is false, and then `table` has one row."""
        table = np.asarray(table)
        if table.ndim != 2 or table.shape[1] != 5 or len(table) == 0 or (not per_channel and len(table) != 1):
            raise ValueError(f"requantizer: a table of shape {table.shape} is not (channels, 5), or (1, 5) per tensor")
        return cls(*(table.T if per_channel else (int(value) for value in table[0])))

    def apply(self, acc: np.ndarray) -> np.ndarray:
        """int8 array of the shape of `acc`, an integer array with values in int32.

        clamp(round(high_mul(acc << max(-shift, 0), multiplier) / 2^max(shift, 0)) + zero_point, qmin, qmax), where
        high_mul(a, m) = floor((a * m + 2^30) / 2^31) and the division rounds half away from zero: gemmlowp's two roundings.
        An accumulator that no longer fits int32 when shifted left saturates. ValueError for another dtype, a value outside
        int32, or a last axis that is not the number of channels.
        """
        acc = np.asarray(acc)
        self._check(acc)
        shift = np.asarray(self.shift, np.int64)
        left, right = np.maximum(-shift, 0), np.maximum(shift, 0)
        value = acc.astype(np.int64)
        if left.any():
            value <<= left
            np.clip(value, INT32.min, INT32.max, out=value)
        value *= self.multiplier
        value += 1 << 30
        value >>= 31
        if right.any():
            half = (np.int64(1) << right) >> 1
            value += half - (value < 0) * (half > 0)
            value >>= right
        value += self.zero_point
        return np.clip(value, self.qmin, self.qmax, out=value).astype(np.int8)

    def _check(self, acc: np.ndarray) -> None:
        if acc.dtype.kind not in "iu":
            raise ValueError(f"requantizer: the accumulator is {acc.dtype}, expected int32")
        if acc.dtype != np.int32 and acc.size and (acc.min() < INT32.min or acc.max() > INT32.max):
            raise ValueError("requantizer: an accumulator is outside int32")
        channels = len(self.table()) if self.per_channel else None
        if channels is not None and (acc.ndim == 0 or acc.shape[-1] != channels):
            raise ValueError(f"requantizer: the last axis of shape {acc.shape} is not its {channels} channels")


def _integers(name: str, value: Numbers) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size == 0:
        raise ValueError(f"requantizer: {name} is {array.dtype} {array.shape}, expected an integer or one per channel")
    low, high = _LIMITS[name]
    if array.min() < low or array.max() > high:
        raise ValueError(f"requantizer: {name} is outside [{low}, {high}]")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


def quantize_multiplier(ratio: float | np.ndarray) -> tuple[int | np.ndarray, int | np.ndarray]:
    """(multiplier, shift) with ratio = multiplier / 2^31 / 2^shift, rounded to nearest; arrays give int32 arrays.

    multiplier is in [2^30, 2^31), or (0, 0) for a ratio of 0. ValueError unless every ratio is finite and >= 0.
    """
    ratio = np.asarray(ratio, np.float64)
    if not np.all(np.isfinite(ratio) & (ratio >= 0)):
        raise ValueError("quantize_multiplier: a ratio of scales must be finite and at least 0")
    mantissa, exponent = np.frexp(ratio)
    multiplier = np.floor(mantissa * 2.0**31 + 0.5).astype(np.int64)
    carried = multiplier == 1 << 31
    multiplier, exponent = np.where(carried, 1 << 30, multiplier), exponent + carried
    shift = np.where(ratio == 0, 0, -exponent)
    if ratio.ndim == 0:
        return int(multiplier), int(shift)
    return multiplier.astype(np.int32), shift.astype(np.int32)


def build_requantizer(input_scale: float, weight_scale: float | np.ndarray, output_scale: float,
                      zero_point: int, qmin: int, qmax: int) -> Requantizer:
    """The requantizer of a layer: ratio = input_scale * weight_scale / output_scale, of float32 scales in float64.

    `weight_scale` is a number, or (channels,) for one requantizer a channel. ValueError unless scales are positive and finite.
    """
    scales = [np.asarray(scale, np.float32).astype(np.float64) for scale in (input_scale, weight_scale, output_scale)]
    if not all(np.all(np.isfinite(scale) & (scale > 0)) for scale in scales):
        raise ValueError("build_requantizer: scales must be finite and above 0")
    multiplier, shift = quantize_multiplier(scales[0] * scales[1] / scales[2])
    return Requantizer(multiplier, shift, zero_point, qmin, qmax)


def _round_half_away(x: np.ndarray) -> np.ndarray:
    whole = np.trunc(x)
    # adding 0.5 first would round 0.49999999999999994 up
    return whole + np.where(np.abs(x - whole) >= 0.5, np.copysign(1.0, x), 0.0)


def quantize_buffer(x: np.ndarray, scale: float | np.ndarray, zero_point: int, qmin: int, qmax: int) -> np.ndarray:
    """clamp(round(x / scale) + zero_point, qmin, qmax), half away from zero, in float64; int8, or int32 for wider limits.

    `scale` (float32 values) broadcasts against x: for one scale a channel on axis 0, give it the shape (channels, 1, ...).
    ValueError for a NaN, or a scale that is not finite and positive.
    """
    x, scale = np.asarray(x, np.float64), np.asarray(scale, np.float32).astype(np.float64)
    if np.isnan(x).any() or not np.all(np.isfinite(scale) & (scale > 0)):
        raise ValueError("quantize_buffer: a value is NaN, or a scale not finite and above 0")
    dtype = np.int8 if qmin >= -128 and qmax <= 127 else np.int32
    steps = np.clip(x / scale, qmin - zero_point, qmax - zero_point)
    return (_round_half_away(steps) + zero_point).astype(dtype)


def dequantize(q: np.ndarray, scale: float | np.ndarray, zero_point: int) -> np.ndarray:
    """float32 scale * (q - zero_point); `scale` broadcasts against q."""
    return np.asarray(scale, np.float32) * (np.asarray(q, np.int32) - np.int32(zero_point)).astype(np.float32)


def per_channel_symmetric_scales(w: np.ndarray, qmax: int = 127) -> np.ndarray:
    """float32 (channels,): max |w| / qmax over all but axis 0, and 1 for a channel of zeros."""
    w = np.asarray(w, np.float32)
    if w.ndim == 0 or w.size == 0 or not np.isfinite(w).all():
        raise ValueError(f"per_channel_symmetric_scales: weights of shape {w.shape} must be finite, with channels on axis 0")
    scales = np.abs(w.reshape(len(w), -1)).max(axis=1) / np.float32(qmax)
    return np.where(scales > 0, scales, np.float32(1)).astype(np.float32)


def affine_params_symmetric(fmin: float, fmax: float, qmax: int = 127) -> AffineParams:
    """Scale max(|fmin|, |fmax|) / qmax, zero point 0; scale 1 for a range of zeros. ValueError unless both are finite."""
    low, high = _finite_range("affine_params_symmetric", fmin, fmax)
    scale = max(abs(low), abs(high)) / np.float32(qmax)
    return AffineParams(float(scale) if scale > 0 else 1.0, 0)


def affine_params_asymmetric(fmin: float, fmax: float, qmin: int = -128, qmax: int = 127) -> AffineParams:
    """Fit [fmin, fmax], widened to hold 0, onto [qmin, qmax]: scale (fmax - fmin) / (qmax - qmin) in float32.

    zero_point = round(qmin - fmin / scale), clamped, so 0.0 is exact. A range of zeros gives (1, qmin), as TinyMind does.
    ValueError unless the range is finite, and qmin < qmax.
    """
    low, high = _finite_range("affine_params_asymmetric", fmin, fmax)
    low, high = min(low, np.float32(0)), max(high, np.float32(0))
    if qmin >= qmax:
        raise ValueError(f"affine_params_asymmetric: qmin {qmin} must be below qmax {qmax}")
    with np.errstate(over="ignore"):
        scale = (high - low) / np.float32(qmax - qmin)
    if not np.isfinite(scale):
        raise ValueError(f"affine_params_asymmetric: the range [{fmin}, {fmax}] is wider than float32")
    if scale == 0:
        return AffineParams(1.0, qmin)
    zero_point = _round_half_away(np.float64(qmin) - np.float64(low) / np.float64(scale))
    return AffineParams(float(scale), int(np.clip(zero_point, qmin, qmax)))


def _finite_range(name: str, fmin: float, fmax: float) -> tuple[np.float32, np.float32]:
    low, high = np.float32(fmin), np.float32(fmax)
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise ValueError(f"{name}: the range [{fmin}, {fmax}] must be finite and ordered")
    return low, high


class RangeObserver:
    """The smallest and largest value seen; `range()` is (0, 0) until something was."""

    def __init__(self) -> None:
        self.min, self.max, self.has_data = 0.0, 0.0, False

    def observe(self, x: np.ndarray) -> None:
        """Take in the values of an array of any shape. ValueError for NaN or infinity."""
        x = _observed(x)
        if x.size:
            low, high = float(x.min()), float(x.max())
            self.min, self.max = (min(self.min, low), max(self.max, high)) if self.has_data else (low, high)
            self.has_data = True

    def range(self) -> tuple[float, float]:
        """(min, max)."""
        return self.min, self.max


class PercentileObserver:
    """Keeps every value; `range()` is the values at two percentiles, so a few outliers do not widen the int8 grid.

    The value at percentile p of n sorted ones is number floor(p / 100 * (n - 1) + 0.5), as in TinyMind.
    """

    def __init__(self, lower: float = 0.05, upper: float = 99.95) -> None:
        if not 0 <= lower <= upper <= 100:
            raise ValueError(f"percentiles {lower}, {upper} must be ordered and in [0, 100]")
        self.lower, self.upper = lower, upper
        self._chunks: list[np.ndarray] = []

    @property
    def has_data(self) -> bool:
        return bool(self._chunks)

    def observe(self, x: np.ndarray) -> None:
        """Take in the values of an array of any shape. ValueError for NaN or infinity."""
        x = _observed(x)
        if x.size:
            self._chunks.append(x.ravel().copy())

    def range(self) -> tuple[float, float]:
        """The values at the lower and upper percentile; (0, 0) before any value."""
        if not self._chunks:
            return 0.0, 0.0
        values = np.concatenate(self._chunks)
        at = [int(percentile / 100 * (values.size - 1) + 0.5) for percentile in (self.lower, self.upper)]
        values = np.partition(values, at)
        return float(values[at[0]]), float(values[at[1]])


def _observed(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float32)
    if not np.isfinite(x).all():
        raise ValueError("a value to observe is NaN or infinite")
    return x


def fold_batch_norm(w: np.ndarray, b: np.ndarray | None, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray,
                    variance: np.ndarray, epsilon: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Weights (channels on axis 0) and bias that do what the layer followed by a batch normalization does, float32.

    s = gamma / sqrt(variance + epsilon); w' = w * s; b' = (b - mean) * s + beta (Jacob et al. 2018, section 3.2).
    `b` None counts as zeros. ValueError when the five vectors are not one value per channel.
    """
    w = np.asarray(w, np.float32)
    b = np.zeros(len(w), np.float32) if b is None else b
    b, gamma, beta, mean, variance = (np.asarray(value, np.float32) for value in (b, gamma, beta, mean, variance))
    if any(value.shape != (len(w),) for value in (b, gamma, beta, mean, variance)):
        raise ValueError(f"fold_batch_norm: bias, gamma, beta, mean and variance must have the shape ({len(w)},)")
    s = gamma / np.sqrt(variance + np.float32(epsilon))
    return w * s.reshape(-1, *[1] * (w.ndim - 1)), (b - mean) * s + beta
