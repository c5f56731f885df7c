"""What the packers for depthwise_planes.inc share: strips of the input, what is unpacked of them, and the packed layer around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common

SHIFT, INPUT_SCALE = 17, 8  # DP_SHIFT, DP_INPUT_SCALE
BAND, BANDS = 128, 10  # bytes of a band in a plane, and its bands
PLANE = BAND * BANDS
COLUMNS = 32  # of a strip, at most
_BEYOND = 64  # bytes behind the planes that walks may read, or write nothing of worth to
_TURN = 8  # columns of a turn of unpacking
_OUTSIDE = -1
_PLACES = "", ".even", ".odd", ".output"  # of a walk: depthwise_walks.inc
_HEADER = 64  # bytes


class Axis(NamedTuple):
    """One direction of the layer; steps are in bytes."""

    size: int
    out: int
    pad: int
    step_x: int
    step_y: int


class Bands(NamedTuple):
    """Of a strip: its first band in the planes, the input's line that it begins with, how many."""

    at: int
    line: int
    count: int


class Columns(NamedTuple):
    """Of a strip: the input's first column that is seen, how many are, and where in a band the first one stands."""

    first: int
    count: int
    at: int


class Strip(NamedTuple):
    """words: its record and its lists. bands: of a plane, up to the last one that it has."""

    words: np.ndarray
    bands: int


def axes(p: Params) -> tuple[Axis, Axis]:
    """Rows and columns of a layer."""
    c = p["in_c"]
    return (Axis(p["in_h"], p["out_h"], p["pad_top"], p["in_w"] * c, p["out_w"] * c), Axis(p["in_w"], p["out_w"], p["pad_left"], c, c))


def cut(size: int, most: int, *, even: bool = False) -> Iterator[range]:
    """Ranges of about the same length."""
    length = -(-size // -(-size // most))
    length += even and length % 2 and length < most
    return (range(start, min(start + length, size)) for start in range(0, size, length))


def strip(lines: Axis, columns: Axis, bands: Bands, seen: Columns, lanes: int, places: Sequence[int], *, no_turn: bool = False,
          listed: np.ndarray | None = None) -> Strip:
    """A strip's record begins with `places`, nine words; `listed` stands behind its lists."""
    before, behind = max(0, -seen.first), max(0, seen.first + seen.count - columns.size)
    inside = seen.count - before - behind
    fills = [(lane * PLANE + bands.at * BAND + at, bands.count, size) for lane in range(lanes)
             for at, size in ((seen.at, before), (seen.at + 4 * (seen.count - behind), behind)) if size]
    full, edges = [], []
    for band in range(bands.count):
        line = bands.line + 2 * band
        ends = [at * lines.step_x + (seen.first + before) * columns.step_x if 0 <= at < lines.size else _OUTSIDE for at in (line, line + 1)]
        to = (bands.at + band) * BAND + seen.at + 4 * before
        if ends == [_OUTSIDE, _OUTSIDE]:
            fills += [(lane * PLANE + to, 1, inside) for lane in range(lanes)]
        elif _OUTSIDE in ends:
            edges.append((to, *ends))
        else:
            full.append((to, ends[0]))
    next_to = BAND - 4 * inside
    first_to, first_x = full[0] if full else (0, 0)
    more = inside - 1
    listed = np.zeros(0, np.int64) if listed is None else listed
    record = [*places, first_x, first_to - next_to, len(full) if lanes == 4 else -1 - len(full), 2 * lines.step_x - inside * columns.step_x, next_to,
              0 if more % 2 else columns.step_x, more + -more % _TURN, -more % _TURN if more else _TURN, inside, len(fills), 12 * len(edges),
              int(no_turn), 4 * listed.size]
    return Strip(np.concatenate([record, np.array([*fills, *edges], np.int64).ravel(), listed.ravel()]).astype(np.int64), bands.at + bands.count)


def packed(p: Params, walk: str, turns: bool, lines: Axis, columns: Axis, strips: Sequence[Strip], channels: np.ndarray) -> Packed:
    """The layer. walk: of depthwise_walks.inc. turns: whether it has places where they begin. channels: uint32 (in_c, n), what the code loads
    for a channel."""
    c, zero = p["in_c"], p["input_zero_point"]
    lanes, last = min(c, 4), max(c - 4, 0)
    listed = np.concatenate([strip.words for strip in strips])
    flags, rows = common.clamp(p)
    weights_at = _HEADER + 4 * len(listed)
    header = [0, turns, turns, 0, c, columns.step_x, lines.step_x, (zero & 0xFF) * 0x01010101, (zero << INPUT_SCALE & 0xFFFF) * 0x10001, weights_at,
              weights_at + channels.nbytes, p["out_h"] * p["out_w"], len(strips), lanes, last, channels.shape[1] * 4]
    return common.packed("depthwise_conv2d_s8.planes", common.words(header), common.words(listed), channels.ravel(), common.words([flags]), rows,
                         scratch=(lanes - 1) * PLANE + (max(strip.bands for strip in strips) + 1) * BAND + _BEYOND,
                         addresses={at: f"depthwise_conv2d_s8.{walk}{part}" for at, part in enumerate(_PLACES if turns else ("",))})
