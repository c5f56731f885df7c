"""1x1 convolutions of thumb2 with one filter or two, pixel by pixel: passes, fours and singles, steps and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armsrc.kernels.thumb2.packing import one
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference, synthetic
from tests.kernels.test_kernels import fill_kept_registers, kernel_set, library, touches_nothing_else

CONV = "conv2d_s8"


def check(params: dict[str, Any], x: np.ndarray, number: int) -> None:
    """number: of the case; it moves the tensors."""
    packed = one.pixel_by_pixel(params)
    assert packed
    done = call(library("thumb2"), CONV, params, x, kernel_set=KernelSet(pack=lambda kernel, p: packed), before=fill_kept_registers,
                offsets={"input": number % 4, "output": number // 4 % 4})
    np.testing.assert_array_equal(done.output, reference.run_kernel(CONV, params, x).reshape(done.output.shape))
    touches_nothing_else(done)


def narrowed(params: dict[str, Any], number: int) -> dict[str, Any]:
    """Its clamp: int8's, one for all, or the last channel's own."""
    if number % 3:
        params["requant"][:, 3:] = -100, 99
        params["requant"][-1, 4] -= number % 3 == 2
    return params


def fields(size: tuple[int, int], in_c: int, out_c: int, strides: tuple[int, int] = (1, 1)) -> dict[str, int]:
    out = [(length - 1) // stride + 1 for length, stride in zip(size, strides, strict=True)]
    return {"in_h": size[0], "in_w": size[1], "in_c": in_c, "out_h": out[0], "out_w": out[1], "out_c": out_c, "kernel_h": 1, "kernel_w": 1,
            "stride_h": strides[0], "stride_w": strides[1], "pad_top": 0, "pad_left": 0}


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("out_c", [1, 2])
@pytest.mark.parametrize("in_c", [1, 2, 3, 4, 7, 15, 16, 17, 19, 20, 31, 32, 33, 48, 63, 64, 65, 80])
def test_inputs(in_c: int, out_c: int, activation: str) -> None:
    params, x = synthetic.sample(CONV, fields((1 + in_c % 2, 1 + in_c % 3), in_c, out_c), in_c, activation=activation, per_channel=bool(in_c % 4))
    check(narrowed(params, in_c), x, in_c)


@pytest.mark.parametrize("out_c", [1, 2])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize(("size", "in_c"), [((1, 1), 1), ((1, 9), 5), ((9, 1), 16), ((5, 6), 40), ((7, 4), 64), ((2, 2), 33)])
def test_convolutions_of_any_stride(size: tuple[int, int], in_c: int, strides: tuple[int, int], out_c: int) -> None:
    params, x = synthetic.sample(CONV, fields(size, in_c, out_c, strides), in_c, activation=("relu", "none")[in_c % 2])
    check(narrowed(params, sum(strides)), x, in_c)


@pytest.mark.parametrize(("stride", "in_c", "out_c", "path"), [(2, 64, 2, "conv2d_s8.one"), (3, 16, 1, "conv2d_s8.one"), (1, 64, 2, "conv2d_s8.narrow"),
                                                               (2, 64, 3, None)])
def test_which_code_takes_them(stride: int, in_c: int, out_c: int, path: str | None) -> None:
    params, _ = synthetic.sample(CONV, fields((8, 8), in_c, out_c, (stride, stride)), 0)
    taken = kernel_set("thumb2").pack(CONV, params).addresses[0]
    assert taken == path or (path is None and taken not in ("conv2d_s8.one", "conv2d_s8.narrow"))
