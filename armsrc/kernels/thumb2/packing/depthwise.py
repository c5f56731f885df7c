"""Packs 3x3 depthwise layers for depthwise_planes.inc, whose head says what strips, bands, lines, columns and forms are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, linear, strips
from .strips import BAND, BANDS, COLUMNS, INPUT_SCALE, SHIFT, Axis

LINE, BENT, SIGNED = range(3)  # the forms
ANY = 0


class Code(NamedTuple):
    """What a walk takes. step: of y from output to output, or ANY. padded: whether padding is left out."""

    form: int
    stride: int
    step: int
    padded: bool


STEPS = 8, 16, 32, 64, 128  # of y that have walks of their own
_KINDS = {  # form, stride, whether padding is left out -> name
    (LINE, 1, False): "line", (LINE, 1, True): "line_padded", (BENT, 1, False): "bent", (SIGNED, 1, False): "signed",
    (LINE, 2, False): "line_down", (LINE, 2, True): "line_down_padded", (BENT, 2, False): "bent_down", (SIGNED, 2, False): "signed_down"}
WALKS = {f"{name}_{step}" if step else name: Code(form, stride, step, padded)  # of depthwise_walks.inc
         for (form, stride, padded), name in _KINDS.items() for step in (ANY, *(STEPS if form != SIGNED else ()))}
_MOST_STEP = {LINE: 0xFFFF, BENT: 0xFF, SIGNED: 0xFF}  # of y, output to output: the bits that the code has for it
_TURN = {LINE: 16, BENT: 8, SIGNED: 8}  # outputs of a turn of the loop
_DOWN = 9  # outputs of a column, at most
MOST_SIGNED = common.INT32.max >> INPUT_SCALE + 1  # of a sum, so that the double of it times 2^8 fits


class _Walk(NamedTuple):
    """A layer as the code sees it. taps: int (in_c, 3 lines, 3 columns). padded: whether the walk leaves padding out, stride 1 the
    columns on both sides, stride 2 the line behind the last one."""

    lines: Axis
    columns: Axis
    stride: int
    taps: np.ndarray
    padded: bool = False

    @property
    def along(self) -> Axis:
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
    """Up to 3x3, stride 1 or 2 both ways, no rare requantizer."""
    if max(p["kernel_h"], p["kernel_w"]) > 3 or p["stride_h"] != p["stride_w"] or p["stride_h"] > 2:
        return None
    taps = np.asarray(p["weights"], np.int64).reshape(p["kernel_h"], p["kernel_w"], -1).transpose(2, 0, 1)
    weights = taps.reshape(len(taps), -1)
    one = p["out_h"] == p["out_w"] == 1
    ways = _ways(p, taps, 2 if one else p["stride_h"])
    found = ((walk, form, constants) for form in _FORMS for walk in ways
             if walk.along.step_y <= _MOST_STEP[form] and (constants := _FORMS[form](p, weights, walk.along.step_y)))
    chosen = next(found, None)
    return _packed(p, *chosen) if chosen else None


def _ways(p: Params, taps: np.ndarray, stride: int) -> list[_Walk]:
    """Along the tensor's rows or its columns, the better way first. Smaller windows are padded with taps of 0, in front where that makes a
    padding of 1, which walks of stride 1 can leave out."""
    rows, columns = strips.axes(p)
    more = [min(3 - size, max(1 - axis.pad, 0)) if stride == 1 else 0 for size, axis in zip(taps.shape[1:], (rows, columns), strict=True)]
    rows, columns = (axis._replace(pad=axis.pad + some) for axis, some in zip((rows, columns), more, strict=True))
    taps = np.pad(taps, ((0, 0), *((some, 3 - size - some) for some, size in zip(more, taps.shape[1:], strict=True))))
    ways = [_Walk(rows, columns, stride, taps), _Walk(columns, rows, stride, taps.swapaxes(1, 2))]
    return sorted((way for way in ways if stride == 2 or way.columns.out > 1), key=_estimate)


def _estimate(way: _Walk) -> int:
    """Cycles of a channel, but for what all ways have in common."""
    across = way.lines if way.stride == 1 else way.columns
    pieces = -(-way.along.out // (COLUMNS - 2 if way.stride == 1 else _DOWN))
    return across.out * (way.along.out * (11 + (way.along.step_y not in STEPS)) + 17 * pieces)


def _is_padded(walk: _Walk) -> bool:
    """Whether exactly what the walk can leave out lies outside, in one piece."""
    lines, columns = walk.lines, walk.columns
    if walk.stride == 1:
        return columns.pad == 1 and 2 <= columns.out == columns.size <= COLUMNS
    return 2 <= lines.out <= _DOWN and 2 * lines.out - lines.pad == lines.size


def _line(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = linear.find(rq, weights, bias, SHIFT, INPUT_SCALE)
    if found is None:
        return None
    return _Constants(found.scale - INPUT_SCALE, found.multiplier, found.addend, np.full_like(bias, step), np.zeros_like(bias))


def _bent(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    """The step is the multiplier's low byte."""
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = linear.find(rq, weights, bias, SHIFT, INPUT_SCALE, bent=True, low_byte=step)
    if found is None or (found.below > 0).any() or (found.below < -common.INT16.max).any():
        return None
    return _Constants(found.scale - INPUT_SCALE, found.multiplier, found.addend, -found.below, np.zeros_like(bias))


