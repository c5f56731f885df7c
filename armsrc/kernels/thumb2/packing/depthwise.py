"""Packs 3x3 depthwise layers for depthwise_planes.inc, whose head says what strips, bands, lines, columns and forms are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, linear

LINE, BENT, SIGNED = range(3)  # the forms
_SHIFT, _INPUT_SCALE = 17, 8  # DP_SHIFT, DP_INPUT_SCALE
_ANY = 0
# The walks that there are: form, stride, step of y from output to output, whether padding is left out. Their places are what DB_CODE says.
CODES = [(LINE, 1, _ANY, False), (LINE, 1, _ANY, True), (LINE, 1, 64, False), (LINE, 1, 64, True), (BENT, 1, _ANY, False), (BENT, 1, 8, False),
          (SIGNED, 1, _ANY, False), (LINE, 2, _ANY, False), (LINE, 2, _ANY, True), (LINE, 2, 64, False), (LINE, 2, 64, True),
          (BENT, 2, _ANY, False), (SIGNED, 2, _ANY, False)]
_MOST_STEP = {LINE: 0xFFFF, BENT: 0xFF, SIGNED: 0xFF}  # of y, output to output: the bits that the code has for it
_BAND, _BANDS = 128, 10  # bytes of a band in a plane, and its bands
_PLANE = _BAND * _BANDS
_COLUMNS = 32  # of a strip, at most
_TURN = 8  # outputs of a turn of the loop, and columns of a turn of unpacking
_DOWN = 9  # outputs of a column, at most
_OUTSIDE = -1
_HEADER = 40  # bytes


class _Axis(NamedTuple):
    """One direction of the layer; steps are in bytes."""

    size: int
    out: int
    pad: int
    step_x: int
    step_y: int


class _Walk(NamedTuple):
    """A layer as the code sees it. taps: int (in_c, 3 lines, 3 columns). padded: whether the walk leaves padding out, stride 1 the
    columns on both sides, stride 2 the line behind the last one."""

    lines: _Axis
    columns: _Axis
    stride: int
    taps: np.ndarray
    padded: bool = False

    @property
    def along(self) -> _Axis:
        """The direction from output to output."""
        return self.columns if self.stride == 1 else self.lines


class _Constants(NamedTuple):
    """What a form has of every channel: int64 (out_c,) each. low: beside the last weight. bias: 0 where none is loaded."""

    scale: np.ndarray  # of the weights
    multiplier: np.ndarray
    addend: np.ndarray
    low: np.ndarray
    bias: np.ndarray


def planes(p: Params) -> Packed | None:
    """3x3, stride 1 or 2 both ways, four channels or more, no rare requantizer."""
    square = p["kernel_h"] == p["kernel_w"] == 3 and p["stride_h"] == p["stride_w"] in (1, 2)
    if not square or p["in_c"] < 4:
        return None
    weights = np.asarray(p["weights"], np.int64).reshape(9, -1).T
    one = p["out_h"] == p["out_w"] == 1
    ways = _ways(p, weights, 2 if one else p["stride_h"])
    found = ((walk, form, constants) for form in _FORMS for walk in ways
             if walk.along.step_y <= _MOST_STEP[form] and (constants := _FORMS[form](p, weights, walk.along.step_y)))
    chosen = next(found, None)
    return _packed(p, *chosen) if chosen else None


def _ways(p: Params, weights: np.ndarray, stride: int) -> list[_Walk]:
    """Along the tensor's rows or its columns, the better way first."""
    c = p["in_c"]
    rows = _Axis(p["in_h"], p["out_h"], p["pad_top"], p["in_w"] * c, p["out_w"] * c)
    columns = _Axis(p["in_w"], p["out_w"], p["pad_left"], c, c)
    taps = weights.reshape(c, 3, 3)
    ways = [_Walk(rows, columns, stride, taps), _Walk(columns, rows, stride, taps.swapaxes(1, 2))]
    return sorted((way for way in ways if stride == 2 or way.columns.out > 1), key=_estimate)


