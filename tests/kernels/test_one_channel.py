"""Packed convolutions with one input channel, and of 3x3 with three, against the reference: the shapes that conv2d_walk.inc, conv2d_tall.inc and
conv2d_colours.inc take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from armsrc.kernels.thumb2.packing import conv, matmul
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import cycles_of, kernel_set, library, touches_nothing_else


@st.composite
def layers(draw: st.DrawFn, kernel: tuple[st.SearchStrategy[int], st.SearchStrategy[int]], stride: int, least: int) -> dict[str, Any]:
    """Legal structs whose requantizers the packers take, of both forms; at least that many rows and columns of output."""
    p: dict[str, Any] = {"in_c": 1, "input_zero_point": draw(st.sampled_from([-128, 127, 0, -7])), "per_channel": 1}
    for axis, size, edge in zip("hw", kernel, ("top", "left"), strict=True):
        p |= {f"kernel_{axis}": draw(size), f"stride_{axis}": draw(st.integers(1, stride)), f"in_{axis}": draw(st.integers(1, 40))}
        p[f"pad_{edge}"] = draw(st.integers(0, p[f"kernel_{axis}"] - 1)) if draw(st.booleans()) else 0
        most = (p[f"in_{axis}"] - 1 + p[f"pad_{edge}"]) // p[f"stride_{axis}"] + 1
        inside = (p[f"in_{axis}"] + p[f"pad_{edge}"] - p[f"kernel_{axis}"]) // p[f"stride_{axis}"] + 1
        p[f"out_{axis}"] = inside if inside >= least and draw(st.booleans()) else draw(st.integers(min(least, most), most))
    p["out_c"] = draw(st.sampled_from([1, 2, 3, 5, 6, 7, 8, 8, 12, 16]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p["weights"] = random.integers(-128, 128, (p["out_c"], p["kernel_h"], p["kernel_w"], 1)).astype(np.int8)
    p["weights"][0] = draw(st.sampled_from([-128, 127, 0]))
    p["bias"] = random.integers(-9000, 9000, p["out_c"]).astype(np.int32)
    zero_point = draw(st.sampled_from([-128, -9, 127]))
    top = draw(st.sampled_from([127, 127, max(zero_point, 60)]))
    least, most = draw(st.sampled_from([(3, 9), (1, 22), (7, 11)]))  # shifts
    bottom = draw(st.sampled_from([zero_point, -128]))
    p["requant"] = np.array([(random.integers(1 << 30, 1 << 31), random.integers(least, most + 1), zero_point, bottom, top)
                             for _ in range(p["out_c"])], np.int32)
    return p


WALK = layers((st.sampled_from([3, 3, 2, 1]), st.sampled_from([3, 3, 2, 1])), 2, 2)
TALL = layers((st.integers(7, 10), st.integers(3, 4)), 2, 5)
LOW = layers((st.integers(2, 5), st.sampled_from([1, 2, 3, 4, 5, 5])), 1, 5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("columns", [177, 178, 179, 180, 181, 356, 357, 358, 401])
@pytest.mark.parametrize("out_c", [8, 3])
def test_rows_longer_than_the_frame(stride: int, columns: int, out_c: int) -> None:
    """They are walked in strips, of which the last one reaches back; with padding and without, both forms, and clamped."""
    rng = np.random.default_rng(columns)
    for pad, bottom in ((0, -20), (1, -128)):
        out_w = (columns + 2 * pad - 3) // stride + 1
        p = {"in_h": 4, "in_w": columns, "in_c": 1, "out_h": 2, "out_w": out_w, "out_c": out_c, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": stride,
             "pad_top": pad, "pad_left": pad, "input_zero_point": 5, "per_channel": 1, "weights": rng.integers(-128, 128, (out_c, 3, 3, 1)).astype(np.int8),
             "bias": rng.integers(-9000, 9000, out_c).astype(np.int32), "requant": np.array([[(1 << 30) + 77, 8, -20, bottom, 100]] * out_c, np.int32)}
        assert conv.walk(p).addresses[0] == "conv2d_s8.walk"
        x = rng.integers(-128, 128, (4, columns, 1)).astype(np.int8)
        done = call(library("thumb2"), "conv2d_s8", p, x, offsets={"input": columns % 4}, kernel_set=kernel_set("thumb2"))
        np.testing.assert_array_equal(done.output, reference.run_kernel("conv2d_s8", p, x).reshape(done.output.shape))
        touches_nothing_else(done)


@pytest.mark.parametrize("out_w", [*range(2, 41), *range(59, 63), 118, 119, 158, 160, 177, 178])
def test_rows_of_every_length(out_w: int) -> None:
    """Of one block, of two and of more, which begin with each of a block's pairs; an even number of outputs and an odd one."""
    rng = np.random.default_rng(out_w)
    p = {"in_h": 5, "in_w": out_w + 2, "in_c": 1, "out_h": 3, "out_w": out_w, "out_c": 8, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 0,
         "pad_left": 0, "input_zero_point": 5, "per_channel": 1, "weights": rng.integers(-128, 128, (8, 3, 3, 1)).astype(np.int8),
         "bias": rng.integers(-9000, 9000, 8).astype(np.int32), "requant": np.array([[(1 << 30) + 77, 8, -20, -20, 100]] * 8, np.int32)}
    pairs = (out_w + 3) // 2
    assert conv.walk(p).addresses[1] == ("conv2d_s8.walk_loops.row" if pairs > 20 else f"conv2d_s8.walk_rows_{-(-pairs // 10)}." + (
        "first" if out_w % 2 else "row" if pairs % 10 else "whole"))
    for changed in ({}, {"out_c": 3}):
        p |= changed | {name: p[name][:changed.get("out_c", 8)] for name in ("weights", "bias", "requant")}
        x = rng.integers(-128, 128, (5, out_w + 2, 1)).astype(np.int8)
        done = call(library("thumb2"), "conv2d_s8", p, x, kernel_set=kernel_set("thumb2"))
        np.testing.assert_array_equal(done.output, reference.run_kernel("conv2d_s8", p, x).reshape(done.output.shape))
        touches_nothing_else(done)


