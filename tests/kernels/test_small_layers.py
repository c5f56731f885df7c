"""thumb2's average pooling and pointwise layers with eight inputs, at the sizes where their code takes another way."""

from __future__ import annotations

import numpy as np
import pytest

from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import kernel_set, library

POINTWISE, AVERAGE, MAXIMUM = "pointwise_conv2d_s8", "global_avg_pool2d_s8", "max_pool2d_s8"
FORMS = ("saturating", "doubled", "alike")


def check(kernel: str, params: dict, x: np.ndarray, offset: int = 0) -> None:
    done = call(library("thumb2"), kernel, params, x, kernel_set=kernel_set("thumb2"), offsets={"input": offset, "output": offset})
    np.testing.assert_array_equal(done.output, reference.run_kernel(kernel, params, x).reshape(done.output.shape))


@pytest.mark.parametrize("pixels", [2, 3, 10, 256, 257])
@pytest.mark.parametrize("c", [15, 16, 20, 25])
def test_averages(pixels: int, c: int) -> None:
    """Every channel's sum is a half, or next to one, of either sign."""
    rng = np.random.default_rng(pixels * 100 + c)
    sums = (2 * rng.integers(-127, 127, c) + 1) * pixels // 2 + rng.integers(-1, 2, c)
    x = np.floor_divide(sums + np.arange(pixels)[:, None], pixels).clip(-128, 127).astype(np.int8)
    for qmin, qmax in ((-128, 127), (-100, 90)):
        check(AVERAGE, {"in_h": 1, "in_w": pixels, "in_c": c, "qmin": qmin, "qmax": qmax}, x.reshape(1, pixels, c), c % 4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("out_c", [1, 3, 15, 16, 33])
def test_eight_inputs(form: str, out_c: int) -> None:
    rng = np.random.default_rng(out_c)
    for pixels in (2, 3, 6, 7) if out_c > 1 else (2, 3):  # of more than three one channel goes elsewhere
        rows = np.array([[(1 << 30) + 12345, 7, -20, -128 if form == "doubled" else -20, 90]] * out_c, np.int32)
        if form == "saturating":
            rows[:, 0] += np.arange(out_c) * 12345678
        params = {"in_h": 1, "in_w": pixels, "in_c": 8, "out_c": out_c, "input_zero_point": -7, "per_channel": 1,
                  "weights": rng.integers(-128, 128, (out_c, 8)).astype(np.int8), "bias": rng.integers(-9000, 9000, out_c).astype(np.int32),
                  "requant": rows}
        expected = "alike" if out_c == 1 and form == "saturating" else form
        assert kernel_set("thumb2").pack(POINTWISE, params).addresses == {0: f"{POINTWISE}.eight_{expected}"}
        check(POINTWISE, params, rng.integers(-128, 128, (1, pixels, 8)).astype(np.int8), out_c % 4)


@pytest.mark.parametrize("c", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 3), (1, 3), (3, 1), (2, 3), (4, 5), (5, 4)])
def test_maxima(window: tuple[int, int], c: int) -> None:
    """Inside the input, and with windows that padding clips on every side."""
    rng = np.random.default_rng(sum(window) + c)
    for stride, pads in ((1, (0, 0)), (2, (0, 0)), (2, (window[0] - 1, window[1] // 2))):
        h, w = 7, 8
        out = [(size + pad - 1) // stride + 1 if any(pads) else (size - k) // stride + 1 for size, pad, k in zip((h, w), pads, window, strict=True)]
        params = {"in_h": h, "in_w": w, "in_c": c, "out_h": out[0], "out_w": out[1], "kernel_h": window[0], "kernel_w": window[1], "stride_h": stride,
                  "stride_w": stride, "pad_top": pads[0], "pad_left": pads[1]}
        check(MAXIMUM, params, rng.integers(-128, 128, (h, w, c)).astype(np.int8), c % 4)
