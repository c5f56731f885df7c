"""thumb2's packed depthwise layers where strips, chunks and blocks end, and the reciprocals of its average pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import kernel_set, library

KERNEL = "depthwise_conv2d_s8"


def layer(shape: tuple[int, int, int], stride: int, pads: tuple[int, int], *, signed: bool, shifts: tuple[int, int] = (6, 12)) -> dict[str, Any]:
    """A 3x3 layer that sees all of its input, with `pads` above and left of it and as many windows as are legal."""
    random = np.random.default_rng(sum(shape))
    h, w, c = shape
    zero_point = np.full(c, 5) if signed else np.full(c, -128)
    requant = np.stack([random.integers(1 << 30, 1 << 31, c), random.integers(*shifts, c), zero_point, np.full(c, -128), np.full(c, 127)], axis=1)
    return {"in_h": h, "in_w": w, "in_c": c, "out_h": (h - 1 + pads[0]) // stride + 1, "out_w": (w - 1 + pads[1]) // stride + 1, "out_c": c,
            "kernel_h": 3, "kernel_w": 3, "stride_h": stride, "stride_w": stride, "pad_top": pads[0], "pad_left": pads[1],
            "input_zero_point": -7, "per_channel": 1, "weights": random.integers(-128, 128, (3, 3, c)).astype(np.int8),
            "bias": random.integers(-9000, 9000, c).astype(np.int32), "requant": requant.astype(np.int32)}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("shape", "pads"), [
    ((3, 30, 4), (1, 1)), ((33, 31, 4), (1, 0)), ((32, 62, 5), (2, 2)), ((61, 4, 7), (0, 1)), ((17, 2, 9), (1, 2)), ((2, 2, 40), (0, 0)),
    ((4, 3, 260), (1, 1)), ((1, 1, 4), (2, 2)), ((1, 9, 4), (2, 0)), ((7, 8, 36), (2, 1)), ((18, 16, 4), (0, 2))])
def test_packed_layers_at_the_ends_of_strips_and_chunks(shape: tuple[int, int, int], pads: tuple[int, int], stride: int, signed: bool) -> None:
    params = layer(shape, stride, pads, signed=signed)
    x = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    done = call(library("thumb2"), KERNEL, params, x, kernel_set=kernel_set("thumb2"), offsets={"input": 1, "output": 3})
    np.testing.assert_array_equal(done.output, reference.run_kernel(KERNEL, params, x).reshape(done.output.shape))
    touched = {name for name, accesses in zip(done.counts.objects, done.counts.traffic[1], strict=True) if accesses.any()}
    assert "packed" in touched or max(params["out_h"], params["out_w"]) == 1 or signed and shape[2] > 255
    assert "other" not in touched


@pytest.mark.parametrize("change", [{"kernel_w": 2, "weights": np.zeros((3, 2, 4), np.int8)}, {"stride_h": 2}, {"stride_h": 3, "stride_w": 3}])
def test_other_windows_stay_as_they_are(change: dict[str, Any]) -> None:
    params = layer((9, 9, 4), 1, (0, 0), signed=False)
    assert kernel_set("thumb2").pack(KERNEL, params)
    assert kernel_set("thumb2").pack(KERNEL, params | change) is None


def test_a_multiplication_by_the_reciprocal_rounds_as_the_division_does() -> None:
    """global_avg_pool2d.S: floor((M s >> 16) + 2^15 >> 16) of every sum of 3 to 256 values."""
    for pixels in range(3, 257):
        sums = np.arange(-128 * pixels, 127 * pixels + 1)
        mean = ((2**32 - 1) // pixels + 2) * sums // 2**16 + 2**15 >> 16
        np.testing.assert_array_equal(mean, np.sign(sums) * ((np.abs(sums) + pixels // 2) // pixels))
