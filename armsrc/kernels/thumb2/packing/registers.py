"""Packs dense layers for dense_registers.inc, whose head says how its weights come about."""

from __future__ import annotations

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import biased, common

_SHIFT, _SHORT_SHIFT = 15, 13  # of the code; the second one for bent lines in a single block shorter than 64 inputs
_BLOCK, _EIGHT = 64, 8  # inputs that the FPU's registers hold, and that a step of the code takes
_FEW, _SIZES = 320, (6, 4)  # weights; channels of tiles
_UNSAVED = 32  # inputs in registers that a function need not keep
_FORM, _SAVED, _GENERAL = 1 << 31, 1 << 30, 1 << 29
_SINGLE_BENT, _SUMS, _BENT, _PLAIN, _SHORTER = 0x20000000, 0x30000000, 0x60000000, 0x70000000, 0x80000000  # flags of the code


def dense(p: Params) -> Packed | None:
    """Layers with a line for each channel (biased.py), and without a weight of -128 behind a negative one in a pair. Few inputs and outputs
    are cheaper elsewhere."""
    weights, rq = np.asarray(p["weights"], np.int64), common.channels(p)
    out_c, in_c = weights.shape
    if in_c * out_c < _FEW or out_c < min(_SIZES):
        return None
    padded = np.pad(weights, ((0, 0), (0, -in_c % _EIGHT)))
    halves = padded[:, 0::2] + (padded[:, 1::2] << 8)
    if halves.min() < common.INT16.min:
        return None
    line, bent, short = _line(rq, weights, common.folded_bias(p, weights))
    if line is None:
        return None
    bias = common.words(line.bias - 127 * padded[:, 0::2].sum(axis=1))
    words = common.pairs(halves[:, 0::2], halves[:, 1::2])
    constants = [common.words(part) for part in ((line.addend, line.below, line.multiplier) if bent else (line.multiplier,))]
    tiles, blocks = _tiles(out_c), _blocks(words)
    first, channels = blocks[0].shape[1] * 4, tiles[-1][-1] + 1
    single = in_c == _BLOCK
    biases = [] if single else [np.pad(bias, (0, channels - out_c))]
    stream = [part for block in blocks for tile in tiles
              for part in _tile(tile, block, [bias] * single, constants * (block is blocks[-1]))]
    six = sum(6 for tile in tiles if len(tile) == 6)
    last = _BENT if bent else _PLAIN
    state = bent * _SINGLE_BENT if single else (_SUMS if len(blocks) > 1 else last) | (first < _BLOCK) * _SHORTER
    flags, rows = common.clamp(p)
    form = _FORM | (len(blocks) > 1 or first > _UNSAVED) * _SAVED | (not single) * _GENERAL
    header = [form, state, len(blocks) - 1, (_BLOCK - first) // _EIGHT, in_c % _EIGHT,
              six, out_c - six, last, 4 * channels * (not single), in_c, flags, short]
    return Packed(np.concatenate([common.words(header), *biases, *stream, rows]), 4 * channels if len(blocks) > 1 else 0)


def _line(rq: common.Channels, weights: np.ndarray, bias: np.ndarray) -> tuple[biased.Line | None, bool, bool]:
    """The layer's lines, whether they are bent, and whether the short shift is theirs."""
    forms = ((False, False), (True, False), (True, True))[:3 if weights.shape[1] <= _BLOCK - _EIGHT else 2]
    found = ((biased.find(rq, weights, bias, _SHORT_SHIFT if short else _SHIFT, bent=bent), bent, short) for bent, short in forms)
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
    size = _BLOCK // 4
    first = (words.shape[1] - 1) % size + 1
    return np.split(words, range(first, words.shape[1], size), axis=1)


def _tile(channels: np.ndarray, words: np.ndarray, biases: list[np.ndarray], constants: list[np.ndarray]) -> list[np.ndarray]:
    """A tile's part of the stream. Channels that are not there are zeros."""
    def of(table: np.ndarray) -> np.ndarray:
        there = table[channels[0]:channels[-1] + 1]
        return np.pad(there, [(0, len(channels) - len(there)), *[(0, 0)] * (table.ndim - 1)])

    size = len(channels) if len(constants) == 1 else 2
    end = [of(table)[at:at + size] for at in range(0, len(channels), size) for table in constants]
    return [*map(of, biases), of(words).T.ravel(), *end]
