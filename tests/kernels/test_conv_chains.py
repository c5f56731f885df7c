"""Convolutions by chains of SMLAL (conv_chains.inc): bands, tiles across rows, chunks of kernel rows; and which layers take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from armsrc import abi
from armsrc.kernels.thumb2.packing import conv, conv_chains, matmul
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import cycles_of, fill_kept_registers, kernel_set, library, touches_nothing_else

CONV = "conv2d_s8"
LIMITS = [(-128, -128), (-5, -5), (-1, -128), (6, -100), (127, -128)]  # zero point, qmin


def layer(kernel: tuple[int, int], channels: tuple[int, int], out: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int], *, limits=(-128, -128),
          more: tuple[int, int] = (0, 0), shift: int = 9, seed: int = 0) -> tuple[dict[str, Any], np.ndarray]:
    """The struct of these sizes, and an input. more: rows and columns of the input that no window reaches, or, if negative, that lie below and right of it."""
    random, (in_c, out_c) = np.random.default_rng(seed), channels
    size = [max(1, (o - 1) * s + k - 2 * p + m) for o, s, k, p, m in zip(out, strides, kernel, pads, more, strict=True)]
    fields = [random.integers(1 << 30, 1 << 31, out_c), shift + random.integers(0, 2, out_c), *np.full((out_c, 3), (*limits, 127)).T]
    params = {"in_h": size[0], "in_w": size[1], "in_c": in_c, "out_h": out[0], "out_w": out[1], "out_c": out_c, "kernel_h": kernel[0], "kernel_w": kernel[1],
              "stride_h": strides[0], "stride_w": strides[1], "pad_top": pads[0], "pad_left": pads[1], "input_zero_point": -7, "per_channel": 1,
              "weights": (random.integers(-128, 128, (out_c, *kernel, in_c)) >> random.integers(0, 3)).astype(np.int8),
              "bias": random.integers(-30000, 30000, out_c).astype(np.int32), "requant": np.stack(fields, axis=1).astype(np.int32)}
    return params, random.integers(-128, 128, (*size, in_c)).astype(np.int8)


def packs(params: dict[str, Any]) -> KernelSet | None:
    """Chains alone; None where they do not take the layer."""
    made = conv_chains.cut(params)
    packed = conv_chains.packed(params, made) if made else None
    return KernelSet(pack=lambda kernel, p: packed) if packed else None


def is_legal(params: dict[str, Any]) -> bool:
    try:
        abi.check_call(CONV, (params,))
    except abi.AbiError:
        return False
    return True


def check(params: dict[str, Any], x: np.ndarray, taken: KernelSet, **offsets: int) -> None:
    done = call(library("thumb2"), CONV, params, x, kernel_set=taken, offsets=offsets, before=fill_kept_registers)
    np.testing.assert_array_equal(done.output, reference.run_kernel(CONV, params, x).reshape(done.output.shape))
    touches_nothing_else(done)


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.sampled_from([3, 4, 7, 8, 16, 24, 64]), st.integers(1, 9)),
       st.tuples(st.integers(1, 7), st.integers(1, 7)), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(0, 2), st.integers(0, 2)),
       st.tuples(st.integers(-1, 2), st.integers(-1, 2)), st.sampled_from(LIMITS), st.integers(7, 11), st.sampled_from([None, -128, 127]), st.integers(0, 1 << 30))
def test_random_layers(kernel, channels, out, strides, pads, more, limits, shift, all_of, seed) -> None:
    pads = tuple(min(pad, size - 1) for pad, size in zip(pads, kernel, strict=True))
    params, x = layer(kernel, channels, out, strides, pads, limits=limits, more=more, shift=shift, seed=seed)
    assume(is_legal(params))
    taken = packs(params)
    assume(taken)
    check(params, x if all_of is None else np.full_like(x, all_of), taken, input=seed % 4, output=seed // 4 % 4)


@pytest.mark.parametrize("limits", LIMITS[:3])
@pytest.mark.parametrize(("kernel", "channels", "out", "rows", "chunks"), [
    ((3, 3), (16, 5), (5, 5), 3, 2), ((3, 3), (64, 4), (8, 8), 3, 5), ((3, 3), (50, 3), (4, 4), 2, 4), ((1, 1), (64, 4), (7, 3), 1, 1), ((2, 1), (128, 9), (2, 2), 2, 2),
    ((1, 5), (30, 4), (3, 1), 3, 2), ((4, 4), (96, 4), (9, 3), 1, 12), ((3, 3), (3, 9), (6, 6), 1, 1), ((5, 5), (3, 4), (6, 6), 1, 1)])
def test_bands_and_chunks(kernel, channels, out, rows: int, chunks: int, limits: tuple[int, int]) -> None:
    """rows: of a band."""
    params, x = layer(kernel, channels, out, (1, 1), (0, 0), limits=limits)
    params["weights"] >>= 1  # so that 128 products fit their field
    made = conv_chains.cut(params)
    assert made and (made.rows, len(made.parts)) == (rows, chunks)
    taken = packs(params)
    assert taken
    check(params, x, taken)


def test_pieces() -> None:
    """A window of three rows of twelve bytes, 20 from row to row, in chunks of 16."""
    params, _ = layer((3, 3), (4, 4), (3, 3), (1, 1), (0, 0))
    assert conv_chains.pieces(params, [16, 16, 4]) == [(0, 12), (20, -4), (24, 8), (40, -8), (48, -4)]


def test_what_is_not_taken() -> None:
    params, _ = layer((3, 3), (16, 4), (1, 2), (1, 1), (0, 0))
    assert conv_chains.cut(params) is None, "two pixels are no tile"
    params, _ = layer((3, 3), (16, 4), (3, 300), (1, 1), (0, 0))
    assert conv_chains.cut(params) is None, "the scratch holds no row"
    params, _ = layer((3, 3), (64, 4), (3, 3), (1, 1), (0, 0))
    assert packs(params) is not None
    params["weights"][:] = 127
    assert packs(params) is None, "sums beyond 2^23"


@pytest.mark.parametrize(("kernel", "channels", "out", "stride"), [
    ((3, 3), (16, 32), (16, 16), 2), ((3, 3), (32, 32), (16, 16), 1), ((3, 3), (64, 64), (8, 8), 1), ((1, 1), (32, 64), (8, 8), 2), ((3, 3), (16, 16), (6, 5), 1),
    ((3, 3), (8, 8), (9, 9), 1), ((5, 5), (6, 16), (8, 8), 1), ((3, 3), (3, 8), (12, 12), 2), ((3, 3), (3, 32), (10, 10), 1), ((5, 5), (3, 16), (9, 9), 1)])
def test_the_cheaper_way_is_taken(kernel, channels, out, stride: int) -> None:
    params, x = layer(kernel, channels, out, (stride, stride), (0, 0))

    def cycles(taken: KernelSet) -> int:
        done = call(library("thumb2"), CONV, params, x, kernel_set=taken)
        return cycles_of(done)

    ways = [packs(params), KernelSet(pack=lambda kernel, p: matmul.convolution(p)), *([KernelSet(pack=lambda kernel, p: conv.colours(p))] if conv.colours(params) else [])]
    assert cycles(kernel_set("thumb2")) <= 1.05 * min(cycles(way) for way in ways if way)
    assert conv.tiles_cycles(params) == pytest.approx(cycles(ways[1]), rel=0.15)


@pytest.mark.parametrize("pads", [(0, 0), (1, 0)])
@pytest.mark.parametrize("channels", [(2, 16), (8, 16), (16, 8), (16, 16), (40, 16)])
@pytest.mark.parametrize("kernel", [(3, 1), (5, 1), (7, 1)])
def test_columns_as_the_set_packs_them(kernel: tuple[int, int], channels: tuple[int, int], pads: tuple[int, int]) -> None:
    """conv_tiles.inc lays columns down as rows; the chains read the struct's sizes."""
    params, x = layer(kernel, channels, (60, 1), (1, 1), pads)
    check(params, x, kernel_set("thumb2"))
