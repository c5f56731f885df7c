"""Packs convolutions of many channels for conv_chains.inc: the kernel rows of a window are runs of inputs, which are cut in the chunks of chains.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import chains, common, conv

_MOST_BAND = 6144  # bytes of scratch for input rows
_PIXELS = 3  # of a tile


class Cut(NamedTuple):
    """How a layer is cut. rows: output rows of a band. parts: the weights of each chunk, int8 (out_c, inputs)."""

    rows: int
    parts: list[np.ndarray]


def convolution(p: Params) -> Packed | None:
    """Convolutions whose requantizers are lines, where that takes fewer cycles than conv_tiles.inc and conv2d_colours.inc. The code reads the
    struct's sizes, so columns stand."""
    made = cut(p)
    return packed(p, made) if made and cycles(p, made) <= min(conv.tiles_cycles(p), conv.colours_cycles(p)) else None


def cut(p: Params) -> Cut | None:
    """None where the scratch holds no band of three pixels."""
    rows = _rows(p)
    return Cut(rows, chains.chunks(np.asarray(p["weights"]).reshape(p["out_c"], -1))) if rows else None


def packed(p: Params, made: Cut) -> Packed | None:
    """None where some requantizer is no line, or sums are too large."""
    stream = chains.stream(p, made.parts, "conv2d_s8", left=False)
    if stream is None:
        return None
    step, pitch, found = p["stride_w"] * p["in_c"], _pitch(p), pieces(p, [part.shape[1] for part in made.parts])
    seen = min(p["in_w"], (p["out_w"] - 1) * p["stride_w"] + p["kernel_w"] - p["pad_left"])
    band = _reach(p, made.rows) * pitch
    header = [len(found), 0, pitch, made.rows, p["pad_left"] * p["in_c"], seen * p["in_c"], step, p["stride_h"] * pitch - p["out_w"] * step,
              (p["input_zero_point"] & 0xFF) * 0x01010101, band, *np.ravel(found)]
    ends = {len(header) + at: name for at, name in stream.addresses.items()}
    return common.packed("conv2d_s8.chains", common.words(header), *stream.words, scratch=band + stream.sums, addresses=ends)


def pieces(p: Params, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Bytes from a window's beginning to a piece, and its inputs, of a chunk's last piece less than 0. sizes: inputs of the chunks."""
    run, pitch, at, found = p["kernel_w"] * p["in_c"], _pitch(p), 0, []
    for size in sizes:
        end = at + size
        while at < end:
            inputs = min(end, (at // run + 1) * run) - at
            found.append((at // run * pitch + at % run, inputs if at + inputs < end else -inputs))
            at += inputs
    return found


def _pitch(p: Params) -> int:
    """Bytes of a row of the band."""
    return -(-((p["out_w"] - 1) * p["stride_w"] + p["kernel_w"]) * p["in_c"] // 4) * 4


def _reach(p: Params, rows: int) -> int:
    """Input rows that the windows of so many output rows see."""
    return (rows - 1) * p["stride_h"] + p["kernel_h"]


def _rows(p: Params) -> int | None:
    """Output rows of a band: as few tiles as can be, and the fewest rows for them. None where the scratch holds no band of three pixels."""
    out_h, out_w = p["out_h"], p["out_w"]
    last = {rows: out_h - (-(-out_h // rows) - 1) * rows for rows in range(1, out_h + 1)}
    fit = [rows for rows in last if last[rows] * out_w >= _PIXELS and _reach(p, rows) * _pitch(p) <= _MOST_BAND]
    return min(fit, key=lambda rows: _tiles(p, rows), default=None)


def _tiles(p: Params, rows: int) -> int:
    """Tiles of all bands."""
    whole, rest = divmod(p["out_h"], rows)
    return whole * -(-rows * p["out_w"] // _PIXELS) + -(-rest * p["out_w"] // _PIXELS)


def cycles(p: Params, made: Cut | None) -> float:
    """About what the layer takes on the M4; infinite where it is not cut."""
    if made is None:
        return math.inf
    tiles, bands = _tiles(p, made.rows), -(-p["out_h"] // made.rows)
    bent = common.is_signed(common.channels(p))
    each = 60 + 25 * len(pieces(p, [part.shape[1] for part in made.parts]))
    return 240 + chains.cycles(_PIXELS * tiles, made.parts, bent=bent) + each * tiles + bands * _reach(p, made.rows) * (0.75 * _pitch(p) + 40)
