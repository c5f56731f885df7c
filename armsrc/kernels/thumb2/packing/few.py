"""Packs dense layers with few outputs for dense_few.inc and dense_two.inc, whose heads say how their weights come about."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import biased, common, one, registers

_SHIFT, _BENT_SHIFT, _ALIKE_SHIFT = 14, 14, 13  # of the code; the last one of bent lines
_TWO, _TWO_STEP = 2, 16  # outputs, and a divisor of the inputs, of dense_two.inc
_SIZES = 8, 6, 4  # channels of tiles
_LAST = {0: (), 2: (6, 4), 4: (6, 6), 6: (6,)}  # tiles behind those of eight, by what is left over by these
_BLOCK = 16  # words of inputs that s0-s15 hold
_REGISTERS = 11  # that a tile begins with: sums, and weights in what is left
_DUMMIES = {8: (0, 1, 2), 6: (0,), 4: (0, 4)}  # of these weights, by the words of inputs that a block is shorter by
_RATES = {8: 37.3, 6: 28, 4: 19.5}  # cycles of a tile for a word of inputs
_TILE = 29  # cycles of a tile besides
_REQUANTIZED = {(False, False): 5.2, (False, True): 3.8, (True, False): 10, (True, True): 6}  # and of an output, by whether bent, alike


class _Lines(NamedTuple):
    """Lines (biased.py), and the code's name of their form. shared: one for all channels."""

    of: biased.Line
    form: str
    bent: bool
    shared: bool


def dense(p: Params) -> Packed | None:
    """What is cheaper here than with one.py or registers.py."""
    in_c, out_c, rq = p["in_c"], p["out_c"], common.channels(p)
    bent = common.is_signed(rq)
    most = one.dense_cycles(in_c, out_c) if out_c <= _TWO else registers.cycles(in_c, out_c, bent=bent)
    return packed(p, most) if cycles(in_c, out_c, bent=bent, alike=_alike(rq)) <= most else None


def packed(p: Params, most: float = math.inf) -> Packed | None:
    """Layers with a line for each channel (biased.py), and without a weight of -128 beside a negative one. most: cycles."""
    weights, rq = np.asarray(p["weights"], np.int64), common.channels(p)
    out_c, in_c = weights.shape
    even = np.pad(weights, ((0, out_c % 2), (0, -in_c % 4)))
    halves = even[0::2] + (even[1::2] << 8)
    if halves.min() < common.INT16.min:
        return None
    folded = common.folded_bias(p, weights)
    found = _lines(rq, common.reach(weights, folded))
    if found is None or cycles(in_c, out_c, bent=found.bent, alike=found.shared) > most:
        return None
    words = common.by_lanes(halves).reshape(len(halves), -1, 2)  # (pairs, words of inputs, 2)
    stream = _Stream(_sums(found.of, folded), found, *common.clamp(p))
    stream.add([in_c])
    return _two(words, stream) if _is_two(in_c, out_c) else _tiles(words, stream, in_c)


def _is_two(in_c: int, out_c: int) -> bool:
    """Whether dense_two.inc takes a layer; else one output or two are a tile of four."""
    return out_c <= _TWO and in_c % _TWO_STEP == 0


class _Stream:
    """Words, and the addresses in them, as they come."""

    def __init__(self, sums: np.ndarray, lines: _Lines, flags: int, rows: np.ndarray) -> None:
        """sums: (pairs, 2), int64. flags, rows: of the clamp."""
        self.sums, self.lines, self.flags, self.rows = sums, lines, flags, rows
        self.out_c = len(lines.of.more)
        self.parts: list[np.ndarray] = []
        self.addresses: dict[int, str] = {}

    def add(self, *parts: Any) -> None:
        self.parts += [common.words(np.ravel(part)) for part in parts]

    def name(self, place: str) -> None:
        self.addresses[sum(map(len, self.parts))] = f"dense_s8.few_{place}"
        self.add([0])

    def end(self, pairs: slice) -> None:
        """What follows a tile's last weights, for these pairs of it."""
        size, last = 2 * (pairs.stop - pairs.start), pairs.stop == len(self.sums)
        odd = last and self.out_c % 2 > 0
        tail = odd or last and self.flags > 0
        self.name(f"{size}_{self.lines.form}_{'tail' if tail else 'last' if last else 'more'}")
        self.add(_constants(self.lines, slice(2 * pairs.start, 2 * pairs.stop), size))
        if tail:
            self.add([not odd, self.flags, self.out_c], self.rows)


def _two(words: np.ndarray, stream: _Stream) -> Packed:
    stream.add(stream.sums, words)
    stream.end(slice(0, 1))
    return common.packed("dense_s8.two", *stream.parts, addresses=stream.addresses)


