"""thumb2's packed depthwise layers where strips, chunks and blocks end, and the reciprocals of its average pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armsrc.kernels.thumb2.packing import depthwise, taps
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import library, touches_nothing_else

KERNEL = "depthwise_conv2d_s8"
PLANES = KernelSet(pack=lambda kernel, p: taps.through_planes(p))  # however few outputs there are


def layer(shape: tuple[int, int, int], stride: int, pads: tuple[int, int], *, zero_point: int = -128, shifts: tuple[int, int] = (6, 12)) -> dict[str, Any]:
    """A 3x3 layer that sees all of its input, with `pads` above and left of it and as many windows as are legal."""
    random = np.random.default_rng(sum(shape))
    h, w, c = shape
    requant = np.stack([random.integers(1 << 30, 1 << 31, c), random.integers(*shifts, c), np.full(c, zero_point), np.full(c, -128), np.full(c, 127)], axis=1)
    return {"in_h": h, "in_w": w, "in_c": c, "out_h": (h - 1 + pads[0]) // stride + 1, "out_w": (w - 1 + pads[1]) // stride + 1, "out_c": c,
            "kernel_h": 3, "kernel_w": 3, "stride_h": stride, "stride_w": stride, "pad_top": pads[0], "pad_left": pads[1],
            "input_zero_point": -7, "per_channel": 1, "weights": random.integers(-128, 128, (3, 3, c)).astype(np.int8),
            "bias": random.integers(-9000, 9000, c).astype(np.int32), "requant": requant.astype(np.int32)}


def assert_right(params: dict[str, Any], x: np.ndarray) -> set[str]:
    """Also that only tensors are touched: their names."""
    done = call(library("thumb2"), KERNEL, params, x, kernel_set=PLANES, offsets={"input": 1, "output": 3})
    np.testing.assert_array_equal(done.output, reference.run_kernel(KERNEL, params, x).reshape(done.output.shape))
    return touches_nothing_else(done)


@pytest.mark.parametrize("zero_point", [-128, -1, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("shape", "pads"), [
    ((3, 30, 4), (1, 1)), ((33, 31, 4), (1, 0)), ((32, 62, 5), (2, 2)), ((61, 4, 7), (0, 1)), ((17, 2, 9), (1, 2)), ((2, 2, 40), (0, 0)),
    ((4, 3, 260), (1, 1)), ((1, 1, 4), (2, 2)), ((1, 9, 4), (2, 0)), ((7, 8, 36), (2, 1)), ((18, 16, 4), (0, 2))])
def test_packed_layers_at_the_ends_of_strips_and_chunks(shape: tuple[int, int, int], pads: tuple[int, int], stride: int, zero_point: int) -> None:
    params = layer(shape, stride, pads, zero_point=zero_point)
    x = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    assert "packed" in assert_right(params, x) or zero_point > -128 and shape[2] > 255


def same(shape: tuple[int, int, int], stride: int, zero_point: int) -> dict[str, Any]:
    """The same layer, with as many outputs as padding on all sides gives."""
    h, w, _ = shape
    out_h, out_w = -(-h // stride), -(-w // stride)
    pads = max((out_h - 1) * stride + 3 - h, 0) // 2, max((out_w - 1) * stride + 3 - w, 0) // 2
    return layer(shape, stride, pads, zero_point=zero_point) | {"out_h": out_h, "out_w": out_w}


@pytest.mark.parametrize(("shape", "stride", "zero_point", "code"), [
    *((shape, 1, -128, (depthwise.LINE, 1, 0, True)) for shape in ((3, 2, 5), (2, 10, 5), (9, 9, 12), (4, 32, 4), (1, 11, 4))),
    *(((5, 9, step), 1, zero_point, (form, 1, step, zero_point < -1)) for step in depthwise.STEPS for zero_point, form in ((-128, depthwise.LINE), (-1, depthwise.BENT))),
    *(((6, 8, step), 2, zero_point, (form, 2, step, zero_point < -1)) for step in depthwise.STEPS for zero_point, form in ((-128, depthwise.LINE), (-1, depthwise.BENT))),
    ((4, 33, 16), 1, -128, (depthwise.LINE, 1, 16, False)),
    *((shape, 1, -128, (depthwise.LINE, 1, 64, True)) for shape in ((3, 3, 64), (2, 18, 64), (20, 10, 64))),
    ((4, 33, 64), 1, -128, (depthwise.LINE, 1, 64, False)), ((4, 33, 4), 1, -128, (depthwise.LINE, 1, 0, False)),
    ((3, 8, 12), 1, -1, (depthwise.BENT, 1, 0, False)), ((8, 6, 9), 1, 4, (depthwise.SIGNED, 1, 0, False)),
    *((shape, 2, -128, (depthwise.LINE, 2, 64, True)) for shape in ((6, 18, 64), (2, 16, 64))),
    *((shape, 2, -128, (depthwise.LINE, 2, 0, True)) for shape in ((4, 12, 4), (18, 6, 7))),
    ((4, 20, 64), 2, -128, (depthwise.LINE, 2, 64, False)), ((5, 19, 4), 2, -128, (depthwise.LINE, 2, 0, False)),
    ((6, 6, 4), 2, -1, (depthwise.BENT, 2, 0, False)), ((6, 8, 5), 2, 4, (depthwise.SIGNED, 2, 0, False)), ((1, 1, 4), 1, -128, (depthwise.LINE, 2, 0, False))])
def test_each_walk_where_it_begins_and_ends(shape: tuple[int, int, int], stride: int, zero_point: int, code: tuple[int, int, int, bool]) -> None:
    params = same(shape, stride, zero_point)
    packed = PLANES.pack(KERNEL, params)
    assert packed and depthwise.WALKS[packed.addresses[1].partition(".")[2]] == code
    for x in (np.random.default_rng(2).integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127)):
        assert_right(params, x.astype(np.int8))


WINDOWS = [((1, 1), (1, 1)), ((2, 2), (1, 1)), ((3, 1), (2, 2)), ((1, 3), (1, 2)), ((4, 4), (1, 1)), ((5, 5), (2, 2)), ((7, 7), (1, 1)), ((10, 4), (2, 2)),
           ((3, 3), (1, 2)), ((3, 3), (4, 1)), ((19, 2), (1, 1)), ((2, 31), (1, 2)), ((6, 5), (3, 1))]


@pytest.mark.parametrize("zero_point", [-128, 7])
@pytest.mark.parametrize("shape", [(9, 7, 4), (21, 33, 1), (6, 12, 6)])
@pytest.mark.parametrize(("window", "strides"), WINDOWS)
def test_other_windows(window: tuple[int, int], strides: tuple[int, int], shape: tuple[int, int, int], zero_point: int) -> None:
    random = np.random.default_rng(sum(window))
    pads = (window[0] - 1) // 2, (window[1] - 1) // 2
    sizes = {name: (shape[axis] - 1) // strides[axis] + 1 for axis, name in enumerate(("out_h", "out_w"))}
    params = layer(shape, 1, pads, zero_point=zero_point) | sizes | {
        "kernel_h": window[0], "kernel_w": window[1], "stride_h": strides[0], "stride_w": strides[1],
        "weights": random.integers(-128, 128, (*window, shape[2])).astype(np.int8)}
    unpacked = window == (3, 3) and zero_point > -128 and shape[2] >= 4
    assert ("packed" in assert_right(params, random.integers(-128, 128, shape).astype(np.int8))) != unpacked


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("size", "stride", "zero_point"), [((5, 4), 1, -128), ((8, 9), 2, -128), ((1, 3), 1, -1), ((20, 6), 1, 3)])
def test_fewer_than_four_channels(size: tuple[int, int], stride: int, zero_point: int, channels: int) -> None:
    shape = (*size, channels)
    x = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
    assert "packed" in assert_right(same(shape, stride, zero_point), x)


@pytest.mark.parametrize("change", [{"stride_h": 3, "stride_w": 3}, {"kernel_h": 40, "kernel_w": 40, "weights": np.zeros((40, 40, 4), np.int8)}])
def test_windows_that_stay_as_they_are(change: dict[str, Any]) -> None:
    params = layer((9, 9, 4), 1, (0, 0))
    assert PLANES.pack(KERNEL, params)
    assert PLANES.pack(KERNEL, params | change) is None


def test_a_multiplication_by_the_reciprocal_rounds_as_the_division_does() -> None:
    """global_avg_pool2d.S: floor((M s >> 16) + 2^15 >> 16) of every sum of 3 to 256 values."""
    for pixels in range(3, 257):
        sums = np.arange(-128 * pixels, 127 * pixels + 1)
        mean = ((2**32 - 1) // pixels + 2) * sums // 2**16 + 2**15 >> 16
        np.testing.assert_array_equal(mean, np.sign(sums) * ((np.abs(sums) + pixels // 2) // pixels))


@pytest.mark.parametrize("channels", [*range(1, 40), 47, 48, 64, 67])
def test_an_average_of_one_pixel_is_a_copy(channels: int) -> None:
    x = np.random.default_rng(channels).integers(-128, 128, (1, 1, channels)).astype(np.int8)
    for low, high in ((-128, 127), (-128, 100), (-90, 90)):
        params = {"in_h": 1, "in_w": 1, "in_c": channels, "qmin": low, "qmax": high}
        done = call(library("thumb2"), "global_avg_pool2d_s8", params, x, offsets={"input": channels % 4, "output": channels // 4 % 4})
        np.testing.assert_array_equal(done.output, x.clip(low, high))
        touches_nothing_else(done)
