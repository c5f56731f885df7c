"""Packs dense layers with few outputs for dense_few.inc and dense_two.inc, whose heads say how their weights come about."""

from __future__ import annotations

import math
from typing import NamedTuple

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
_REQUANTIZED = {(False, False): 5.2, (False, True): 3.8, (True, False): 10, (True, True): 6}  # cycles of an output, by whether bent, and alike


class _Line(NamedTuple):
    """Lines (biased.py), and the code's name of their form. shared: one for all channels."""

    line: biased.Line
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
    found = _line(rq, common.reach(weights, folded))
    if found is None or cycles(in_c, out_c, bent=found.bent, alike=found.shared) > most:
        return None
    words = common.by_lanes(halves).reshape(len(halves), -1, 2)  # (pairs, words of inputs, 2)
    stream = _Stream(_sums(found.line, folded), found, *common.clamp(p))
    return _two(words, stream, in_c) if _is_two(in_c, out_c) else _tiles(words, stream, in_c)


def _is_two(in_c: int, out_c: int) -> bool:
    """Whether dense_two.inc takes a layer; else one output or two are a tile of four."""
    return out_c <= _TWO and in_c % _TWO_STEP == 0


class _Stream:
    """Words, and the addresses in them, as they come."""

    def __init__(self, sums: np.ndarray, line: _Line, flags: int, rows: np.ndarray) -> None:
        """sums: (pairs, 2), int64. flags, rows: of the clamp."""
        self.sums, self.found, self.flags, self.rows = sums, line, flags, rows
        self.out_c = len(line.line.more)
        self.parts: list[np.ndarray] = []
        self.addresses: dict[int, str] = {}

    def add(self, *parts: np.ndarray) -> None:
        self.parts += [common.words(np.ravel(part)) for part in parts]

    def name(self, place: str) -> None:
        self.addresses[sum(map(len, self.parts))] = f"dense_s8.few_{place}"
        self.add([0])

    def packed(self, path: str, in_c: int) -> Packed:
        """The layer. path: where it begins. The code needs room for a copy of its inputs, where they are no whole words."""
        begins = {0: f"dense_s8.{path}"} if in_c % 4 else {}
        at = {place + len(begins): name for place, name in self.addresses.items()}
        path = "few_copied" if begins else path
        return common.packed(f"dense_s8.{path}", np.zeros(len(begins), np.uint32), *self.parts, scratch=-(-in_c // 4) * 4, addresses=begins | at)

    def end(self, pairs: slice, *, last: bool) -> None:
        """What follows a tile's last weights, for these pairs of it."""
        size = 2 * (pairs.stop - pairs.start)
        odd = last and self.out_c % 2 > 0
        tail = odd or last and self.flags > 0
        self.name(f"{size}_{self.found.form}_{'tail' if tail else 'last' if last else 'more'}")
        self.add(_constants(self.found, slice(2 * pairs.start, 2 * pairs.stop), size))
        if tail:
            self.add([not odd, self.flags, self.out_c], self.rows)


def _two(words: np.ndarray, stream: _Stream, in_c: int) -> Packed:
    stream.add([in_c], stream.sums, words)
    stream.end(slice(0, 1), last=True)
    return stream.packed("two", in_c)


def _tiles(words: np.ndarray, stream: _Stream, in_c: int) -> Packed:
    channels, groups = 2 * len(words), words.shape[1]
    sizes = _cut(channels)
    first = (groups - 1) % _BLOCK + 1  # groups of the first block, which has what is left over by the others
    blocks = np.split(words, range(first, groups, _BLOCK), axis=1)
    again = len(blocks) > 1 and len(sizes) > 1
    direct = first == _BLOCK and not again
    stream.add([in_c])
    ends = np.cumsum(sizes) // 2
    for size, end in zip(sizes, ends, strict=True):
        pairs, later = slice(end - size // 2, end), end > size // 2
        place = f"{size}_{first}"
        if later or not direct:
            stream.name(f"again_{first}" if again and later else place)
        lacking = [(0, max(end - channels // 2, 0)), (0, 0), (0, 0)]
        weights = [np.moveaxis(np.pad(block[pairs], lacking), 0, -1).ravel() for block in blocks]
        dummies = _DUMMIES[size][(_BLOCK - first) % len(_DUMMIES[size])]
        loaded = np.concatenate([np.zeros(dummies, np.uint32), weights[0]])
        at_once = _REGISTERS - size
        stream.add(loaded[:1], np.pad(stream.sums[pairs], lacking[:2]), loaded[1:at_once])
        if again and later:
            stream.add([4 * (groups - first)])
            stream.name(place)
        stream.add(loaded[at_once:])
        for block in weights[1:]:
            stream.name(f"{size}_next")
            stream.add(block)
        stream.end(slice(pairs.start, min(end, channels // 2)), last=end >= channels // 2)
    return stream.packed(f"few_{sizes[0]}" if direct else f"few_words_{first}", in_c)


def _sums(line: biased.Line, folded: np.ndarray) -> np.ndarray:
    """int64 (pairs, 2): what the sums of a + 256 b, and of a, begin with."""
    bias, more = (np.pad(field, (0, len(folded) % 2)).reshape(-1, 2) for field in (folded, line.more))
    both = bias[:, 0] + (bias[:, 1] << biased.SCALE) + more[:, 1]
    return np.stack([both, bias[:, 0]], axis=1)


def _constants(found: _Line, channels: slice, size: int) -> np.ndarray:
    """Of a tile's channels, or of all."""
    line = found.line
    if found.shared:
        return np.array([field[0] for field in (line.multiplier, line.more, *((line.below, line.addend) if found.bent else ()))])
    own = [field[channels] for field in line]
    multiplier, more, addend, below = (np.pad(field, (0, size - len(field))).reshape(-1, 2) for field in own)
    return np.concatenate([more[:, :1], *((below, addend) if found.bent else ()), multiplier], axis=1)


def _line(rq: common.Channels, reach: tuple[np.ndarray, np.ndarray]) -> _Line | None:
    """Lines, one for all where requantizers are alike and one is found, and not bent where that is possible."""
    channels, alike = len(rq.multiplier), _alike(rq)
    one = common.Channels(*(field[:1] for field in rq)), (reach[0].min(keepdims=True), reach[1].max(keepdims=True))
    for bent in (False, True):
        line = biased.find(*one, _ALIKE_SHIFT if bent else _SHIFT, bent=bent) if alike else None
        if line:
            return _Line(biased.Line(*(np.repeat(field, channels) for field in line)), "bent_alike" if bent else "alike", bent, shared=True)
        line = biased.find(rq, reach, _BENT_SHIFT if bent else _SHIFT, bent=bent)
        if line:
            return _Line(line, "bent" if bent else "plain", bent, shared=False)
    return None


def _alike(rq: common.Channels) -> bool:
    return all((field == field[0]).all() for field in rq)


def _cut(channels: int) -> tuple[int, ...]:
    """Sizes of tiles for as many channels, an even number: as many of eight as are no dearer than others."""
    last = (max(channels, min(_SIZES)),) if channels <= max(_SIZES) else _LAST[channels % max(_SIZES)]
    return (max(_SIZES),) * ((channels - sum(last)) // max(_SIZES)) + last


def _cycles(sizes: tuple[int, ...], words: int) -> float:
    return sum(_RATES[size] * words + 29 for size in sizes)


def cycles(in_c: int, out_c: int, *, bent: bool, alike: bool) -> float:
    """What a call takes, about. bent, alike: its requantizers."""
    even, words = out_c + out_c % 2, -(-in_c // 4)
    if _is_two(in_c, out_c):
        return 70 + 12 * words
    sizes, later = _cut(even), (words - 1) // _BLOCK
    copied = (20 + 1.5 * in_c) * (in_c % 4 > 0)
    blocks = 27 * later * len(sizes) + 30 * (len(sizes) - 1) * (later > 0)
    return (45 if out_c > _TWO else 35) + copied + _cycles(sizes, words) + blocks + _REQUANTIZED[bent, alike] * out_c
