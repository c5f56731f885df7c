"""Packs convolutions with one input channel, and 3x3 with three: conv2d_walk.inc, conv2d_tall.inc, conv2d_colours.inc."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, matmul

_PAIRS, _BLOCK, _BLOCKS = 10, 128, 9  # conv2d_walk.inc: pairs of columns a block, bytes of a block, blocks in the frame
_WIDEST = {stride: 2 * (_BLOCKS * _PAIRS - 1) // stride for stride in (1, 2)}  # outputs of a strip, by the stride across
_BEGIN, _STORE, _THUMB = 64, 4, 1  # bytes of code of a row's beginning, of the store that it begins with; of an address
_ROWS_BEGIN = 64  # of conv2d_rows.inc
_AT_ONCE = 8  # filters whose results lie side by side
_OUTPUTS, _ROWS, _COLUMNS = 5, 10, 4  # conv2d_tall.inc: outputs one below the other, the largest window
_BEGIN_TALL, _BEGIN_FIVE = 100, 300  # cycles of conv2d_tall.inc, and of a row of such outputs, besides


def walk(p: Params) -> Packed | None:
    """Windows of up to 3x3 on one channel, stride 1 or 2 across, where no requantizer is rare: smaller ones as 3x3 with weights of 0, where that
    takes fewer cycles than conv_tiles.inc."""
    kernel_h, kernel_w = p["kernel_h"], p["kernel_w"]
    if p["in_c"] > 1 or max(kernel_h, kernel_w) > 3 or p["stride_w"] > 2 or p["out_w"] < 2:
        return None
    if kernel_h * kernel_w < 9 and _walk_cycles(p) > tiles_cycles(p):
        return None
    stride = p["stride_w"]
    count = -(-p["out_w"] // _WIDEST[stride])
    width = -(-p["out_w"] // count)
    width += count > 1 and stride == 1 and width % 2  # all strips are alike: the pairs of an odd one end otherwise
    pairs = width + 1 if stride == 2 else (width + 3) // 2
    blocks, first = -(-pairs // _PAIRS), -pairs % _PAIRS
    fall = blocks * _BLOCK - (12 * first & ~7)  # bytes of a row: its first block begins with its first pair
    room = _BLOCKS * _BLOCK // fall if count == 1 else 1
    rows = -(-p["out_h"] // -(-p["out_h"] // room))  # bands of equal height
    starts = [*range(0, p["out_w"] - width, width), p["out_w"] - width]
    pitch = 0 if _inside(p, starts[-1] * stride + 2 * pairs) else max(8, -(-2 * pairs // 4) * 4)
    results = 0 if p["out_c"] == _AT_ONCE else rows * width * _AT_ONCE
    odd = stride == 1 and width % 2

    begins = [_begins(form, stride, first, odd, blocks=blocks) for form in (common.SATURATING, common.DOUBLED)]

    def header(form: int) -> list[int]:
        at = begins[form]
        return [at.row[1], at.start[1], first, at.first_row[1], blocks, odd, rows, pitch, len(starts), results]

    strips = [field for start in starts for field in _strip(p, start, 2 * pairs)]
    weights = np.zeros((p["out_c"], 3, 3), np.int8)
    weights[:, :kernel_h, :kernel_w] = np.asarray(p["weights"])[..., 0]
    return _packed("walk", p, header, ("wbma", "wsmab"), weights.reshape(-1, 9), [common.TAPS], 3, pitch * ((rows - 1) * p["stride_h"] + 3) + results,
                   [width, *strips], [at.names for at in begins])


def _walk_cycles(p: Params) -> float:
    """About what conv2d_walk.inc takes on the M4."""
    rows, pixels, steps = p["out_h"], p["out_h"] * p["out_w"], p["stride_w"] - 1
    each = 10.1 + 2 * steps + 2.9 * common.is_signed(common.channels(p))
    return 310 + rows * (75 + 20 * steps) + pixels * (18 + 11 * steps) + p["out_c"] * (36 + 17 * rows + each * pixels)


class _Begins(NamedTuple):
    """Where rows begin, a filter does, and its first row: a symbol, and what is added to its address."""

    row: tuple[str, int]
    start: tuple[str, int]
    first_row: tuple[str, int]

    @property
    def names(self) -> dict[int, str]:
        """By the places of the addresses in the packed layer."""
        return {0: self.row[0], 1: self.start[0], 3: self.first_row[0]}


def _begins(form: int, stride: int, first: int, odd: bool, *, blocks: int) -> _Begins:
    """Of rows of so many blocks that begin with pair `first` of one. odd: their last output is none, so what follows stores none."""
    if blocks <= 2 and stride == 1 and form == common.SATURATING:
        name, size = f"conv2d_s8.walk_rows_{blocks}", _ROWS_BEGIN
        first_row = (f"{name}.first", first * size + _THUMB)
        stored = (f"{name}.row", (first - 1) * size + _THUMB) if first else (f"{name}.whole", _THUMB)
        return _Begins(first_row if odd else stored, first_row, first_row)
    name = ("conv2d_s8.walk_loops", "conv2d_s8.walk_doubled")[form]
    at = ((first + 1) % _PAIRS + _PAIRS * (stride - 1)) * _BEGIN + _THUMB
    row, first_row = (f"{name}.row", at + _STORE * odd), (f"{name}.row", at + _STORE)
    return _Begins(row, first_row if form == common.SATURATING else (name, 0), first_row)


def _strip(p: Params, start: int, columns: int) -> tuple[int, int, int, int]:
    """Where output columns from `start` on begin in x, behind how much padding, how many of `columns` input columns they see, where they lie in y."""
    at = start * p["stride_w"] - p["pad_left"]
    pad = max(0, -at)
    return at + pad, pad, min(p["in_w"] - at - pad, columns - pad), start * p["out_c"]


def tall(p: Params) -> Packed | None:
    """Windows of up to 10 x 4 on one channel with stride 1 or 2 down, or of up to 5 x 5 with stride 1 down, where no requantizer is rare."""
    kernel_h, kernel_w, stride = p["kernel_h"], p["kernel_w"], p["stride_h"]
    if p["in_c"] > 1 or p["out_h"] < _OUTPUTS:
        return None
    low = stride == 1 and kernel_h <= _OUTPUTS and kernel_w <= _COLUMNS + 1
    if not (low or (stride <= 2 and kernel_h <= _ROWS and kernel_w <= _COLUMNS)):
        return None
    height, width = (_OUTPUTS, 2 * _COLUMNS) if low else (_ROWS, _COLUMNS)
    sequences = 4 if not low else 3 if kernel_w > _COLUMNS else 2
    if not _pays(p, sequences):
        return None
    columns = (p["out_w"] - 1) * p["stride_w"] + (kernel_w if low else _COLUMNS)
    pitch = max(8, -(-columns // 4) * 4)
    rows = np.arange(height).reshape(-1, 2).T if stride == 2 else np.arange(height).reshape(-1, _OUTPUTS)
    halves = [(row, 0) for row in rows] if not low else [(rows[0], 0), (rows[0], _COLUMNS)]
    weights = np.zeros((p["out_c"], height, width), np.int64)
    weights[:, :kernel_h, :kernel_w] = np.asarray(p["weights"])[..., 0]
    listed = [[(row * width + column + first, row * width + column + first + 2) for row in half] for half, column in halves for first in (0, 1)]
    copied = min(p["in_w"], columns - p["pad_left"])
    second = _COLUMNS if low else int(rows[1, 0]) * pitch

    def header(form: int) -> list[int]:
        return [0, second, sequences if low or form else 0, 0, 0, 0, 0, pitch, copied, 0]

    return _packed("tall", p, header, ("brmaz" if low else "bwma", "brmas"), weights.reshape(p["out_c"], -1), listed[:sequences], height,
                   pitch * ((_OUTPUTS - 1) * stride + height) + width)  # both halves are read, whatever the window's width


def colours(p: Params) -> Packed | None:
    """Windows of 3x3 on three channels, stride 1 or 2 down, a pixel of padding at most on either side, where no requantizer is rare."""
    stride, out_w, out_c = p["stride_h"], p["out_w"], p["out_c"]
    columns = 3 * ((out_w - 1) * p["stride_w"] + 3)
    if colours_cycles(p) > tiles_cycles(p):
        return None
    pitch = max(8, -(-columns // 4) * 4)
    weights = np.zeros((out_c, 3, 12), np.int64)
    weights[..., :9] = np.asarray(p["weights"]).reshape(out_c, 3, 9)
    pairs = [[(row * 12 + first, row * 12 + first + 2) for row in range(3)] for first in (0, 1, 4, 5, 8)]
    copied = min(3 * p["in_w"], columns - 3 * p["pad_left"])
    return _packed("tall", p, lambda form: [0, 0, 4 + stride, 0, 0, 0, 0, pitch, copied, 0], ("bwmaz", "bwmas"), weights.reshape(out_c, -1), pairs, 3,
                   pitch * ((_OUTPUTS - 1) * stride + 3) + 4)


def colours_cycles(p: Params) -> float:
    """About what conv2d_colours.inc takes on the M4; infinite for what it does not take."""
    stride, out_h, out_w = p["stride_h"], p["out_h"], p["out_w"]
    right = (out_w - 1) * p["stride_w"] + 3 - p["pad_left"] - p["in_w"]
    if (p["in_c"], p["kernel_h"], p["kernel_w"]) != (3, 3, 3) or stride > 2 or out_h < _OUTPUTS or max(p["pad_left"], right) > 1:
        return math.inf
    five, column = ((170, 245), (197, 330))[stride - 1]
    return _BEGIN_TALL + -(-out_h // _OUTPUTS) * (_BEGIN_FIVE + out_w * (p["out_c"] * five + column))


def _pays(p: Params, sequences: int) -> bool:
    """Whether five outputs at once, the last rows twice where their number is no multiple of five, take fewer cycles than tiles: by their heads."""
    five = _BEGIN_FIVE + p["out_w"] * (p["out_c"] * 38.5 * (sequences + 1) + 220)
    return _BEGIN_TALL + -(-p["out_h"] // _OUTPUTS) * five < tiles_cycles(p)


def tiles_cycles(p: Params) -> float:
    """About what conv_tiles.inc takes on the M4."""
    q = matmul.lying(p)
    rows, width = q["kernel_h"], q["out_w"]
    run, left = matmul.runs(rows, q["kernel_w"] * q["in_c"])
    groups = rows * run + -(-rows * left // 4)
    pixel = q["out_c"] * (4.25 * groups + 7) + 21 + 9 * rows + 7 * groups + 8 * rows * bool(left)
    row = 125 + 56 * rows + (width + 0.3 * bool(width & 2) + 0.55 * (width & 1)) * pixel * (1 if left else 1.03)
    return 280 + q["out_h"] * row


def _packed(path: str, p: Params, header: Callable[[int], list[int]], order: tuple[str, str], weights: np.ndarray,
            sequences: Sequence[Sequence[tuple[int, int]]], reach: int, scratch: int, more: Sequence[int] = (), addresses: Sequence[Mapping[int, str]] = ({}, {})) -> Packed | None:
    """The header, which depends on the form of the requantization, its rest, `more`, and each filter: what the letters of the form's order mean.

    weights: (out_c, taps). sequences: of pairs of taps. addresses: by the form, of the header.
    """
    bias = common.folded_bias(p, weights)
    form, found = common.form(common.channels(p), weights, bias)
    if found is None:
        return None
    scaled = weights.astype(np.int64) << found.scale[:, None]

    def words(ordered: Iterable[Sequence[tuple[int, int]]]) -> list[np.ndarray]:
        return [common.pairs(scaled[:, a], scaled[:, b]) for sequence in ordered for a, b in sequence]

    fields = {"w": words(sequences), "r": words(reversed(sequences)), "b": [common.words(bias << found.scale)], "m": [common.words(found.multiplier)],
              "a": [common.words(found.addend)], "s": [common.words(found.shift)], "z": [np.zeros(len(bias), np.uint32)]}
    filters = [field for letter in order[form] for field in fields[letter]]
    flags, ranges = common.clamp(p)
    listed = [*header(form), flags, reach, 4 * len(filters) * p["out_c"], *more]
    return common.packed(f"conv2d_s8.{path}", common.words(listed), np.stack(filters, axis=1).ravel(), ranges, scratch=scratch,
                         addresses=addresses[form])


def _inside(p: Params, columns: int) -> bool:
    """Whether all windows lie in the input, and that many columns."""
    return not p["pad_top"] | p["pad_left"] and columns <= p["in_w"] and (p["out_h"] - 1) * p["stride_h"] + 3 <= p["in_h"]
