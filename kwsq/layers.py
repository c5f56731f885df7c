"""What a layer is: shapes, parameters, MACs and bytes, one frozen dataclass a layer kind and dtype. How it is computed is elsewhere.

Layouts: activations HWC; weights OHWI (convolution), CHW (depthwise), OI (pointwise, dense), as in kwsq.reference. `params()`
is the parameter struct of the kernel ABI, in the ABI's layouts, and every layer is checked against the ABI when it is made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from armsrc import abi
from kwsq import geometry
from kwsq.geometry import Padding
from kwsq.quantize import Requantizer, dequantize

NO_LIMIT = float(np.finfo(np.float32).max)  # act_min, act_max of a float layer without an activation function

_frozen = dataclass(frozen=True, eq=False, repr=False, kw_only=True)


def _constant(value: Any) -> Any:
    """The value, or the array, which nobody can write to any more."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    return value


@_frozen
class Layer(ABC):
    """`name`, and `input_shape` (H, W, C), or (C,) for dense. ValueError (abi.AbiError) for what no kernel handles.

    A layer never changes, arrays included, so it stays as legal as it was made.
    """

    name: str
    input_shape: tuple[int, ...]
    kernel: ClassVar[str]

    def __post_init__(self) -> None:
        ranks = (1, 3) if self.kernel.startswith("dense") else (3,)
        if len(self.input_shape) not in ranks:
            raise ValueError(f"layer {self.name!r}: input_shape {self.input_shape} must be (H, W, C){' or (C,)' * (1 in ranks)}")
        abi.check(self.kernel, self._params)

    @abstractmethod
    def _shape(self) -> dict[str, int]:
        """The struct's fields that say sizes."""

    def _arithmetic(self) -> dict[str, Any]:
        """The struct's other fields."""
        return {}

    def params(self) -> dict[str, Any]:
        """The kernel's parameter struct as armsrc.abi describes it, in the order of the struct's fields."""
        return dict(self._params)

    @cached_property
    def _params(self) -> dict[str, Any]:
        return {field: _constant(value) for field, value in (self._shape() | self._arithmetic()).items()}

    @property
    def dtype(self) -> str:
        """"int8" or "float32": of input, weights and output."""
        return abi.dtype(self.kernel).name

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(H, W, C), or (C,) after a global pool or a dense layer."""
        shape = abi.output_shape(self.kernel, self._params)
        return shape[-1:] if self.kernel.startswith(("global", "dense")) else shape

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, windows over padding counted whole; 0 for a pool."""
        return 0

    @property
    def weight_bytes(self) -> int:
        """Weights as stored, bias, and requantization table (20 bytes a row)."""
        return sum(value.nbytes for value in self._params.values() if isinstance(value, np.ndarray))

    @property
    def activation_bytes(self) -> int:
        """Bytes of the output."""
        return math.prod(self.output_shape) * abi.dtype(self.kernel).itemsize


@_frozen
class _Windowed(Layer):
    """A layer whose window of `window` (h, w) moves by `stride` (h, w) over the input with `padding`."""

    stride: tuple[int, int] = (1, 1)
    padding: Padding = "VALID"

    @property
    @abstractmethod
    def window(self) -> tuple[int, int]:
        """(h, w)"""

    def _out_c(self) -> dict[str, int]:
        return {}

    def _shape(self) -> dict[str, int]:
        in_h, in_w, in_c = self.input_shape
        place = geometry.windows((in_h, in_w), self.window, self.stride, self.padding)
        return {"in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": place.out_h, "out_w": place.out_w, **self._out_c(),
                "kernel_h": self.window[0], "kernel_w": self.window[1], "stride_h": self.stride[0], "stride_w": self.stride[1],
                "pad_top": place.top, "pad_left": place.left}


@_frozen
class _Weighted(Layer):
    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        for field in ("weights", "bias"):
            object.__setattr__(self, field, _constant(np.array(getattr(self, field))))
        layout = abi.KERNELS[self.kernel][1]
        if self.weights.ndim != len(layout):
            raise ValueError(f"layer {self.name!r}: weights have the shape {self.weights.shape}, expected {len(layout)} axes")
        super().__post_init__()

    @property
    def stored_weights(self) -> np.ndarray:
        """The weights in the ABI's layout."""
        return self.weights

    @property
    def macs(self) -> int:
        h, w, _ = abi.output_shape(self.kernel, self._params)
        return h * w * self.weights.size