def _signed(p: Params, weights: np.ndarray, step: int) -> _Constants | None:
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found = common.doubled(rq, weights, bias)
    if found is None or np.abs(common.reach(weights, bias)).max() > MOST_SIGNED:
        return None
    return _Constants(found.scale, found.multiplier, found.addend, step << 8 | found.shift, bias << found.scale + INPUT_SCALE)


_FORMS = {LINE: _line, BENT: _bent, SIGNED: _signed}


def _packed(p: Params, walk: _Walk, form: int, constants: _Constants) -> Packed:
    wanted = (Code(form, walk.stride, step, padded) for padded in ((True, False) if _is_padded(walk) else (False,))
              for step in (walk.along.step_y, ANY))
    name, code = next((name, code) for want in wanted for name, code in WALKS.items() if code == want)
    walk = walk._replace(padded=code.padded)
    most_lines, most_columns = (16, COLUMNS - 2 + 2 * walk.padded) if walk.stride == 1 else (_DOWN, (COLUMNS - 3) // 2 + 1)
    made = [_strip(walk, lines, columns, min(p["in_c"], 4), _TURN[form]) for lines in strips.cut(walk.lines.out, most_lines, even=walk.stride == 1)
            for columns in strips.cut(walk.columns.out, most_columns)]
    return strips.packed(p, name, True, walk.lines, walk.columns, made,
                         _channels(walk, form, constants, p["input_zero_point"] << INPUT_SCALE))


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


def _strip(walk: _Walk, lines: range, columns: range, lanes: int, turn: int) -> strips.Strip:
    width, stride = len(columns), walk.stride
    left_out = stride == 1 and walk.padded
    at = BAND - 4 * (stride * width)  # stride 1: two columns stand behind the turns, or none; stride 2: one behind those that begin outputs
    seen = strips.Columns(columns.start * stride - walk.columns.pad + left_out, (width - 1) * stride + 3 - 2 * left_out, at)
    bands = _bands(walk, lines)
    return strips.strip(walk.lines, walk.columns, bands, seen, lanes, _places(walk, lines, columns, bands, at, turn),
                        no_turn=stride == 1 and width == 2 and not walk.padded)


def _bands(walk: _Walk, lines: range) -> strips.Bands:
    """Stride 1: bands begin with an even line of the input. Stride 2: with what an output sees first; the last one is the plane's last."""
    line = lines.start * walk.stride - walk.lines.pad
    if walk.stride == 2:
        return strips.Bands(BANDS - 1 - len(lines), line, len(lines) + 1 - walk.padded)
    odd = line % 2 if len(lines) > 1 else 0
    return strips.Bands(0, line - odd, (len(lines) + 3 + odd) // 2)


def _places(walk: _Walk, lines: range, columns: range, bands: strips.Bands, at: int, turn: int) -> list[int]:
    """Of a strip's record: where lines begin and go on, or columns (stride 2)."""
    y = lines.start * walk.lines.step_y + columns.start * walk.columns.step_y
    if walk.stride == 2:
        return [at, y, 0, 0, 0, 0, 0, walk.columns.step_y - (len(lines) - 1) * walk.lines.step_y, _DOWN - len(lines)]
    odd_first = bands.line % 2 != (lines.start - walk.lines.pad) % 2
    even, odd = -(-len(lines) // 2), len(lines) // 2
    start = at + bands.at * BAND
    if odd_first:
        even, odd = odd, even
        start, y = start + BAND, y + walk.lines.step_y
    back = -1 if odd_first else 1
    turns, behind = (len(columns) - 1, 0) if walk.padded else (len(columns) - 2, 2)
    return [start, y, even * BAND, odd * BAND, -BAND if odd_first else 0, back * walk.lines.step_y, BAND - 4 * (len(columns) + behind),
            2 * walk.lines.step_y - (len(columns) - 1) * walk.columns.step_y, -turns % turn if turns else turn]
