"""Packs dense layers for dense_registers.inc, whose head says how its weights come about."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import biased, common

_SHIFT, _SMALL_SHIFT = 15, 13  # of the code; a single block of less than 64 inputs has the second one only
BLOCK, _EIGHT = 64, 8  # inputs that the FPU's registers hold, and that a step of the code takes
_LEAST = 6  # outputs
_SIZES = 6, 4  # channels of tiles
_UNSAVED = 32  # inputs in registers that a function need not keep
_SAVED, _GENERAL = 1 << 30, 1 << 29
_SUMS, _BENT, _ANY, _MORE = 0x20000000, 0x30000000, 0xB0000000, 0x40000000  # flags of the code


def dense(p: Params) -> Packed | None:
    """Layers with a line for each channel (biased.py), and without a weight of -128 behind a negative one in a pair. Few outputs
    are cheaper elsewhere."""
    weights, rq = np.asarray(p["weights"], np.int64), common.channels(p)
    out_c, in_c = weights.shape
    if out_c < _LEAST:
        return None
    padded = np.pad(weights, ((0, 0), (0, -in_c % _EIGHT)))
    halves = padded[:, 0::2] + (padded[:, 1::2] << 8)
    if halves.min() < common.INT16.min:
        return None
    folded = common.folded_bias(p, weights)
    line, bent, small = _line(rq, common.reach(weights, folded), short=padded.shape[1] < BLOCK)
    if line is None:
        return None
    bias = common.words((folded << biased.SCALE) + line.more - 127 * padded[:, 0::2].sum(axis=1))
    words = common.pairs(halves[:, 0::2], halves[:, 1::2])
    constants = [common.words(part) for part in ((line.addend, line.below, line.multiplier) if bent else (line.multiplier,))]
    tiles, blocks = _tiles(out_c), _blocks(words)
    first, later, channels = blocks[0].shape[1] * 4, len(blocks) - 1, tiles[-1][-1] + 1
    stream = [part for block in blocks for tile in tiles for part in _tile(tile, block, constants * (block is blocks[-1]))]
    six, last = sum(6 for tile in tiles if len(tile) == 6), _ANY if small else bent * _BENT
    state = (_SUMS if later else last) if first == BLOCK else _ANY | bool(later) * _MORE
    flags, rows = common.clamp(p)
    form, general = (later > 0 or first > _UNSAVED) * _SAVED, in_c != BLOCK or small
    header = [form | general * _GENERAL, state | general, later, (BLOCK - first) // _EIGHT, in_c % _EIGHT,
              six, out_c - six, 4 * channels, last, in_c, flags, bent]
    return common.packed("dense_s8.registers", common.words(header), np.pad(bias, (0, channels - out_c)), *stream, rows,
                         scratch=4 * (channels + max(_SIZES)) * bool(later))


def _line(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray], *, short: bool) -> tuple[biased.Line | None, bool, bool]:
    """The layer's lines, whether they are bent, and whether they are of small shifts."""
    forms = [(bent, small) for bent in (False, True) for small in ((True,) if short else (False, True))]
    found = ((biased.find(rq, reach, _SMALL_SHIFT if small else _SHIFT, bent=bent), bent, small) for bent, small in forms)
    return next((form for form in found if form[0]), (None, False, False))


def _tiles(out_c: int) -> list[np.ndarray]:
    """Channels by tile: sixes, then fours, of which the last one may reach beyond out_c; with an odd out_c there is one."""
    even = out_c + out_c % 2
    fours = {0: 3 * (out_c % 2), 4: 1, 2: 2}[even % 6]
    fours = min(fours, -(-out_c // 4))
    cuts = [*range(0, even - 4 * fours, 6), *range(max(even - 4 * fours, 0), out_c, 4)]
    return [np.arange(at, at + (6 if at < even - 4 * fours else 4)) for at in cuts]


def _blocks(words: np.ndarray) -> list[np.ndarray]:
    """words (out_c, groups of four inputs) by block; the first one is what is left over by the others."""
    size = BLOCK // 4
    first = (words.shape[1] - 1) % size + 1
    return np.split(words, range(first, words.shape[1], size), axis=1)


def _tile(channels: np.ndarray, words: np.ndarray, constants: list[np.ndarray]) -> list[np.ndarray]:
    """A tile's part of the stream. Channels that are not there are zeros."""
    def of(table: np.ndarray) -> np.ndarray:
        there = table[channels[0]:channels[-1] + 1]
        return np.pad(there, [(0, len(channels) - len(there)), *[(0, 0)] * (table.ndim - 1)])

    size = len(channels) if len(constants) == 1 else 2
    return [of(words).T.ravel(), *(of(table)[at:at + size] for at in range(0, len(channels), size) for table in constants)]


def cycles(in_c: int, out_c: int, *, bent: bool) -> float:
    """What a call takes, about."""
    eights = -(-in_c // _EIGHT)
    later, short = (eights - 1) // 8, eights % 8 > 0
    call = 146 + 13 * eights + 60 * (in_c != BLOCK) + 72 * later - 34 * (in_c <= _UNSAVED)
    sizes = map(len, _tiles(out_c))
    tiles = sum({6: 54, 4: 37}[size] * eights + 6 * size + 4 * (size + 1) * later + 30 * short for size in sizes)
    return call + tiles + 5.8 * out_c * bent