@_frozen
class _Quantized(_Weighted):
    """int8 weights (zero point 0), int32 bias of scale input_scale * weight_scale."""

    input_zero_point: int
    requantizer: Requantizer

    def _arithmetic(self) -> dict[str, Any]:
        return {"input_zero_point": self.input_zero_point, "per_channel": int(self.requantizer.per_channel),
                "weights": self.stored_weights, "bias": self.bias, "requant": self.requantizer.table()}


@_frozen
class _Float(_Weighted):
    """float32 weights and bias; the output is clamped to [act_min, act_max]."""

    act_min: float = -NO_LIMIT
    act_max: float = NO_LIMIT

    def _arithmetic(self) -> dict[str, Any]:
        return {"act_min": self.act_min, "act_max": self.act_max, "weights": self.stored_weights, "bias": self.bias}


class _Convolution(_Windowed):
    """Weights with the axes channel, kernel height, kernel width first."""

    @property
    def window(self) -> tuple[int, int]:
        return self.weights.shape[1], self.weights.shape[2]

    def _out_c(self) -> dict[str, int]:
        return {"out_c": len(self.weights)}


class _Depthwise(_Convolution):
    @property
    def stored_weights(self) -> np.ndarray:
        return np.ascontiguousarray(self.weights.transpose(1, 2, 0))


class _Pointwise(Layer):
    def _shape(self) -> dict[str, int]:
        in_h, in_w, in_c = (1, 1, *self.input_shape)[-3:]
        return {"in_h": in_h, "in_w": in_w, "in_c": in_c, "out_c": len(self.weights)}


@_frozen
class _MaxPool(_Windowed):
    pool: tuple[int, int]

    @property
    def window(self) -> tuple[int, int]:
        return self.pool


class _GlobalAvgPool(Layer):
    def _shape(self) -> dict[str, int]:
        return dict(zip(("in_h", "in_w", "in_c"), self.input_shape, strict=True))


@_frozen
class QConv2D(_Convolution, _Quantized):
    """int8 convolution, weights (O, KH, KW, I)."""

    kernel = "conv2d_s8"


@_frozen
class QDepthwiseConv2D(_Depthwise, _Quantized):
    """int8 depthwise convolution, weights (C, KH, KW)."""

    kernel = "depthwise_conv2d_s8"


@_frozen
class QPointwiseConv2D(_Pointwise, _Quantized):
    """int8 1x1 convolution, weights (O, I)."""

    kernel = "pointwise_conv2d_s8"


@_frozen
class QDense(_Pointwise, _Quantized):
    """int8 fully connected layer, weights (O, I)."""

    kernel = "dense_s8"


@_frozen
class QMaxPool2D(_MaxPool):
    """int8 max pool over windows of `pool` (h, w)."""

    kernel = "max_pool2d_s8"


@_frozen
class QGlobalAvgPool2D(_GlobalAvgPool):
    """int8 mean over all pixels, clamped to [qmin, qmax]."""

    kernel = "global_avg_pool2d_s8"
    qmin: int = -128
    qmax: int = 127

    def _arithmetic(self) -> dict[str, Any]:
        return {"qmin": self.qmin, "qmax": self.qmax}


@_frozen
class Conv2D(_Convolution, _Float):
    """float32 convolution, weights (O, KH, KW, I)."""

    kernel = "conv2d_f32"


@_frozen
class DepthwiseConv2D(_Depthwise, _Float):
    """float32 depthwise convolution, weights (C, KH, KW)."""

    kernel = "depthwise_conv2d_f32"


@_frozen
class PointwiseConv2D(_Pointwise, _Float):
    """float32 1x1 convolution, weights (O, I)."""

    kernel = "pointwise_conv2d_f32"


@_frozen
class Dense(_Pointwise, _Float):
    """float32 fully connected layer, weights (O, I)."""

    kernel = "dense_f32"


@_frozen
class MaxPool2D(_MaxPool):
    """float32 max pool over windows of `pool` (h, w)."""

    kernel = "max_pool2d_f32"


@_frozen
class GlobalAvgPool2D(_GlobalAvgPool):
    """float32 mean over all pixels."""

    kernel = "global_avg_pool2d_f32"


