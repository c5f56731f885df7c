"""thumb2's packed convolutions of several channels, and of windows that no other path takes: rows of every length, in every number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from armsrc.kernels.thumb2.packing import matmul
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import kernel_set, library, touches_nothing_else

CONV = "conv2d_s8"


def layer(kernel: tuple[int, int], in_c: int, out: tuple[int, int], stride: int, pad: int, signed: bool) -> tuple[dict, np.ndarray]:
    rng = np.random.default_rng(sum(kernel) * 100 + in_c * 10 + out[1])
    out_c = 3
    p = {"in_c": in_c, "out_c": out_c, "input_zero_point": -128, "per_channel": 1,
         "weights": rng.integers(-128, 128, (out_c, *kernel, in_c)).astype(np.int8), "bias": rng.integers(-9000, 9000, out_c).astype(np.int32),
         "requant": np.array([[(1 << 30) + 12345, 9, -20, -128 if signed else -20, 127]] * out_c, np.int32)}
    for axis, size, count, edge in zip("hw", kernel, out, ("top", "left"), strict=True):
        padding = min(pad, size - 1)
        p |= {f"kernel_{axis}": size, f"stride_{axis}": stride, f"out_{axis}": count, f"pad_{edge}": padding,
              f"in_{axis}": max(1, (count - 1) * stride + size - 2 * padding)}
    return p, rng.integers(-128, 128, (p["in_h"], p["in_w"], in_c)).astype(np.int8)


@pytest.mark.parametrize("in_c", [1, 2, 3, 5, 6, 7])
@pytest.mark.parametrize("kernel", [(1, 3), (2, 1), (2, 2), (3, 1), (3, 3), (4, 3), (5, 2), (5, 5), (6, 3), (7, 6)])
def test_equals_the_reference(kernel: tuple[int, int], in_c: int) -> None:
    """Seven pixels a row: blocks of four, two and one."""
    for (stride, pad), signed in itertools.product([(1, 1), (2, 0)], [False, True]):
        p, x = layer(kernel, in_c, (3, 7), stride, pad, signed)
        done = call(library("thumb2"), CONV, p, x, kernel_set=kernel_set("thumb2"), offsets={"input": in_c % 4})
        np.testing.assert_array_equal(done.output, reference.run_kernel(CONV, p, x).reshape(done.output.shape))
        touches_nothing_else(done)


@pytest.mark.parametrize("in_c", [1, 3, 4])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [((3, 1), 1, 1), ((5, 1), 2, 2), ((4, 3), 1, 0), ((2, 2), 2, 1)])
def test_columns_of_outputs_are_rows(kernel: tuple[int, int], stride: int, pad: int, in_c: int) -> None:
    """Windows as wide as the input; the kernel makes all pixels of the column in one row."""
    p, x = layer(kernel, in_c, (9, 1), stride, 0, signed=False)
    p |= {"pad_top": pad, "in_h": p["in_h"] - pad}
    x = x[:p["in_h"]]
    packed = matmul.convolution(p)
    assert packed.words[1] == 1 and packed.words[13] == 9  # kernel rows, outputs of a row
    done = call(library("thumb2"), CONV, p, x, kernel_set=kernel_set("thumb2"))
    np.testing.assert_array_equal(done.output, reference.run_kernel(CONV, p, x).reshape(done.output.shape))


@pytest.mark.parametrize(("kernel_h", "taps", "groups"), [(3, 9, 7), (3, 6, 5), (5, 5, 7), (4, 5, 5), (2, 2, 1), (3, 1, 1), (1, 1, 1), (1, 6, 2), (3, 7, 6), (3, 8, 6)])
def test_groups_of_four_taps(kernel_h: int, taps: int, groups: int) -> None:
    """Every tap is in a group once, and no group is in vain."""
    weights = np.arange(1, kernel_h * taps + 1, dtype=np.int8).reshape(1, kernel_h, taps)
    run, left = matmul.runs(kernel_h, taps)
    ordered = matmul.windows(weights, run, left)
    assert ordered.shape[1] == 4 * groups
    assert sorted(ordered[ordered != 0]) == sorted(weights.ravel())
