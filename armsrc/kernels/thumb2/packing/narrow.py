"""Packs pointwise layers with few output channels, and such 1x1 convolutions, for pointwise_narrow.inc."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import chains, common, conv, conv_chains, matmul

_PATHS = {2: "narrow_two", 1: "narrow_one"}  # of a part, by its channels
_PIXELS = {2: 2, 1: 4}  # of a block
_RATES = {2: (20, 58, 12), 1: (25, 64, 11)}  # cycles of a block: of four inputs, besides, and besides that below the zero point
_MISALIGNED = (0, 1.25, 0.5, 1.25)  # cycles of a load of four inputs, by in_c % 4
_FOUR = 8  # where there are no other four
_PASS = 8  # groups of four inputs
_EIGHT, _MOST_EIGHT = 8, 2  # inputs of pointwise_8.inc, and channels that take fewer cycles here


def pointwise(p: Params) -> Packed | None:
    """Pointwise layers, where that takes fewer cycles than tiles.inc, pointwise_8.inc and chains.inc."""
    pixels = p["in_h"] * p["in_w"]
    cheaper = p["out_c"] <= _MOST_EIGHT if p["in_c"] == _EIGHT else cycles(p, pixels) <= _others(p, pixels)
    return packed(p, "pointwise_conv2d_s8", pixels) if cheaper and takes(p, pixels) else None


def convolution(p: Params) -> Packed | None:
    """1x1 convolutions that see all pixels of their rows, where that takes fewer cycles than conv_tiles.inc and conv_chains.inc."""
    pixels = p["out_h"] * p["out_w"]
    if not (p["kernel_h"] == p["kernel_w"] == p["stride_h"] == p["stride_w"] == 1 and p["out_w"] == p["in_w"] and takes(p, pixels)):
        return None
    others = min(conv.tiles_cycles(p), conv_chains.cycles(p, conv_chains.cut(p)))
    return packed(p, "conv2d_s8", pixels) if cycles(p, pixels) <= others else None


def takes(p: Params, pixels: int) -> bool:
    """Whether every part has a block of pixels, and pixels a group of inputs."""
    return pixels >= max(_PIXELS[part] for part in _parts(p["out_c"])) and p["in_c"] >= 4


def cycles(p: Params, pixels: int) -> float:
    """About what a layer takes on the M4."""
    groups = -(-p["in_c"] // 4) - 1
    bent, misaligned = common.is_signed(common.channels(p)), groups * _MISALIGNED[p["in_c"] % 4]

    def block(part: int) -> float:
        each, besides, more = _RATES[part]
        return (each * groups + 4 * -(-groups // _PASS) or _FOUR) + besides + more * bent + _PIXELS[part] * misaligned

    return sum(40 + -(-pixels // _PIXELS[part]) * block(part) for part in _parts(p["out_c"]))


def _others(p: Params, pixels: int) -> float:
    """The same of tiles or chains, whichever is less."""
    out_c, groups, bent = p["out_c"], -(-p["in_c"] // 4), common.is_signed(common.channels(p))
    tiles = matmul.cycles(pixels, 4 * groups, out_c, doubled=bent) + pixels * groups * _MISALIGNED[p["in_c"] % 4]
    if pixels < chains.PIXELS or p["in_c"] <= _EIGHT:
        return tiles
    return min(tiles, chains.cycles(pixels, chains.chunks(np.asarray(p["weights"]).reshape(out_c, -1)), bent=bent))


def packed(p: Params, kernel: str, pixels: int) -> Packed | None:
    """None where some requantizer is rare."""
    out_c, in_c = p["out_c"], p["in_c"]
    weights = np.asarray(p["weights"]).reshape(out_c, in_c)
    bias = common.folded_bias(p, weights)
    form, found = common.form(common.channels(p), weights, bias)
    if found is None:
        return None
    first = (in_c - 1) % 4 + 1
    filled = np.concatenate([weights[:, :first], np.zeros((out_c, 4 - first), np.int8), weights[:, first:]], axis=1)
    sums = np.concatenate([common.words(bias << found.scale)[:, None], matmul.fours(filled, found.scale)], axis=1)
    constants = common.constants(found, form)
    flags, rows = common.clamp(p)
    words, addresses, at = [common.words([out_c, in_c, first, -((in_c - first) // 4) % _PASS, pixels, flags])], {}, 0
    for part in _parts(out_c):
        own = sums[at:at + part]
        addresses[sum(map(len, words))] = f"{kernel}.{_PATHS[part]}"
        words += [common.words([0, form, own.nbytes]), own.T.ravel(), common.words(constants[at:at + part].ravel())]
        at += part
    return common.packed(f"{kernel}.narrow", *words, common.words([0]), rows, addresses=addresses)


def _parts(out_c: int) -> list[int]:
    """Channels of each."""
    return [2] * (out_c // 2) + [1] * (out_c % 2)

