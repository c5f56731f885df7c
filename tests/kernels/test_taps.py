"""Depthwise layers with few outputs (depthwise_taps.inc): windows that padding clips on every side, passes, blocks; and which layers take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from armsrc import abi
from armsrc.kernels.thumb2.packing import taps
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import cycles_of, fill_kept_registers, kernel_set, library, touches_nothing_else

KERNEL = "depthwise_conv2d_s8"
TAPS, PLANES = (KernelSet(pack=lambda kernel, p, packer=packer: packer(p)) for packer in (taps.taps, taps.through_planes))


def layer(shape: tuple[int, int, int], window: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int], out: tuple[int, int] | None = None, *,
          limits: tuple[int, int] = (-128, -128), shift: int = 7, seed: int = 0) -> dict[str, Any]:
    """pads: above and left. out: as many windows as begin inside, if None."""
    random, (h, w, c) = np.random.default_rng(seed), shape
    out = out or tuple((size + pad - 1) // stride + 1 for size, pad, stride in zip((h, w), pads, strides, strict=True))
    fields = [random.integers(1 << 30, 1 << 31, c), shift + random.integers(0, 2, c), *np.full((c, 3), (*limits, 127)).T]
    return {"in_h": h, "in_w": w, "in_c": c, "out_h": out[0], "out_w": out[1], "out_c": c, "kernel_h": window[0], "kernel_w": window[1],
            "stride_h": strides[0], "stride_w": strides[1], "pad_top": pads[0], "pad_left": pads[1], "input_zero_point": -7, "per_channel": 1,
            "weights": random.integers(-128, 128, (*window, c)).astype(np.int8), "bias": random.integers(-9000, 9000, c).astype(np.int32),
            "requant": np.stack(fields, axis=1).astype(np.int32)}


def check(params: dict[str, Any], x: np.ndarray, **offsets: int) -> None:
    done = call(library("thumb2"), KERNEL, params, x, kernel_set=TAPS, offsets=offsets, before=fill_kept_registers)
    np.testing.assert_array_equal(done.output, reference.run_kernel(KERNEL, params, x).reshape(done.output.shape))
    touches_nothing_else(done)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(4, 17)), st.tuples(st.integers(1, 7), st.integers(1, 7)),
       st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(0, 4), st.integers(0, 4)),
       st.sampled_from([(-128, -128), (-5, -5), (40, -100), (-1, -128), (127, -128)]), st.integers(1, 12), st.sampled_from([None, -128, 127]), st.integers(0, 1 << 30))
def test_random_layers(shape, window, strides, pads, limits, shift, all_of, seed) -> None:
    params = layer(shape, window, strides, tuple(min(pad, size - 1) for pad, size in zip(pads, window, strict=True)), limits=limits, shift=shift, seed=seed)
    try:
        abi.check_call(KERNEL, (params,))
    except abi.AbiError:
        assume(False)
    assume(taps.taps(params))
    x = np.random.default_rng(seed).integers(-128, 128, shape) if all_of is None else np.full(shape, all_of)
    check(params, x.astype(np.int8), input=seed % 4, output=seed // 4 % 4)


@pytest.mark.parametrize("form", ["saturating", "doubled"])
@pytest.mark.parametrize("window", [(1, 1), (1, 3), (4, 4), (3, 5), (1, 17), (4, 8), (5, 7), (11, 3)])
def test_passes(window: tuple[int, int], form: str) -> None:
    """1 to 18 pairs of taps, whole passes and others, an odd tap and none."""
    params = layer((*window, 9), window, (1, 1), (0, 0), (1, 1), limits=(-128, -128) if form == "saturating" else (3, -128))
    assert taps.taps(params).addresses == {0: f"{KERNEL}.taps_{form}"}
    check(params, np.random.default_rng(1).integers(-128, 128, (*window, 9)).astype(np.int8))


def test_pixels_that_see_the_same_share_their_weights() -> None:
    inside = taps.taps(layer((9, 9, 8), (3, 3), (3, 3), (0, 0), (3, 3)))
    one = taps.taps(layer((3, 3, 8), (3, 3), (3, 3), (0, 0), (1, 1)))
    assert inside.words.size == one.words.size + 8 * 5  # a record each
    seen = taps.pixels(layer((4, 4, 8), (3, 3), (2, 2), (1, 1), (2, 2)))
    assert [len(pixel.taps) for pixel in seen] == [4, 6, 6, 9] and seen[3] == taps.Pixel((1 * 4 + 1) * 8, tuple(range(9)), tuple(
        8 * at for at in (0, 1, 2, 4, 5, 6, 8, 9, 10)))


@pytest.mark.parametrize(("shape", "window", "stride", "pad", "out", "limit"), [
    ((3, 3, 64), (3, 3), 1, 0, (1, 1), -128), ((1, 1, 64), (3, 3), 1, 1, (1, 1), -128), ((4, 4, 64), (3, 3), 1, 0, (2, 2), -128), ((3, 3, 64), (3, 3), 1, 1, (3, 3), -128),
    ((7, 7, 16), (7, 7), 1, 0, (1, 1), -1), ((16, 16, 16), (3, 3), 5, 1, (4, 4), -128), ((6, 6, 16), (3, 3), 1, 0, (4, 4), -128), ((5, 5, 64), (3, 3), 2, 0, (2, 2), -128),
    ((3, 3, 32), (5, 5), 1, 2, (3, 3), -128), ((4, 4, 8), (3, 3), 2, 1, (2, 2), 5),
    ((9, 9, 16), (3, 3), 2, 0, (4, 4), -128), ((9, 9, 8), (5, 5), 2, 0, (3, 3), -128)])
def test_the_cheaper_way_is_taken(shape, window, stride: int, pad: int, out, limit: int) -> None:
    params = layer(shape, window, (stride, stride), (pad, pad), out, limits=(limit, -128))
    x = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)

    def cycles(way: KernelSet) -> int:
        done = call(library("thumb2"), KERNEL, params, x, kernel_set=way)
        return cycles_of(done)

    assert cycles(kernel_set("thumb2")) <= 1.15 * min(map(cycles, (TAPS, PLANES)))


def test_what_is_not_taken() -> None:
    taken = layer((3, 3, 8), (3, 3), (1, 1), (0, 0), (1, 1))
    assert taps.cheapest(taken).addresses[0].endswith("taps_saturating")
    assert taps.taps(taken | {"in_c": 3, "out_c": 3, "weights": taken["weights"][..., :3]}) is None
    assert taps.taps(taken | {"requant": np.array([[1 << 30, 0, 0, -128, 127]] * 8, np.int32)}) is None, "a shift of 0"
    large = layer((40, 40, 4), (3, 3), (4, 4), (0, 0), (10, 10))
    assert taps.cheapest(large) is None and taps.taps(large), "a record a pixel"