@pytest.mark.parametrize(("shapes", "path", "ways"), [(WALK, "walk", {1, 2, 3, 4, 5}), (TALL, "tall", {0, 4}), (LOW, "tall", {2, 3})],
                         ids=["walk", "tall", "low"])
def test_equals_the_reference(shapes: st.SearchStrategy[dict[str, Any]], path: str, ways: set[int]) -> None:
    """ways: strides and forms, and rows of one block, or numbers of sequences."""
    packs, taken = kernel_set("thumb2"), []

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(shapes, st.integers(0, 3), st.integers(0, 3), st.sampled_from([None, -128, 127]))
    def check(p: dict[str, Any], input_at: int, output_at: int, all_of: int | None) -> None:
        x = np.random.default_rng(0).integers(-128, 128, (p["in_h"], p["in_w"], 1)).astype(np.int8) if all_of is None else np.full(
            (p["in_h"], p["in_w"], 1), all_of, np.int8)
        done = call(library("thumb2"), "conv2d_s8", p, x, offsets={"input": input_at, "output": output_at}, kernel_set=packs)
        np.testing.assert_array_equal(done.output, reference.run_kernel("conv2d_s8", p, x).reshape(done.output.shape))
        touches_nothing_else(done)
        packed = packs.pack("conv2d_s8", p)
        if packed is not None and packed.addresses[0] == f"conv2d_s8.{path}":
            code = packed.addresses.get(1, "")
            taken.append(int(packed.words[3]) if path == "tall" else p["stride_w"] - 1 + 2 * ("doubled" in code) + 4 * ("rows" in code) + ("rows_2" in code))

    check()
    assert len(taken) > 15 and set(taken) >= ways


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("pads", [(0, 0), (1, 1), (2, 1), (1, 0)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1), (1, 3)])
@pytest.mark.parametrize("rows", [5, 10, 14])
def test_three_channels(rows: int, strides: tuple[int, int], pads: tuple[int, int], signed: bool) -> None:
    """conv2d_colours.inc: bands that reach back, padding on either side, both forms."""
    rng = np.random.default_rng(rows)
    out_w, out_c = 4, 9
    p = {"in_c": 3, "out_c": out_c, "out_h": rows, "out_w": out_w, "kernel_h": 3, "kernel_w": 3, "stride_h": strides[0], "stride_w": strides[1],
         "pad_top": pads[0], "pad_left": pads[1], "in_h": (rows - 1) * strides[0] + 3 - 2 * pads[0] + 1, "in_w": (out_w - 1) * strides[1] + 3 - 2 * pads[1],
         "input_zero_point": -5, "per_channel": 1, "weights": rng.integers(-128, 128, (out_c, 3, 3, 3)).astype(np.int8),
         "bias": rng.integers(-9000, 9000, out_c).astype(np.int32),
         "requant": np.array([[(1 << 30) + 99, 9, -20, -128 if signed else -20, 101]] * out_c, np.int32)}
    for x in (rng.integers(-128, 128, (p["in_h"], p["in_w"], 3)).astype(np.int8), np.full((p["in_h"], p["in_w"], 3), -128, np.int8)):
        assert conv.colours(p).words[3] == 4 + strides[0]
        done = call(library("thumb2"), "conv2d_s8", p, x, offsets={"input": rows % 4, "output": 1}, kernel_set=kernel_set("thumb2"))
        np.testing.assert_array_equal(done.output, reference.run_kernel("conv2d_s8", p, x).reshape(done.output.shape))
        touches_nothing_else(done)


