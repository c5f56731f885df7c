"""Packs depthwise layers of any window for depthwise_windows.inc, whose head says what its tables are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, linear, strips
from .depthwise import MOST_SIGNED
from .strips import BAND, BANDS, COLUMNS, INPUT_SCALE, SHIFT, Axis

_OUTPUTS = 4  # at once
_LAST = -1


class _Way(NamedTuple):
    """A layer as the code sees it. taps: int (in_c, lines, columns)."""

    lines: Axis
    columns: Axis
    strides: tuple[int, int]
    taps: np.ndarray

    @property
    def bands(self) -> int:
        """Those that a window sees at most."""
        return self.taps.shape[1] // 2 + 1

    @property
    def most(self) -> tuple[int, int]:
        """Lines and columns of outputs in a strip."""
        (height, width), (stride_lines, stride_columns) = self.taps.shape[1:], self.strides
        return (2 * BANDS - 1 - height) // stride_lines + 1, (COLUMNS - width) // stride_columns + 1

    @property
    def cycles(self) -> int:
        """About, of a channel."""
        reads = self.bands * (self.taps.shape[2] * 16 if self.strides[1] == 2 else -(-self.taps.shape[2] // 2) * 22)
        return self.lines.out * (-(-self.columns.out // _OUTPUTS) * (reads + 50) + 30)


def windows(p: Params) -> Packed | None:
    """Windows of up to 19 lines and 32 columns or the other way round, a stride of 1 or 2 along one of them, no rare requantizer; 3x3 only of the
    form line, as what is not packed has code of its own for it."""
    h, w = p["kernel_h"], p["kernel_w"]
    weights = np.asarray(p["weights"], np.int64).reshape(h * w, -1).T
    rows, columns = strips.axes(p)
    taps = weights.reshape(-1, h, w)
    ways = [_Way(rows, columns, (p["stride_h"], p["stride_w"]), taps),
            _Way(columns, rows, (p["stride_w"], p["stride_h"]), taps.swapaxes(1, 2))]
    fit = [way for way in ways if way.strides[1] in (1, 2) and min(way.most) >= 1]
    if not fit or np.abs(common.reach(weights, np.zeros(1, np.int64))).max() > MOST_SIGNED:
        return None
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    way = min(fit, key=lambda way: way.cycles)
    line = linear.find(rq, weights, bias, SHIFT, INPUT_SCALE)
    if line is not None:
        return _packed(p, way, "line", line.scale - INPUT_SCALE, [line.multiplier, line.addend])
    doubled = common.doubled(rq, weights, bias)
    if doubled is None or (h == w == 3 and p["in_c"] >= 4) or np.abs(common.reach(weights, bias)).max() > MOST_SIGNED:
        return None
    return _packed(p, way, "signed", doubled.scale, [doubled.multiplier, doubled.addend, bias << doubled.scale + INPUT_SCALE, doubled.shift])


def _packed(p: Params, way: _Way, form: str, scale: np.ndarray, constants: list[np.ndarray]) -> Packed:
    kinds = [_reads(way.taps << scale[:, None, None], odd, way.strides[1]) for odd in (0, 1)]
    at = np.cumsum([len(constants), *(kind.shape[1] for kind in kinds)]) * 4  # bytes: where the kinds begin and end
    lanes = min(p["in_c"], 4)
    made = [_strip(way, lines, columns, at, lanes) for lines in strips.cut(way.lines.out, way.most[0])
            for columns in strips.cut(way.columns.out, way.most[1])]
    channels = np.concatenate([common.words(np.stack(constants, axis=1)), *kinds], axis=1)
    return strips.packed(p, f"{form}_window{'_2' * (way.strides[1] - 1)}", False, way.lines, way.columns, made, channels)


def _reads(taps: np.ndarray, odd: int, stride: int) -> np.ndarray:
    """uint32 (in_c, n): the weights of windows that begin with a band's first line (odd: with its second one), and how x goes on."""
    channels, height, width = taps.shape
    bands, together = (height + odd + 1) // 2, 2 if stride == 1 else 1
    padded = np.pad(taps, ((0, 0), (odd, 2 * bands - height - odd), (0, -width % together)))
    words = common.pairs(padded[:, ::2], padded[:, 1::2]).reshape(channels, bands, -1, together)
    steps = np.full(words.shape[1:3], 4 * together)
    steps[:, -1] = BAND - 4 * together * (words.shape[2] - 1)
    steps[-1, -1] = _LAST
    return np.concatenate([words, np.broadcast_to(common.words(steps)[None, :, :, None], (*words.shape[:3], 1))], axis=3).reshape(channels, -1)


def _strip(way: _Way, lines: range, columns: range, at: np.ndarray, lanes: int) -> strips.Strip:
    (height, width), (stride_lines, stride_columns) = way.taps.shape[1:], way.strides
    line, last = (index * stride_lines - way.lines.pad for index in (lines[0], lines[-1]))
    first = line - line % 2
    bands = strips.Bands(0, first, (last + height - first + 1) // 2)
    seen = strips.Columns(columns.start * stride_columns - way.columns.pad, (len(columns) - 1) * stride_columns + width, 0)
    begins = [index * stride_lines - way.lines.pad - first for index in lines]
    listed = [(begin // 2 * BAND, at[begin % 2], (index - lines.start) * way.lines.step_y) for begin, index in zip(begins, lines, strict=True)]
    y = lines.start * way.lines.step_y + columns.start * way.columns.step_y
    return strips.strip(way.lines, way.columns, bands, seen, lanes, [0, y, len(columns), way.columns.step_y, 0, 0, 0, 0, 0], listed=np.array(listed, np.int64))