def _tiles(words: np.ndarray, stream: _Stream, in_c: int) -> Packed:
    pairs, groups = words.shape[:2]
    first = (groups - 1) % _BLOCK + 1  # words of inputs of the first block, which has what is left over by the others
    sizes = _cut(2 * pairs)
    again = groups > _BLOCK and len(sizes) > 1  # each tile loads its first block
    direct = first == _BLOCK and not again
    for size, end in zip(sizes, np.cumsum(sizes) // 2, strict=True):
        own = slice(end - size // 2, min(end, pairs))
        begin, *blocks = _blocks(words[own], size, first)
        sums, place = np.pad(stream.sums[own], ((0, end - own.stop), (0, 0))), f"{size}_{first}"
        loaded = again and own.start > 0
        if own.start > 0 or not direct:
            stream.name(f"again_{first}" if loaded else place)
        stream.add(begin[:1], sums, begin[1:])
        if loaded:
            stream.add([4 * (groups - first)])
            stream.name(place)
        for number, block in enumerate(blocks):
            if number:
                stream.name(f"{size}_next")
            stream.add(block)
        stream.end(own)
    path = f"dense_s8.few_{sizes[0]}" if direct else f"dense_s8.few_words_{first}"
    room = 4 * groups  # for a copy of x, where it does not begin at a word, or its last word is not whole
    if in_c % 4 == 0:
        return common.packed(path, *stream.parts, scratch=room, addresses=stream.addresses)
    addresses = {0: path} | {at + 1: name for at, name in stream.addresses.items()}
    return common.packed("dense_s8.few_copied", np.zeros(1, np.uint32), *stream.parts, scratch=room, addresses=addresses)


def _blocks(words: np.ndarray, size: int, first: int) -> list[np.ndarray]:
    """A tile's words (pairs, words of inputs, 2), in the order in which they are loaded: what it begins with, then each block's."""
    padded = np.pad(words, ((0, size // 2 - len(words)), (0, 0), (0, 0)))
    blocks = [np.moveaxis(block, 0, -1).ravel() for block in np.split(padded, range(first, words.shape[1], _BLOCK), axis=1)]
    dummies = _DUMMIES[size][(_BLOCK - first) % len(_DUMMIES[size])]
    begin, rest = np.split(np.concatenate([np.zeros(dummies, np.uint32), blocks[0]]), [_REGISTERS - size])
    return [begin, rest, *blocks[1:]]


def _sums(line: biased.Line, folded: np.ndarray) -> np.ndarray:
    """int64 (pairs, 2): what the sums of a + 256 b, and of a, begin with."""
    bias, more = (np.pad(field, (0, len(folded) % 2)).reshape(-1, 2) for field in (folded, line.more))
    both = bias[:, 0] + (bias[:, 1] << biased.SCALE) + more[:, 1]
    return np.stack([both, bias[:, 0]], axis=1)


def _constants(lines: _Lines, channels: slice, size: int) -> np.ndarray:
    """Of a tile's channels, or of all."""
    of = lines.of
    if lines.shared:
        return np.array([field[0] for field in (of.multiplier, of.more, *((of.below, of.addend) if lines.bent else ()))])
    own = [field[channels] for field in of]
    multiplier, more, addend, below = (np.pad(field, (0, size - len(field))).reshape(-1, 2) for field in own)
    return np.concatenate([more[:, :1], *((below, addend) if lines.bent else ()), multiplier], axis=1)


def _lines(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray]) -> _Lines | None:
    """Lines, one for all where requantizers are alike and one is found, and not bent where that is possible."""
    channels, alike = len(rq.multiplier), _alike(rq)
    all_as_one = common.Channels(*(field[:1] for field in rq)), (reach[0].min(keepdims=True), reach[1].max(keepdims=True))
    for bent in (False, True):
        line = biased.find(*all_as_one, _ALIKE_SHIFT if bent else _SHIFT, bent=bent) if alike else None
        if line:
            of = biased.Line(*(np.repeat(field, channels) for field in line))
            return _Lines(of, "bent_alike" if bent else "alike", bent, shared=True)
        line = biased.find(rq, reach, _BENT_SHIFT if bent else _SHIFT, bent=bent)
        if line:
            return _Lines(line, "bent" if bent else "plain", bent, shared=False)
    return None


def _alike(rq: common.Channels) -> bool:
    return all((field == field[0]).all() for field in rq)


def _cut(channels: int) -> tuple[int, ...]:
    """Sizes of tiles for as many channels, an even number: as many of eight as are no dearer than others."""
    last = (max(channels, min(_SIZES)),) if channels <= max(_SIZES) else _LAST[channels % max(_SIZES)]
    return (max(_SIZES),) * ((channels - sum(last)) // max(_SIZES)) + last


def cycles(in_c: int, out_c: int, *, bent: bool, alike: bool) -> float:
    """What a call takes, about. bent, alike: its requantizers."""
    even, words = out_c + out_c % 2, -(-in_c // 4)
    if _is_two(in_c, out_c):
        return 70 + 12 * words
    sizes, later = _cut(even), (words - 1) // _BLOCK
    copied = (15 + 6 * (in_c // 4) + 6 * (in_c % 4)) * (in_c % 4 > 0)
    blocks = 27 * later * len(sizes) + 30 * (len(sizes) - 1) * (later > 0)
    tiles = sum(_RATES[size] * words + _TILE for size in sizes)
    return (45 if out_c > _TWO else 35) + copied + tiles + blocks + _REQUANTIZED[bent, alike] * out_c