def _estimate(way: _Walk) -> int:
    """Cycles of a channel, but for what all ways have in common."""
    across = way.lines if way.stride == 1 else way.columns
    pieces = -(-way.along.out // (_COLUMNS - 2 if way.stride == 1 else _DOWN))
    return across.out * (way.along.out * (11 + (way.along.step_y != 64)) + 17 * pieces)


def _is_padded(walk: _Walk) -> bool:
    """Whether exactly what the walk can leave out lies outside, in one piece."""
    lines, columns = walk.lines, walk.columns
    if walk.stride == 1:
        return columns.pad == 1 and 2 <= columns.out == columns.size <= _COLUMNS
    return 2 <= lines.out <= _DOWN and 2 * lines.out - lines.pad == lines.size


def _line(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = linear.find(rq, weights, bias, _SHIFT, _INPUT_SCALE)
    if found is None:
        return None
    return _Constants(found.scale - _INPUT_SCALE, found.multiplier, found.addend, np.full_like(bias, step), np.zeros_like(bias))


def _bent(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    """The step is the multiplier's low byte."""
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = linear.find(rq, weights, bias, _SHIFT, _INPUT_SCALE, bent=True, low_byte=step)
    if found is None or (found.below > 0).any() or (found.below < -common.INT16.max).any():
        return None
    return _Constants(found.scale - _INPUT_SCALE, found.multiplier, found.addend, -found.below, np.zeros_like(bias))


def _signed(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = common.doubled(rq, weights, bias)
    most = common.INT32.max >> _INPUT_SCALE + 1
    low, high = common.reach(weights, bias)
    if found is None or max(-low.min(), high.max()) > most:
        return None
    return _Constants(found.scale, found.multiplier, found.addend, step << 8 | found.shift, bias << found.scale + _INPUT_SCALE)


_FORMS = {LINE: _line, BENT: _bent, SIGNED: _signed}


def _packed(p: Params, walk: _Walk, form: int, constants: _Constants) -> Packed:
    c = p["in_c"]
    zero = p["input_zero_point"]
    code = (form, walk.stride, walk.along.step_y, _is_padded(walk))
    code, = [place for place in (code, (*code[:2], _ANY, code[3]), (*code[:3], False), (*code[:2], _ANY, False)) if place in CODES][:1]
    walk = walk._replace(padded=code[3])
    blocks = [*range(0, c - 4, 4), c - 4]
    channels = [block + lane for block in blocks for lane in range(4)]
    stream = _channels(walk, form, constants, zero << _INPUT_SCALE)[channels].ravel()
    most_lines, most_columns = (16, _COLUMNS - 2 + 2 * walk.padded) if walk.stride == 1 else (_DOWN, (_COLUMNS - 3) // 2 + 1)
    strips = [_strip(walk, lines, columns) for lines in _cut(walk.lines.out, walk.stride, most_lines)
              for columns in _cut(walk.columns.out, walk.stride, most_columns)]
    listed = np.concatenate(strips)
    flags, rows = common.clamp(p)
    weights_at = _HEADER + 4 * len(listed)
    header = [CODES.index(code), c, walk.columns.step_x, walk.lines.step_x, (zero & 0xFF) * 0x01010101,
              (zero << _INPUT_SCALE & 0xFFFF) * 0x10001, weights_at, weights_at + stream.nbytes, p["out_h"] * p["out_w"], len(strips)]
    return Packed(np.concatenate([common.words(header), common.words(listed), stream, common.words([flags]), rows]), 4 * _PLANE + _BAND + 8)


def _channels(walk: _Walk, form: int, constants: _Constants, zero: int) -> np.ndarray:
    """uint32 (in_c, n): what the code loads for a channel. zero: the zero point as inputs come."""
    scaled = walk.taps << constants.scale[:, None, None]
    first, second, third = np.moveaxis(scaled, 1, 0)

    def kind(pair: tuple[np.ndarray, np.ndarray], single: np.ndarray) -> list[np.ndarray]:
        return [common.pairs(*pair), common.pairs(single[:, 0], single[:, 1])[:, None], common.pairs(constants.low, single[:, 2])[:, None]]

    added = [constants.bias] if form == SIGNED else []
    if walk.padded:
        added = [zero * scaled[:, :, 0].sum(axis=1), zero * (scaled[:, :, 2] if walk.stride == 1 else scaled[:, 2]).sum(axis=1)]
    requantizer = common.words(np.stack([constants.multiplier, constants.addend], axis=1))
    odd = kind((second, third), first) if walk.stride == 1 else []
    return np.concatenate([*(common.words(of)[:, None] for of in added), *kind((first, second), third), requantizer, *odd], axis=1)


def _cut(size: int, stride: int, most: int) -> Iterator[range]:
    """Ranges of about the same length, an even one where lines are of two kinds."""
    length = -(-size // -(-size // most))
    length += stride == 1 and length % 2 and length < most
    return (range(start, min(start + length, size)) for start in range(0, size, length))


class _Bands(NamedTuple):
    """Of a strip: its first band, from which line of the input on, how many."""

    at: int
    line: int
    count: int


def _bands(walk: _Walk, lines: range) -> _Bands:
    """Stride 1: bands begin with an even line of the input. Stride 2: with what an output sees first; the last one is the plane's last."""
    line = lines.start * walk.stride - walk.lines.pad
    if walk.stride == 2:
        return _Bands(_BANDS - 1 - len(lines), line, len(lines) + 1 - walk.padded)
    odd = line % 2 if len(lines) > 1 else 0
    return _Bands(0, line - odd, (len(lines) + 3 + odd) // 2)


def _strip(walk: _Walk, lines: range, columns: range) -> np.ndarray:
    """A strip's record and its lists."""
    width, stride = len(columns), walk.stride
    left_out = stride == 1 and walk.padded
    seen = (width - 1) * stride + 3 - 2 * left_out
    plane = _BAND - 4 * (stride * width)  # stride 1: two columns stand behind the turns, or none; stride 2: one behind those that begin outputs
    column = columns.start * stride - walk.columns.pad + left_out  # of x, the first one that is seen
    before, behind = max(0, -column), max(0, column + seen - walk.columns.size)
    inside = seen - before - behind
    bands = _bands(walk, lines)
    fills = [(at, 4 * _BANDS, size) for at, size in ((plane, before), (plane + 4 * (seen - behind), behind)) if size]
    full, edges = [], []
    for band in range(bands.count):
        line = bands.line + 2 * band
        ends = [at * walk.lines.step_x + (column + before) * walk.columns.step_x if 0 <= at < walk.lines.size else _OUTSIDE
                for at in (line, line + 1)]
        to = (bands.at + band) * _BAND + plane + 4 * before
        if ends == [_OUTSIDE, _OUTSIDE]:
            fills += [(channel * _PLANE + to, 1, inside) for channel in range(4)]
        elif _OUTSIDE in ends:
            edges.append((to, *ends))
        else:
            full.append((to, ends[0]))
    next_to = _BAND - 4 * inside
    first_to, first_x = full[0] if full else (0, 0)
    more = inside - 1
    record = [*_places(walk, lines, columns, bands, plane), first_x, first_to - next_to, len(full),
              2 * walk.lines.step_x - inside * walk.columns.step_x, next_to, 0 if more % 2 else walk.columns.step_x,
              more + -more % _TURN, -more % _TURN if more else _TURN, inside, len(fills), 12 * len(edges), int(stride == 1 and width == 2 and not walk.padded)]
    return np.concatenate([record, np.array([*fills, *edges], np.int64).ravel()]).astype(np.int64)


def _places(walk: _Walk, lines: range, columns: range, bands: _Bands, plane: int) -> list[int]:
    """Of a strip's record: where lines begin and go on, or columns (stride 2)."""
    y = lines.start * walk.lines.step_y + columns.start * walk.columns.step_y
    start = bands.at * _BAND + plane
    if walk.stride == 2:
        return [start - bands.at * _BAND, y, 0, 0, 0, 0, 0, walk.columns.step_y - (len(lines) - 1) * walk.lines.step_y, _DOWN - len(lines)]
    odd_first = bands.line % 2 != (lines.start - walk.lines.pad) % 2
    even, odd = -(-len(lines) // 2), len(lines) // 2
    if odd_first:
        even, odd = odd, even
        start, y = start + _BAND, y + walk.lines.step_y
    back = -1 if odd_first else 1
    turns = len(columns) - 1 if walk.padded else len(columns) - 2
    behind = 0 if walk.padded else 2
    return [start, y, even * _BAND, odd * _BAND, -_BAND if odd_first else 0, back * walk.lines.step_y, _BAND - 4 * (len(columns) + behind),
            2 * walk.lines.step_y - (len(columns) - 1) * walk.columns.step_y, -turns % _TURN if turns else _TURN]
