"""Kernels that take two layers in one call, of every set that has them, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from armsrc import abi
from emu.machine.call import KernelCall, call
from kwsq import model, reference
from tests.kernels.heads import cycles as priced
from tests.kernels.heads import dense, slope
from tests.kernels.structs import fused_cases
from tests.kernels.test_kernels import FUSED_SETS, cycles_of, fill_kept_registers, kernel_set, library, touches_nothing_else

PAIRS = [(kernels, kernel) for kernels in FUSED_SETS for kernel in abi.FUSED if kernel in library(kernels).symbols]


def expected(kernel: str, structs: tuple[dict[str, Any], dict[str, Any]], x: np.ndarray) -> np.ndarray:
    """One layer after the other."""
    for part, params in zip(abi.FUSED[kernel], structs, strict=True):
        x = reference.run_kernel(part, params, x).reshape(abi.output_shape(part, params))
    return x


def checked(kernels: str, kernel: str, structs: tuple[dict[str, Any], dict[str, Any]], x: np.ndarray, **how: Any) -> KernelCall:
    """The call; fails unless its output is the reference's."""
    done = call(library(kernels), kernel, structs[0], x, second=structs[1], kernel_set=kernel_set(kernels), **how)
    np.testing.assert_array_equal(done.output, expected(kernel, structs, x))
    return done


@pytest.mark.parametrize(("kernels", "kernel"), PAIRS)
def test_equals_the_reference_and_touches_nothing_else(kernels: str, kernel: str) -> None:
    taken = []

    @settings(max_examples=90, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(fused_cases(kernel))
    def check(case) -> None:
        structs, x, offsets = case
        taken.append(kernel_set(kernels).fuses(kernel, *structs))
        if not taken[-1]:
            return
        touches_nothing_else(checked(kernels, kernel, structs, x, offsets=offsets, before=fill_kept_registers))

    check()
    assert np.mean(taken) > 0.25, "too few of the drawn pairs are taken for the test to say much"


@pytest.mark.parametrize(("kernels", "kernel"), PAIRS)
def test_pipeline_shapes_on_extreme_values(kernels: str, kernel: str) -> None:
    """The keyword spotter's own pair, which is taken, at the ends of the range."""
    layers, parts = model.load()["int8"], abi.FUSED[kernel]
    at = next(at for at in range(len(layers)) if tuple(layer.kernel for layer in layers[at:at + 2]) == parts)
    structs = tuple(layer.params() for layer in layers[at:at + 2])
    assert kernel_set(kernels).fuses(kernel, *structs)
    for value in (-128, 127, 0):
        checked(kernels, kernel, structs, np.full(abi.input_shape(parts[0], structs[0]), value, np.int8))


def struct(kernel: str, sizes: dict[str, int], zero_point: int = -128, weight: int = 30) -> dict[str, Any]:
    """A layer of those sizes, unpadded; its numbers do not change its cycles, but for the zero point and the size of a convolution's weights."""
    size, stride = (2, 2) if kernel.startswith("max_pool") else (3, 1)
    window = {"kernel_h": size, "kernel_w": size, "stride_h": stride, "stride_w": stride, "pad_top": 0, "pad_left": 0}
    params = sizes | (window if "out_h" in sizes else {})
    if kernel.startswith("global"):
        return params | {"qmin": -128, "qmax": 127}
    if not (shape := abi.weights_shape(kernel, params)):
        return params
    return params | {"input_zero_point": 0, "per_channel": 0, "weights": np.full(shape, weight, np.int8),
                     "bias": np.zeros(params["out_c"], np.int32), "requant": np.array([[1 << 30, 5, zero_point, -128, 127]], np.int32)}


def cycles(kernel: str, first: dict[str, int], second: dict[str, int], zero_point: int = -128, weight: int = 30) -> int:
    """Of a call on an input of zeros."""
    parts = abi.FUSED[kernel]
    structs = struct(parts[0], first, zero_point, weight), struct(parts[1], second)
    done = checked("fused", kernel, structs, np.zeros(abi.input_shape(parts[0], structs[0]), np.int8))
    return cycles_of(done)


def conv_pool(rows: int, columns: int, filters: int, weight: int = 100) -> int:
    conv = {"in_h": 2 * rows + 2, "in_w": 2 * columns + 2, "in_c": 1, "out_h": 2 * rows, "out_w": 2 * columns, "out_c": filters}
    pool = {"in_h": 2 * rows, "in_w": 2 * columns, "in_c": filters, "out_h": rows, "out_w": columns}
    return cycles("conv2d_max_pool2d_s8", conv, pool, weight=weight)


def depthwise_pointwise(channels: int, zero_point: int = -128) -> int:
    depthwise = {"in_h": 9, "in_w": 9, "in_c": 8, "out_h": 7, "out_w": 7, "out_c": 8}
    return cycles("depthwise_pointwise_conv2d_s8", depthwise, {"in_h": 7, "in_w": 7, "in_c": 8, "out_c": channels}, zero_point)


def average_dense(pixels: int, channels: int, outputs: int) -> int:
    return cycles("global_avg_pool2d_dense_s8", {"in_h": pixels, "in_w": 1, "in_c": channels},
                  {"in_h": 1, "in_w": 1, "in_c": channels, "out_c": outputs})


def test_cycles_of_the_heads() -> None:
    """What the kernels' first lines say of their loops."""
    of_filters = conv_pool(3, 9, 16) - conv_pool(3, 9, 8) - (conv_pool(2, 9, 16) - conv_pool(2, 9, 8))
    assert of_filters == 16 * (9 * 18 + 8) + 9 * 14 + 39
    assert conv_pool(3, 9, 8) - conv_pool(2, 9, 8) == of_filters + 5 * 39 + 51
    for weight, window in ((20, 19), (32, 21), (45, 23)):
        of_windows = conv_pool(7, 5, 8, weight) - conv_pool(5, 5, 8, weight) - (conv_pool(7, 3, 8, weight) - conv_pool(5, 3, 8, weight))
        assert abs(of_windows - 4 * (8 * window + 2 * 26 + 20)) <= 4 * 4  # what a branch costs depends on where it goes
    assert abs(depthwise_pointwise(16, -1) - depthwise_pointwise(16) - 2 * 7 * 7 * 8) <= 2
    assert abs(depthwise_pointwise(32) - depthwise_pointwise(16) - (24 * (16 * 19 + 41) + 16 * 16 + 16 * 15)) < 200
    assert average_dense(17, 16, 5) - average_dense(9, 16, 5) == 117
    of_dense = slope(lambda channels: dense(channels, 5, packed=True, requantizer=(1 << 30, 5, -128, -128, 127)), 16, 32)
    assert average_dense(9, 32, 5) - average_dense(9, 16, 5) - sum(map(priced, of_dense.more)) + sum(map(priced, of_dense.less)) == 117 + 80
