"""1x1 layers of few output channels (pointwise_narrow.inc): what is left over of pixels, inputs and channels; and which layers take it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from armsrc.kernels.thumb2.packing import chains, conv_chains, matmul, narrow
from armsrc.kernelset import KernelSet, Packed
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import cycles_of, kernel_set, library, touches_nothing_else

POINTWISE, CONV = "pointwise_conv2d_s8", "conv2d_s8"
SATURATING, DOUBLED, FAR = (9, -128), (9, 5), (21, -100)  # shift, zero point


def layer(pixels: int, in_c: int, out_c: int, *, requantizer: tuple[int, int] = SATURATING, qmax: int = 127, seed: int = 0) -> dict[str, Any]:
    """A multiplier, and a bias, of each channel's own."""
    random, (shift, zero_point) = np.random.default_rng(seed), requantizer
    rows = np.stack([random.integers(1 << 30, 1 << 31, out_c), *np.full((out_c, 4), (shift, zero_point, -128, qmax)).T], axis=1)
    return {"in_h": pixels, "in_w": 1, "in_c": in_c, "out_c": out_c, "input_zero_point": int(random.integers(-128, 128)), "per_channel": 1,
            "weights": random.integers(-128, 128, (out_c, in_c)).astype(np.int8), "bias": random.integers(-30000, 30000, out_c).astype(np.int32),
            "requant": rows.astype(np.int32)}


def inputs(p: dict[str, Any], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (p["in_h"], p["in_w"], p["in_c"])).astype(np.int8)


def convolution(p: dict[str, Any], h: int, w: int) -> dict[str, Any]:
    """The layer as a 1x1 convolution of h x w pixels."""
    ones = dict.fromkeys(("kernel_h", "kernel_w", "stride_h", "stride_w"), 1)
    return {**p, **ones, "in_h": h, "in_w": w, "out_h": h, "out_w": w, "pad_top": 0, "pad_left": 0, "weights": p["weights"].reshape(p["out_c"], 1, 1, -1)}


def check(p: dict[str, Any], x: np.ndarray, kernel: str = POINTWISE, offsets: dict[str, int] | None = None) -> None:
    """By this path, against the reference."""
    packed = narrow.packed(p, kernel, x.shape[0] * x.shape[1])
    assert packed and packed.addresses[0] == f"{kernel}.narrow"
    done = call(library("thumb2"), kernel, p, x, kernel_set=KernelSet(pack=lambda _, params: packed), offsets=offsets)
    np.testing.assert_array_equal(done.output, reference.run_kernel(kernel, p, x).reshape(done.output.shape))
    touches_nothing_else(done)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(4, 13), st.one_of(st.integers(4, 20), st.integers(4, 140)), st.integers(1, 7),
       st.sampled_from([SATURATING, (3, -128), DOUBLED, FAR]), st.sampled_from([127, 60]), st.booleans(), st.integers(0, 3), st.integers(0, 3),
       st.integers(0, 1 << 30))
def test_random_layers(pixels: int, in_c: int, out_c: int, requantizer: tuple[int, int], qmax: int, small: bool, x_at: int, y_at: int,
                       seed: int) -> None:
    p = layer(pixels, in_c, out_c, requantizer=requantizer, qmax=qmax, seed=seed)
    p["requant"][seed % 3::3, 4] = 127
    x = inputs(p, seed)
    check(p, x >> 4 if small else x, offsets={"input": x_at, "output": y_at})


@pytest.mark.parametrize("in_c", [*range(4, 21), 35, 36, 37, 64, 68, 257])
@pytest.mark.parametrize("out_c", [1, 2, 3])
def test_inputs_and_pixels_of_every_number(out_c: int, in_c: int) -> None:
    """Passes that begin with each of their groups; up to three pixels left over, which must be read again, but none behind the last."""
    for pixels in range(4 if out_c % 2 else 2, 9):
        p = layer(pixels, in_c, out_c, seed=in_c)
        check(p, inputs(p))


@pytest.mark.parametrize("requantizer", [SATURATING, DOUBLED])
@pytest.mark.parametrize("end", [-128, 127])
def test_extremes(end: int, requantizer: tuple[int, int]) -> None:
    for in_c, weight in ((5, -128), (64, 127), (320, -128)):
        p = layer(5, in_c, 3, requantizer=(13, requantizer[1]))
        p |= {"weights": np.full((3, in_c), weight, np.int8), "input_zero_point": end}
        for x in (-128, 127):
            check(p, np.full((5, 1, in_c), x, np.int8))


