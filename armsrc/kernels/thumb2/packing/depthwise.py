"""Packs 3x3 depthwise layers for depthwise_planes.inc, whose head says what strips, bands, lines and columns are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

_SATURATING, _SIGNED = 0, 1
_BAND, _PLANE = 512, 128  # bytes
_TURN = 8  # outputs of a turn of the loop
_BANDS, _COLUMNS = 9, 32  # of a strip, at most
_MOST_STEP = {_SATURATING: 0xFFFF, _SIGNED: 0xFF}  # of y, column to column: the bits that the code has for it
_OUTSIDE = -1


class _Axis(NamedTuple):
    """One direction of the layer; steps are in bytes."""

    size: int
    out: int
    pad: int
    step_x: int
    step_y: int


class _Walk(NamedTuple):
    """A layer as the code sees it. taps: int (in_c, 3 lines, 3 columns)."""

    lines: _Axis
    columns: _Axis
    stride: int
    taps: np.ndarray


def planes(p: Params) -> Packed | None:
    """3x3, stride 1 or 2 both ways, four channels or more, no rare requantizer."""
    square = p["kernel_h"] == p["kernel_w"] == 3 and p["stride_h"] == p["stride_w"] in (1, 2)
    if not square or p["in_c"] < 4:
        return None
    weights = np.asarray(p["weights"], np.int64).reshape(9, -1).T
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    found, form = common.saturating(rq, weights, bias, common.SATURATING_SHIFT), _SATURATING
    if found is None:
        found, form = common.doubled(rq, weights, bias), _SIGNED
    walk = _walk(p, weights, _MOST_STEP[form]) if found else None
    return _packed(p, walk, bias, found, form) if found and walk else None


def _walk(p: Params, weights: np.ndarray, most_step: int) -> _Walk | None:
    """Along the longer side of the output; along the other one where y's step does not fit."""
    c = p["in_c"]
    rows = _Axis(p["in_h"], p["out_h"], p["pad_top"], p["in_w"] * c, p["out_w"] * c)
    columns = _Axis(p["in_w"], p["out_w"], p["pad_left"], c, c)
    taps = weights.reshape(c, 3, 3)
    ways = [_Walk(rows, columns, p["stride_h"], taps), _Walk(columns, rows, p["stride_h"], taps.swapaxes(1, 2))]
    fit = [way for way in ways if way.columns.step_y <= most_step and way.columns.out > 1]
    return max(fit, key=lambda way: way.columns.out, default=None)


def _packed(p: Params, walk: _Walk, bias: np.ndarray, found: common.Requantization, form: int) -> Packed:
    c = p["in_c"]
    zero = p["input_zero_point"]
    blocks = [*range(0, c - 4, 4), c - 4]
    channels = [block + lane for block in blocks for lane in range(4)]
    stream = _channels(walk, bias, found, form)[channels].ravel()
    strips = [_strip(walk, lines, columns) for lines in _cut(walk.lines.out, walk.stride, _most_lines(walk.stride))
              for columns in _cut(walk.columns.out, walk.stride, (_COLUMNS - 3) // walk.stride + 1)]
    listed = np.concatenate(strips)
    flags, rows = common.clamp(p)
    weights_at = 36 + 4 * len(listed)
    header = [form + 2 * (walk.stride - 1), c, walk.columns.step_x, (zero & 0xFF) * 0x01010101, (zero & 0xFFFF) * 0x10001, weights_at,
              weights_at + stream.nbytes, p["out_h"] * p["out_w"], len(strips)]
    bands = max(_bands(walk.stride, len(lines)) for lines in _cut(walk.lines.out, walk.stride, _most_lines(walk.stride)))
    return Packed(np.concatenate([common.words(header), common.words(listed), stream, common.words([flags]), rows]), bands * _BAND + _PLANE + 8)


def _channels(walk: _Walk, bias: np.ndarray, found: common.Requantization, form: int) -> np.ndarray:
    """uint32 (in_c, 8 or, where there are odd lines, 13): what the code loads for a channel."""
    first, second, third = np.moveaxis(walk.taps << found.scale[:, None, None], 1, 0)
    low = walk.columns.step_y << 8 | found.shift if form == _SIGNED else np.full_like(bias, walk.columns.step_y)
    constants = common.words(np.stack([found.multiplier, found.addend, bias << found.scale], axis=1))

    def kind(pair: tuple[np.ndarray, np.ndarray], single: np.ndarray) -> list[np.ndarray]:
        return [common.pairs(*pair), common.pairs(single[:, 0], single[:, 1])[:, None], common.pairs(low, single[:, 2])[:, None]]

    odd = kind((second, third), first) if walk.stride == 1 else []
    return np.concatenate([constants, *kind((first, second), third), *odd], axis=1)


def _most_lines(stride: int) -> int:
    return 2 * _BANDS - 2 if stride == 1 else _BANDS - 1


def _bands(stride: int, lines: int) -> int:
    return lines // 2 + 1 + lines % 2 if stride == 1 else lines + 1


def _cut(size: int, stride: int, most: int) -> Iterator[range]:
    """Ranges of about the same length, an even one where lines are of two kinds."""
    length = -(-size // -(-size // most))
    length += stride == 1 and length % 2 and length < most
    return (range(start, min(start + length, size)) for start in range(0, size, length))


def _skipped(count: int, turn: int) -> int:
    """How many of a loop's first turn are left out, so that its last one is full; all of them where there is nothing to do."""
    return -count % turn if count else turn


def _strip(walk: _Walk, lines: range, columns: range) -> np.ndarray:
    """A strip's record and its lists."""
    width, stride = len(columns), walk.stride
    seen = (width - 1) * stride + 3
    behind_turns = 2 if stride == 1 else 0  # columns, and outputs that they end
    plane = _PLANE - 4 * (seen - behind_turns)
    column = columns.start * stride - walk.columns.pad  # of x, the first one that is seen
    before, behind = max(0, -column), max(0, column + seen - walk.columns.size)
    inside = seen - before - behind
    bands = _bands(stride, len(lines))
    fills = [(at, bands * 4, size) for at, size in ((plane, before), (plane + 4 * (seen - behind), behind)) if size]
    listed = []
    for band in range(bands):
        line = lines.start * stride - walk.lines.pad + 2 * band
        ends = [at * walk.lines.step_x + (column + before) * walk.columns.step_x if 0 <= at < walk.lines.size else _OUTSIDE
                for at in (line, line + 1)]
        at = band * _BAND + plane + 4 * before
        if ends == [_OUTSIDE, _OUTSIDE]:
            fills.append((at, 4, inside))
        else:
            listed.append((at, *ends))
    y = lines.start * walk.lines.step_y + columns.start * walk.columns.step_y
    odd = len(lines) // 2 if stride == 1 else 0
    kinds = 2 if stride == 1 else 1
    record = [(len(lines) - odd) * _BAND, odd * _BAND, y, y + walk.lines.step_y, kinds * walk.lines.step_y - width * walk.columns.step_y, _BAND - 4 * seen,
              _skipped(width - behind_turns, _TURN), inside, inside - 1 + -(inside - 1) % 4, _skipped(inside - 1, 4), plane, len(fills), len(listed)]
    return np.concatenate([record, np.array([*fills, *listed], np.int64).ravel()]).astype(np.int64)
