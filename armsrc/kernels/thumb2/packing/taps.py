"""Packs depthwise layers with few outputs for depthwise_taps.inc: for every pixel of the output the taps that lie inside the input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, depthwise, windows

_MOST_PIXELS, _FEW_KINDS = 64, 4
_MOST_BYTES, _MOST_TIMES = 1 << 14, 2  # of a layer of more kinds: where it is not packed otherwise; what it takes through planes, so many times
_CHANNELS, _PAIRS = 4, 8  # of a block, of a pass
_HEADER, _RECORD = 5, 5  # words


def cheapest(p: Params) -> Packed | None:
    """The layer through planes, or here, where that takes fewer cycles."""
    other = through_planes(p)
    if p["out_h"] * p["out_w"] > _MOST_PIXELS or p["in_c"] < _CHANNELS:
        return other
    seen = pixels(p)
    if other and _cycles(p, seen) > _others_cycles(p):
        return other
    few = len({(pixel.taps, pixel.offsets) for pixel in seen}) <= _FEW_KINDS
    most = _MOST_TIMES * other.words.nbytes if other else _MOST_BYTES
    mine = taps(p)
    return mine if mine and (few or mine.words.nbytes <= most) else other


def through_planes(p: Params) -> Packed | None:
    """The layer as depthwise.py or windows.py pack it."""
    return depthwise.planes(p) or windows.windows(p)


class Pixel(NamedTuple):
    """Of the output: bytes from x to the first tap that it sees, and the taps, numbers of weights, with their bytes from there."""

    at: int
    taps: tuple[int, ...]
    offsets: tuple[int, ...]


def taps(p: Params) -> Packed | None:
    """At least four channels; no rare requantizer."""
    seen = pixels(p)
    if p["in_c"] < _CHANNELS or not all(pixel.taps for pixel in seen):
        return None
    weights = np.asarray(p["weights"], np.int64).reshape(-1, p["in_c"]).T
    kinds = {(pixel.taps, pixel.offsets): None for pixel in seen}
    form, found = _form(p, weights, [list(of) for of, _ in kinds])
    if found is None:
        return None
    size = _HEADER + _RECORD * len(seen)
    places, parts = {}, []
    for kind, (bias, constants) in zip(kinds, found, strict=True):
        listed, words = _list(kind[1]), _stream(weights[:, list(kind[0])], bias, constants, form)
        places[kind] = np.array([size + listed.size, size, size + listed.size]) * 4
        parts += [listed, words]
        size += listed.size + words.size
    flags, rows = common.clamp(p)
    blocks = -(-p["in_c"] // _CHANNELS)
    header = [len(seen), p["in_c"], blocks, p["in_c"] - _CHANNELS * (blocks - 1) if blocks > 1 else 0, size * 4 if flags else 0]
    records = [[*places[pixel.taps, pixel.offsets], -len(pixel.taps) // 2 % _PAIRS, pixel.at] for pixel in seen]
    clamp = [common.words([flags]), rows] if flags else []
    return common.packed(f"depthwise_conv2d_s8.taps_{('saturating', 'doubled')[form]}", common.words(header), common.words(np.ravel(records)),
                         *map(common.words, parts), *clamp)


def pixels(p: Params) -> list[Pixel]:
    """Of the output, row by row."""
    c, found = p["in_c"], []
    for y, x in np.ndindex(p["out_h"], p["out_w"]):
        row, column = y * p["stride_h"] - p["pad_top"], x * p["stride_w"] - p["pad_left"]
        inside = [(i * p["kernel_w"] + j, ((row + i) * p["in_w"] + column + j) * c) for i, j in np.ndindex(p["kernel_h"], p["kernel_w"])
                  if 0 <= row + i < p["in_h"] and 0 <= column + j < p["in_w"]]
        numbers, places = zip(*inside, strict=True) if inside else ((), ())
        found.append(Pixel(places[0] if places else 0, numbers, tuple(place - places[0] for place in places)))
    return found


def _form(p: Params, weights: np.ndarray, kinds: list[list[int]]) -> tuple[int, list[tuple[np.ndarray, common.Requantization]] | None]:
    """The form that takes the sums of all kinds of pixels; for each its bias and constants, None where there is none."""
    rq, none = common.channels(p), np.asarray(p["bias"], np.int64)
    biases = [none - p["input_zero_point"] * weights[:, of].sum(axis=1) for of in kinds]
    shift = common.SATURATING_SHIFT
    for form, make in ((common.SATURATING, lambda w, b: common.saturating(rq, w, b, shift)), (common.DOUBLED, lambda w, b: common.doubled(rq, w, b))):
        found = [make(weights[:, of], bias) for of, bias in zip(kinds, biases, strict=True)]
        if all(found):
            return form, list(zip(biases, found, strict=True))
    return common.DOUBLED, None


def _list(offsets: tuple[int, ...]) -> np.ndarray:
    """Two taps after two; of an odd number the last one twice."""
    return np.array([*offsets, *offsets[-1:] * (len(offsets) % 2)], np.int64)


def _stream(weights: np.ndarray, bias: np.ndarray, found: common.Requantization, form: int) -> np.ndarray:
    """weights: (in_c, taps). A block after the other, the last one moved back."""
    scaled = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2))) << found.scale[:, None]
    pairs = common.pairs(scaled[:, ::2], scaled[:, 1::2]).astype(np.int64)
    own = common.constants(found, form)
    starts = [min(at, len(weights) - _CHANNELS) for at in range(0, len(weights), _CHANNELS)]
    return np.concatenate([part for at in starts for part in (
        (bias << found.scale)[at:at + _CHANNELS], pairs[at:at + _CHANNELS].T.ravel(), own[at:at + _CHANNELS].ravel())])


def _cycles(p: Params, seen: list[Pixel]) -> float:
    """About what the layer takes here on the M4."""
    pairs = [-(-len(pixel.taps) // 2) for pixel in seen]
    block = 62 if common.is_signed(common.channels(p)) else 50
    return 80 + sum(29 + -(-p["in_c"] // _CHANNELS) * (block + 22 * pair + 3 * ((pair - 1) // _PAIRS)) for pair in pairs)


def _others_cycles(p: Params) -> float:
    """About what it takes through planes: fitted to 190 small layers, to 7 % on average."""
    h, w, stride, outputs = p["kernel_h"], p["kernel_w"], p["stride_h"], p["out_h"] * p["out_w"]
    if max(h, w) <= 3 and stride == p["stride_w"] <= 2:
        channel = 95 + 17.4 * outputs if stride == 1 else 61 + 24.5 * outputs
    else:
        reads = (h // 2 + 1) * (w * 16 if p["stride_w"] == 2 else -(-w // 2) * 22)
        channel = p["out_h"] * (-(-p["out_w"] // 4) * (reads + 50) + 30) + 60 + 3.25 * (h // 2 + 1) * w
    return 300 + p["in_c"] * channel
