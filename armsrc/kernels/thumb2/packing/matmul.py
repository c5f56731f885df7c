"""Packs pointwise layers and convolutions for the matrix multiplication of tiles.inc."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, linear

SMALL = 64  # inputs of tile_64.inc
_SLOTS = 16  # channels of a block of pointwise_8.inc
_LINE_SHIFT, _LINE_INPUTS = 16, 8  # of its lines
_GROUP = 256  # conv_tiles.inc: CT_GROUP
# Of a block of so many pixels (tiles.inc): cycles to widen, an input and besides; of two channels, an input, besides, and besides that if doubled.
_BLOCKS = {4: (6.5, 58, 8.625, 52, 20), 2: (4, 70, 4.8, 60, 12), 1: (2.75, 60, 3.3, 47, 8)}
_SMALL_BLOCKS = _BLOCKS | {4: (6.5, 70, 8.25, 51, 22)}  # of tile_64.inc


def pointwise(p: Params) -> Packed | None:
    """Any pointwise layer without rare requantizers."""
    weights = np.asarray(p["weights"])
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    form, found = common.form(rq, weights, bias)
    if found is None:
        return None
    eight = p["in_c"] == 8 and p["in_h"] * p["in_w"] > 1
    if eight:
        return _eight(p, weights, bias, form, found)
    words, scratch = _tiles(p, weights, bias, form, found)
    return common.packed(f"pointwise_conv2d_s8.tiles{'_64' * (p['in_c'] <= SMALL)}", words, scratch=scratch)


def convolution(p: Params) -> Packed | None:
    """Any convolution without rare requantizers: a kernel row is a run of taps, filled up to groups of four (conv_tiles.inc)."""
    p = lying(p)
    kernel_h = p["kernel_h"]
    weights = np.asarray(p["weights"]).reshape(p["out_c"], kernel_h, -1)
    taps = weights.shape[2]
    run, left = runs(kernel_h, taps)
    rows = windows(weights, run, left)
    rq, bias = common.channels(p), common.folded_bias(p, rows)
    form, found = common.form(rq, rows, bias)
    if found is None:
        return None
    words, scratch = _tiles(p, rows, bias, form, found)
    step = p["stride_w"] * p["in_c"]
    row = -(-((p["out_w"] - 1) * step + -(-taps // 4) * 4) // 4) * 4
    reach = (p["out_w"] - 1) * p["stride_w"] + p["kernel_w"] - p["pad_left"]
    new = min(kernel_h, p["stride_h"])
    header = [kernel_h, _GROUP * (run - 1) + left, row, p["pad_left"] * p["in_c"], min(p["in_w"], reach) * p["in_c"], step, new * row, new,
              p["stride_h"] - new, (p["input_zero_point"] & 0xFF) * 0x01010101, -p["pad_top"], p["out_h"], p["out_w"], p["in_h"], p["in_w"] * p["in_c"]]
    return common.packed("conv2d_s8.tiles", common.words(header), words, scratch=scratch + kernel_h * row)


def lying(p: Params) -> Params:
    """A column of outputs as a row of them, where windows are as wide as the input: the same tensors, but pixels lie side by side, and a window is a run."""
    if p["out_w"] > 1 or p["kernel_w"] != p["in_w"] or p["pad_left"]:
        return p
    sizes = {"in_w": p["in_h"], "in_c": p["in_w"] * p["in_c"], "out_w": p["out_h"], "kernel_w": p["kernel_h"], "stride_w": p["stride_h"], "pad_left": p["pad_top"]}
    return {**p, "in_h": 1, "out_h": 1, "kernel_h": 1, "stride_h": 1, "pad_top": 0, **sizes}


def runs(kernel_h: int, taps: int) -> tuple[int, int]:
    """Full groups of four taps of a kernel row, and the taps left over, which go into groups of several rows: one or two, where that saves groups."""
    run, left = divmod(taps, 4)
    return (run, left) if left in (1, 2) and kernel_h > 1 else (-(-taps // 4), 0)


def windows(weights: np.ndarray, run: int, left: int) -> np.ndarray:
    """int8 (out_c, taps) in the order in which conv_tiles.inc widens a window, filled up with 0. weights: (out_c, kernel_h, taps)."""
    kernel_h = weights.shape[1]
    parts, group = [], np.zeros((len(weights), 4), np.int8)
    for row in range(kernel_h):
        full, rest = weights[:, row, :run * 4], weights[:, row, run * 4:]
        parts.append(np.pad(full, ((0, 0), (0, run * 4 - full.shape[1]))))
        at = (kernel_h - row) * left % 4  # the code counts rows down
        group[:, at:at + left] = rest[:, :left]
        if left and at == left % 4:  # as it is for the group's last row
            parts.append(group)
            group = np.zeros_like(group)
    return np.concatenate(parts, axis=1)


def cycles(pixels: int, inputs: int, out_c: int, *, doubled: bool) -> float:
    """About what a pointwise layer takes on the M4, in_c = 8 excepted."""
    blocks, rates = {4: pixels // 4, 2: pixels % 4 // 2, 1: pixels % 2}, _SMALL_BLOCKS if inputs <= SMALL else _BLOCKS
    return sum(blocks[size] * (fill * inputs + begin + (out_c + 1) // 2 * (each * inputs + besides + more * doubled))
               for size, (fill, begin, each, besides, more) in rates.items())


def _tiles(p: Params, weights: np.ndarray, bias: np.ndarray, form: int, found: common.Requantization) -> tuple[np.ndarray, int]:
    """The words, and bytes of scratch. weights: int8 (out_c, taps)."""
    groups = -(-weights.shape[1] // 4)
    elements = fours(weights, found.scale)
    two = common.grouped(bias << found.scale, 2)
    products = np.swapaxes(common.grouped(elements, 2), 1, 2).reshape(len(two), -1)
    fields = (found.multiplier, found.addend) if form == common.SATURATING else (found.multiplier, found.addend, found.shift)
    constants = np.stack([common.grouped(field, 2) for field in fields], axis=-1).reshape(len(two), -1)
    stream = np.concatenate([products[:, :2], common.words(two), products[:, 2:], common.words(constants)], axis=1)
    flags, rows = common.clamp(p)
    header = [form, groups, stream.nbytes, len(weights) % 2, flags]
    return np.concatenate([common.words(header), stream.ravel(), rows]), groups * 32


def _eight(p: Params, weights: np.ndarray, bias: np.ndarray, form: int, found: common.Requantization) -> Packed:
    """weights: int8 (out_c, 8), in blocks of equal size, a slot a channel; of channels with one multiplier an even number of slots."""
    rq = common.channels(p)
    lines = linear.find(rq, weights, bias, _LINE_SHIFT, _LINE_INPUTS, alike=True)
    alike = lines is not None and bool((lines.multiplier == lines.multiplier[0]).all())
    if alike:
        path, multiplier = "alike", lines.multiplier[0]
        slots = np.concatenate([common.words(lines.addend)[:, None], fours(weights, lines.scale - _LINE_INPUTS)], axis=1)
    else:
        path, multiplier = ("saturating", "doubled")[form], 0
        own = common.constants(found, form)
        slots = np.concatenate([common.words(bias << found.scale)[:, None], fours(weights, found.scale), common.words(own)], axis=1)
    blocks = np.array_split(slots, -(-len(slots) // _SLOTS))
    flags, rows = common.clamp(p)
    parts = [common.words([flags, len(blocks), multiplier])]
    for block in blocks:
        parts += [common.words([len(block)]), np.pad(block, ((0, alike * len(block) % 2), (0, 0))).ravel()]
    return common.packed(f"pointwise_conv2d_s8.eight_{path}", *parts, rows)


def fours(weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """uint32 (out_c, 2 * groups): the scaled weights, taps filled up with 0 to groups of four."""
    out_c, taps = weights.shape
    groups = -(-taps // 4)
    scaled = np.zeros((out_c, groups * 4), np.int64)
    scaled[:, :taps] = weights.astype(np.int64) << scale[:, None]
    return common.by_lanes(scaled)