@pytest.mark.parametrize(("h", "w"), [(1, 4), (4, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize("out_c", [1, 2, 5])
def test_convolutions(out_c: int, h: int, w: int) -> None:
    for in_c, requantizer in ((7, SATURATING), (16, DOUBLED), (33, SATURATING)):
        p = convolution(layer(h * w, in_c, out_c, requantizer=requantizer, qmax=90), h, w)
        check(p, inputs(p), CONV)


def test_convolutions_that_see_the_upper_rows_only() -> None:
    p = convolution(layer(12, 16, 2), 3, 4) | {"in_h": 5}
    packed = kernel_set("thumb2").pack(CONV, p)
    assert packed and packed.addresses[0] == f"{CONV}.narrow"
    x = inputs(p)
    done = call(library("thumb2"), CONV, p, x, kernel_set=kernel_set("thumb2"))
    np.testing.assert_array_equal(done.output, reference.run_kernel(CONV, p, x).reshape(done.output.shape))


@pytest.mark.parametrize("changed", [{"stride_w": 2, "out_w": 2}, {"stride_h": 2, "out_h": 2}, {"out_w": 3}, {"kernel_w": 2, "out_w": 3},
                                     {"pad_left": 1, "kernel_w": 3}])
def test_convolutions_whose_pixels_do_not_lie_side_by_side_are_left(changed: dict[str, int]) -> None:
    p = convolution(layer(16, 32, 2), 4, 4) | changed
    p["weights"] = np.ones((2, p["kernel_h"], p["kernel_w"], 32), np.int8)
    assert narrow.convolution(p) is None


def test_what_has_no_block_is_left() -> None:
    assert narrow.takes(layer(2, 4, 2), 2) and narrow.takes(layer(4, 5, 3), 4)
    assert not narrow.takes(layer(1, 5, 2), 1) and not narrow.takes(layer(3, 5, 3), 3) and not narrow.takes(layer(9, 3, 2), 9)
    assert narrow.packed(layer(9, 16, 2, requantizer=(0, 5)), POINTWISE, 9) is None  # a rare requantizer
    assert kernel_set("thumb2").pack(POINTWISE, layer(9, 3, 1)) is not None


CHOICES = [(2, 16, 1), (2, 64, 8), (3, 16, 2), (3, 64, 4), (4, 16, 3), (5, 64, 1), (5, 9, 4), (9, 64, 6), (9, 66, 7), (16, 16, 6), (16, 64, 8),
           (16, 64, 9), (16, 65, 5), (4, 4, 8), (16, 4, 2), (16, 8, 2), (16, 8, 4), (25, 256, 2), (25, 100, 12)]


@pytest.mark.parametrize("requantizer", [SATURATING, DOUBLED])
@pytest.mark.parametrize(("pixels", "in_c", "out_c"), CHOICES)
def test_the_cheaper_path_is_chosen(pixels: int, in_c: int, out_c: int, requantizer: tuple[int, int]) -> None:
    p = layer(pixels, in_c, out_c, requantizer=requantizer)
    p["weights"] //= 2
    square = int(pixels**0.5) if pixels in (4, 9, 16, 25) else 1
    cut = convolution(p, square, pixels // square)
    chained: dict[str, Callable[[], Packed | None]] = {POINTWISE: lambda: chains.packed(p, chains.chunks(p["weights"])),
                                                       CONV: lambda: (made := conv_chains.cut(cut)) and conv_chains.packed(cut, made)}
    for kernel, params, tiles, own in ((POINTWISE, p, matmul.pointwise, narrow.pointwise), (CONV, cut, matmul.convolution, narrow.convolution)):
        others = [cycles(kernel, params, way) for way in (tiles(params), chained[kernel]() if pixels > 2 and in_c > 8 else None) if way]
        narrows = [cycles(kernel, params, narrow.packed(params, kernel, pixels))] if narrow.takes(params, pixels) else []
        assert min(narrows if own(params) else others) <= 1.1 * min(others + narrows)


def cycles(kernel: str, p: dict[str, Any], packed: Packed) -> int:
    done = call(library("thumb2"), kernel, p, inputs(p), kernel_set=KernelSet(pack=lambda _, params: packed))
    return cycles_of(done)


@pytest.mark.parametrize(("kernel", "out_c", "parts"), [(POINTWISE, 1, "1"), (POINTWISE, 2, "2"), (POINTWISE, 3, "21"), (CONV, 4, "22")])
def test_layers_name_the_code_of_their_parts(kernel: str, out_c: int, parts: str) -> None:
    """So an image holds no other."""
    p = layer(400, 64, out_c)
    packed, names = kernel_set("thumb2").pack(kernel, convolution(p, 20, 20) if kernel == CONV else p), {"1": "narrow_one", "2": "narrow_two"}
    assert list(packed.addresses.values()) == [f"{kernel}.{name}" for name in ("narrow", *(names[part] for part in parts))]
    assert packed.scratch == 0