KINDS: dict[str, type[Layer]] = {kind.kernel: kind for kind in (
    QConv2D, QDepthwiseConv2D, QPointwiseConv2D, QDense, QMaxPool2D, QGlobalAvgPool2D,
    Conv2D, DepthwiseConv2D, PointwiseConv2D, Dense, MaxPool2D, GlobalAvgPool2D)}


def from_params(kernel: str, params: Mapping[str, Any], name: str | None = None) -> Layer:
    """The layer that the ABI function `kernel` computes with the struct `params`: the inverse of `Layer.params`.

    AbiError for a struct that the ABI does not allow.
    """
    abi.check(kernel, params)
    values: dict[str, Any] = {"name": name or kernel, "input_shape": abi.input_shape(kernel, params)}
    if "weights" in params:
        weights = np.asarray(params["weights"])
        values["weights"] = np.ascontiguousarray(weights.transpose(2, 0, 1)) if kernel.startswith("depthwise") else weights
        values["bias"] = np.asarray(params["bias"])
    if "requant" in params:
        values["requantizer"] = Requantizer.from_table(params["requant"], bool(params["per_channel"]))
    if "kernel_h" in params:
        values["stride"] = params["stride_h"], params["stride_w"]
        values["padding"] = tuple(
            (params[before], (params[out] - 1) * params[stride] + params[size] - params[before] - params[extent])
            for before, out, stride, size, extent in (("pad_top", "out_h", "stride_h", "kernel_h", "in_h"),
                                                      ("pad_left", "out_w", "stride_w", "kernel_w", "in_w")))
        if kernel.startswith("max_pool"):
            values["pool"] = params["kernel_h"], params["kernel_w"]
    values.update({field: params[field] for field in ("input_zero_point", "act_min", "act_max", "qmin", "qmax") if field in params})
    return KINDS[kernel](**values)


def fit_input(layer: Layer, x: np.ndarray) -> np.ndarray:
    """x with the axes of `layer.input_shape`, or with one before them for a batch; a dense layer flattens what it is given.

    ValueError when x does not hold whole inputs of the layer.
    """
    x = np.asarray(x)
    batch = x.shape[:1] if x.ndim in (2, 4) else ()
    shape = x.shape[len(batch):]
    flattens = 1 in (len(shape), len(layer.input_shape)) and math.prod(shape) == math.prod(layer.input_shape)
    if x.ndim and (shape == layer.input_shape or flattens):
        return x.reshape(batch + layer.input_shape)
    raise ValueError(f"layer {layer.name!r}: the input has the shape {x.shape}, expected {layer.input_shape}, or a batch of those")


@_frozen
class Network:
    """Layers, each fed with the output of the one before, all int8 or all float32.

    `input_scale`, `input_zero_point`: what the int8 input stands for, of the front end that the network was fitted to;
    `output_scale`, `output_zero_point`: what an int8 network's output stands for.
    `labels`: one name per output, or none. ValueError when the layers do not fit each other.
    """

    name: str
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()
    trained: bool = False
    input_scale: float = 1.0
    input_zero_point: int = 0
    output_scale: float = 1.0
    output_zero_point: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network needs at least one layer")
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError(f"layer names must differ: {', '.join(names)}")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            if before.dtype != after.dtype or math.prod(before.output_shape) != math.prod(after.input_shape):
                raise ValueError(f"layer {after.name!r} takes {after.dtype} {after.input_shape}, but {before.name!r} gives "
                                 f"{before.dtype} {before.output_shape}")
        if self.labels and len(self.labels) != math.prod(self.output_shape):
            raise ValueError(f"{len(self.labels)} labels do not name the {math.prod(self.output_shape)} outputs")

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, at: int) -> Layer:
        return self.layers[at]

    @property
    def dtype(self) -> str:
        """"int8" or "float32"."""
        return self.layers[0].dtype

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.layers[0].input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.layers[-1].output_shape

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    def output_values(self, output: np.ndarray) -> np.ndarray:
        """float32 values of the last layer's output, say logits."""
        return dequantize(output, self.output_scale, self.output_zero_point) if self.dtype == "int8" else output

    def input_array(self, features: np.ndarray) -> np.ndarray:
        """int8 features as the network takes them: as they are, or their float32 values."""
        return features if self.dtype == "int8" else dequantize(features, self.input_scale, self.input_zero_point)