def test_what_is_not_taken() -> None:
    weights = np.ones((1, 3, 3, 1), np.int8)
    p = {"in_h": 9, "in_w": 9, "in_c": 1, "out_h": 7, "out_w": 7, "out_c": 1, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 0,
         "pad_left": 0, "input_zero_point": 0, "per_channel": 0, "weights": weights, "bias": np.zeros(1, np.int32),
         "requant": np.array([[1 << 30, 5, -128, -128, 127]], np.int32)}
    assert conv.walk(p) is not None
    for other in ({"in_c": 2}, {"stride_w": 3}, {"out_w": 1}, {"requant": np.array([[1 << 30, 0, 0, -128, 127]])},
                  {"requant": np.array([[1 << 30, 23, -128, -128, 127]])}, {"requant": np.array([[0, 5, -128, -128, 127]])},
                  {"bias": np.array([1 << 30], np.int32)}):
        assert conv.walk(p | other) is None, other
    high = p | {"in_h": 14, "kernel_h": 10, "out_h": 5, "weights": np.ones((1, 10, 3, 1), np.int8)}
    assert conv.tall(high) is not None
    assert all(conv.tall(high | other) is None for other in ({"in_c": 2}, {"stride_h": 3}, {"out_h": 4}, {"kernel_h": 11}, {"kernel_w": 5}))
    six = high | {"out_h": 6, "out_c": 64, "weights": np.ones((64, 10, 3, 1), np.int8), "bias": np.zeros(64, np.int32)}
    assert conv.tall(six) is None and conv.tall(six | {"out_h": 10}) is not None
    low = p | {"in_h": 9, "kernel_h": 5, "kernel_w": 5, "out_h": 5, "weights": np.ones((1, 5, 5, 1), np.int8)}
    assert conv.tall(low) is not None
    assert all(conv.tall(low | other) is None for other in ({"stride_h": 2}, {"kernel_w": 6}))
    eight = low | {"kernel_h": 1, "out_c": 8, "weights": np.ones((8, 1, 5, 1), np.int8), "bias": np.zeros(8, np.int32)}
    assert conv.tall(eight) is None, "one row in five is none of the window's"


@pytest.mark.parametrize(("out", "kernel", "stride", "out_c", "walks"), [
    ((9, 4), (1, 1), 1, 16, False), ((7, 5), (1, 1), 2, 16, False), ((7, 14), (2, 1), 2, 24, False),
    ((9, 9), (2, 2), 1, 8, True), ((5, 24), (2, 3), 1, 3, True)])
def test_small_windows_go_where_they_take_fewer_cycles(out: tuple[int, int], kernel: tuple[int, int], stride: int, out_c: int,
                                                       walks: bool) -> None:
    random = np.random.default_rng(out_c)
    sizes = {f"{name}_{axis}": size for axis, of, window in zip("hw", out, kernel, strict=True)
             for name, size in (("in", (of - 1) * stride + window), ("out", of), ("kernel", window), ("stride", stride))}
    p = {**sizes, "in_c": 1, "out_c": out_c, "pad_top": 0, "pad_left": 0, "input_zero_point": -5, "per_channel": 0,
         "weights": random.integers(-128, 128, (out_c, *kernel, 1)).astype(np.int8), "bias": np.zeros(out_c, np.int32),
         "requant": np.array([[1 << 30, 8, -1, -128, 127]], np.int32)}
    x = random.integers(-128, 128, (p["in_h"], p["in_w"], 1)).astype(np.int8)

    def cycles(taken: KernelSet) -> int:
        done = call(library("thumb2"), "conv2d_s8", p, x, kernel_set=taken)
        return cycles_of(done)

    assert bool(conv.walk(p)) is walks
    assert cycles(kernel_set("thumb2")) <= cycles(KernelSet(pack=lambda kernel, p: matmul.convolution(p)))
