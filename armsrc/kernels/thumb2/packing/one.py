"""Packs layers with one output or two for dense_one.inc, whose head says what its stream is, and for pixels_one.inc."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, conv

_PASS = 16  # inputs
_WALKED = 32  # pixels that conv2d_walk.inc takes as long for
_RATES = {1: (46, 32.5, 11.5, 9.5), 2: (57, 50.5, 16, 13)}  # cycles of a pixel, by outputs: besides, 16 inputs, four, one
_DENSE = {1: 70, 2: 82}  # cycles of a dense layer besides, by outputs
_CALL = 80  # cycles of a layer of pixels besides
_TILE = 4  # pixels
_TILES = {1: 1.2, 2: 1}  # what conv.py's estimate is multiplied by for so few filters


def dense(p: Params) -> Packed | None:
    """One output or two. None where a requantizer is rare."""
    stream = _stream(p) if p["out_c"] <= 2 else None
    if stream is None:
        return None
    flags, requant = common.clamp(p)
    return common.packed("dense_s8.one" if p["out_c"] == 1 else "dense_s8.one_two", *stream, common.words([flags]), requant)


def dense_cycles(in_c: int, out_c: int) -> float:
    """About what a dense layer takes."""
    return _DENSE[out_c] + _inputs_cycles(in_c, out_c)


def convolution(p: Params) -> Packed | None:
    """1x1, one filter or two, where tiles take more cycles; on one channel few pixels, or with steps between them."""
    pixels, in_c, out_c = p["out_h"] * p["out_w"], p["in_c"], p["out_c"]
    if out_c > 2 or p["kernel_h"] * p["kernel_w"] > 1 or (in_c == 1 and p["stride_w"] == 1 and pixels > _WALKED):
        return None
    tiles = _TILES[out_c] * conv.tiles_cycles(p)
    return pixel_by_pixel(p) if pixels <= _TILE or cycles(pixels, in_c, out_c) <= tiles else None


def cycles(pixels: int, in_c: int, out_c: int) -> float:
    """About what a layer of pixels takes."""
    return _CALL + pixels * (_RATES[out_c][0] + _inputs_cycles(in_c, out_c))


def _inputs_cycles(in_c: int, out_c: int) -> float:
    _, of_pass, four, single = _RATES[out_c]
    return of_pass * (in_c // _PASS) + four * (in_c % _PASS // 4) + single * (in_c % 4)


def pixel_by_pixel(p: Params) -> Packed | None:
    """A 1x1 convolution of one output or two. None where a requantizer is rare."""
    stream, in_c = _stream(p), p["in_c"]
    if stream is None:
        return None
    columns, step = p["out_w"], p["stride_w"] * in_c
    turn = p["stride_h"] * p["in_w"] * in_c - columns * step
    flags, requant = common.clamp(p)
    header = [flags, p["out_c"], step, columns, turn, p["out_h"], p["out_h"] * columns]
    return common.packed("conv2d_s8.one", common.words(header), *stream, requant)


def _stream(p: Params) -> list[np.ndarray] | None:
    """As the head of dense_one.inc says, up to the constants. None where a requantizer is rare."""
    weights = np.asarray(p["weights"], np.int64).reshape(p["out_c"], -1)
    out_c, in_c = weights.shape
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    constants = common.plain(rq, weights, bias)
    if constants is None:
        return None
    passes, fours, singles = in_c // _PASS, in_c % _PASS // 4, in_c % 4
    words = common.by_lanes(weights[:, :in_c - singles]).reshape(out_c, -1, 2).swapaxes(0, 1)
    of_passes, of_fours = np.split(words, [passes * _PASS // 4])
    parts = [passes], bias, of_passes, [fours], of_fours, [singles], weights[:, in_c - singles:].T, constants
    return [common.words(np.ravel(part)) for part in parts]
