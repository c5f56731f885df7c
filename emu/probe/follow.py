"""What a native follower is told: caches and branch predictors, as memory and core tables ask for them (follow.h)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from dataclasses import dataclass

FOLLOWED = 0x40  # a site's kind is FOLLOWED + the follower's number
FETCH, LOAD, STORE = 1, 2, 4  # what a cache watches
REPLACEMENTS = ("lru", "random", "round-robin")  # random: xorshift from seed 1
LOAD_MISS, STORE_MISS, EVICTED = 1, 2, 3  # events of a cache, by instruction
WRONG_DIRECTION, WRONG_TARGET, NOT_BUFFERED = 1, 2, 3  # events of a predictor
LINE_HIT, LINE_MISS, ON_ITS_WAY, FETCHED = 0x90, 0x91, 0xA0, 0xC0  # events of a stream; ON_ITS_WAY + ticks, FETCHED + number
MOST_FOLLOWERS = 16
_CACHE, _PREDICTOR, _RANGES = 1, 2, 4
_MOST_LINE, _MOST_ENTRIES = 64, 1 << 20


class Native(c.Structure):
    """follower in follow.h."""

    _fields_ = [(name, kind) for name, kind in (
        ("kind", c.c_uint32), ("watches", c.c_uint32), ("ranges", c.c_uint32),
        ("start", c.c_uint32 * _RANGES), ("size", c.c_uint32 * _RANGES),
        *((name, c.c_uint32) for name in ("line", "sets", "ways", "replacement", "write_back", "store_allocates", "prefetch", "btb_sets",
                                          "btb_ways", "counters", "history", "return_stack")))]


@dataclass(frozen=True)
class Cache:
    """A set-associative cache over some addresses, or (without ways) just the line that fetch reads from.

    prefetch: the line behind the current one is on its way without being asked for, and is kept when it is used. Stores that
    miss are kept with `store_allocates` alone; lines that were written are evicted with `write_back` alone.
    """

    watches: int  # FETCH | LOAD | STORE
    ranges: tuple[tuple[int, int], ...]  # (start, bytes)
    line: int  # bytes
    sets: int
    ways: int
    replacement: str = "lru"
    write_back: bool = False
    store_allocates: bool = False
    prefetch: bool = False

    def __post_init__(self) -> None:
        """ValueError for what the native model cannot be."""
        _power_of_two("line", self.line, _MOST_LINE)
        _power_of_two("sets", self.sets, _MOST_ENTRIES)
        _within("ways", self.ways, _MOST_ENTRIES // self.sets)
        _within("ranges", len(self.ranges), _RANGES, least=1)
        if self.line < 4:
            raise ValueError(f"a line of {self.line} bytes: expected at least a word")
        if self.replacement not in REPLACEMENTS:
            raise ValueError(f"replacement {self.replacement!r}: expected one of {', '.join(REPLACEMENTS)}")

    def native(self) -> Native:
        """For follow_new()."""
        starts, sizes = zip(*self.ranges, strict=True)
        return Native(kind=_CACHE, watches=self.watches, ranges=len(self.ranges), start=starts, size=sizes, line=self.line, sets=self.sets,
                      ways=self.ways, replacement=REPLACEMENTS.index(self.replacement), write_back=self.write_back,
                      store_allocates=self.store_allocates, prefetch=self.prefetch)


@dataclass(frozen=True)
class Predictor:
    """A branch predictor: a BTB in LRU order, two-bit counters (in the BTB, or a table of their own), a return stack.

    A conditional branch is foreseen as taken when its counter is 2 or 3. Counters start at 1, those of a new BTB entry at 2.
    With `counters` their index is (pc / 2) xor the last `history` directions; without, a branch that is not in the BTB is
    foreseen as not taken. Branches enter the BTB when they are taken; returns, where there is a return stack, never do.
    """

    btb_sets: int
    btb_ways: int
    counters: int = 0
    history: int = 0
    return_stack: int = 0

    def __post_init__(self) -> None:
        """ValueError for what the native model cannot be."""
        _power_of_two("btb_sets", self.btb_sets, _MOST_ENTRIES)
        _within("btb_ways", self.btb_ways, _MOST_ENTRIES // self.btb_sets)
        if self.counters:
            _power_of_two("counters", self.counters, _MOST_ENTRIES)
        _within("history", self.history, 31)
        _within("return_stack", self.return_stack, _MOST_ENTRIES)

    def native(self) -> Native:
        """For follow_new()."""
        return Native(kind=_PREDICTOR, btb_sets=self.btb_sets, btb_ways=self.btb_ways, counters=self.counters, history=self.history,
                      return_stack=self.return_stack)


Follower = Cache | Predictor


def natives(followers: Sequence[Follower]) -> c.Array[Native]:
    """The array that follow_new() takes. ValueError for more than MOST_FOLLOWERS."""
    _within("followers", len(followers), MOST_FOLLOWERS)
    return (Native * len(followers))(*(follower.native() for follower in followers))


def _within(what: str, value: int, most: int, least: int = 0) -> None:
    if not least <= value <= most:
        raise ValueError(f"{what} {value}: expected {least} to {most}")


def _power_of_two(what: str, value: int, most: int) -> None:
    if not (0 < value <= most and value & value - 1 == 0):
        raise ValueError(f"{what} {value}: expected a power of two up to {most}")
