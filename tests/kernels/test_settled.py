"""Channels of thumb2's layers that answer the same whatever they see: with requantizers that no packed path takes, their layers are packed all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from armsrc.kernels.thumb2.packing import settled
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import kernel_set, library

KINDS = {
    "conv2d_s8": {"in_h": 6, "in_w": 6, "in_c": 3, "out_h": 6, "out_w": 6, "out_c": 5, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 1,
                  "pad_left": 1},
    "depthwise_conv2d_s8": {"in_h": 6, "in_w": 6, "in_c": 5, "out_h": 6, "out_w": 6, "out_c": 5, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1,
                            "pad_top": 1, "pad_left": 1},
    "pointwise_conv2d_s8": {"in_h": 3, "in_w": 3, "in_c": 12, "out_c": 5},
    "dense_s8": {"in_h": 1, "in_w": 1, "in_c": 12, "out_c": 5},
}
SHAPES = {"conv2d_s8": (5, 3, 3, 3), "depthwise_conv2d_s8": (3, 3, 5), "pointwise_conv2d_s8": (5, 12), "dense_s8": (5, 12)}
DEAD = {"multiplier 0": (0, 31), "multiplier 0, to the left": (0, -3), "far": (2**31 - 1, 31), "shift 0": (1 << 30, 0)}


def layer(kernel: str, dead: tuple[int, int], bottom: int = -128) -> tuple[dict[str, Any], np.ndarray]:
    """Of five channels the second one is dead: its weights are small, and 0 where a shift of 0 would let them show."""
    rng = np.random.default_rng(len(kernel))
    at = (1,) if not kernel.startswith("depthwise") else (..., 1)
    weights, bias = rng.integers(-128, 128, SHAPES[kernel]).astype(np.int8), rng.integers(-9000, 9000, 5).astype(np.int32)
    weights[at] = 0 if dead[1] == 0 else 1
    bias[1] = -30 if dead[1] == 0 else 100
    rows = np.array([[(1 << 30) + 777, 8, -7, bottom, 120]] * 5, np.int32)
    rows[1, :2] = dead
    p = {**KINDS[kernel], "input_zero_point": 4, "per_channel": 1, "weights": weights, "bias": bias, "requant": rows}
    return p, rng.integers(-128, 128, (p["in_h"], p["in_w"], p["in_c"])).astype(np.int8)


@pytest.mark.parametrize("bottom", [-128, -7])
@pytest.mark.parametrize("dead", DEAD.values(), ids=DEAD)
@pytest.mark.parametrize("kernel", KINDS)
def test_a_dead_channel_keeps_no_layer_from_being_packed(kernel: str, dead: tuple[int, int], bottom: int) -> None:
    p, x = layer(kernel, dead, bottom)
    assert kernel_set("thumb2").pack(kernel, p) is not None
    done = call(library("thumb2"), kernel, p, x, kernel_set=kernel_set("thumb2"))
    np.testing.assert_array_equal(done.output, reference.run_kernel(kernel, p, x).reshape(done.output.shape))


def test_what_is_not_settled_stays() -> None:
    """A shift of 0 whose channel does see its input; layers without rare requantizers."""
    p, _ = layer("dense_s8", (1 << 30, 0))
    p["weights"][1] = 1
    assert settled.settled(p, 0) is p and kernel_set("thumb2").pack("dense_s8", p) is None
    usual = {**p, "requant": p["requant"][:1], "per_channel": 0}
    assert settled.settled(usual, 0) is usual


def test_one_requantizer_for_all_channels() -> None:
    p, x = layer("pointwise_conv2d_s8", (1 << 30, 8))
    p |= {"per_channel": 0, "requant": np.array([[0, 31, 9, -128, 127]], np.int32)}
    done = call(library("thumb2"), "pointwise_conv2d_s8", p, x, kernel_set=kernel_set("thumb2"))
    assert kernel_set("thumb2").pack("pointwise_conv2d_s8", p) is not None and (done.output == 9).all()
