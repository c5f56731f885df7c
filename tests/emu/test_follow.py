"""The native followers, event by event, against slow models that keep their history in plain lists."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.probe import build, follow
from emu.probe.follow import Cache, Predictor

REPORT = c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_uint32, c.c_uint32)
START = 0x1000
CONDITIONAL, CALL, RETURN, INDIRECT = 1, 2, 4, 8


class Native:
    """The compiled followers; `events` are (number, pc, event) in the order of their reports."""

    def __init__(self, *followers: follow.Follower) -> None:
        self._library = c.CDLL(str(build.library()))
        for function in ("follow_new", "follow_size", "follow_fetch"):
            getattr(self._library, function).restype = c.c_size_t
        assert self._library.follow_size() == c.sizeof(follow.Native)
        self.events: list[tuple[int, int, int]] = []
        self.lines: list[bytes] = []
        self._report = REPORT(lambda _, number, pc, event: self.events.append((number, pc, event)))
        self._handle = c.c_void_p(self._library.follow_new(follow.natives(followers), len(followers), self._report, None))

    def fetch(self, start: int, end: int, ticks: int) -> bytes:
        """Events of the stream, by follower; kept in `lines`, too."""
        number = c.c_uint32()
        at = self._library.follow_fetch(self._handle, start, end, ticks, c.byref(number))
        self.lines.append(c.string_at(at, number.value) if number.value else b"")
        return self.lines[-1]

    def access(self, pc: int, address: int, size: int, store: bool) -> None:
        self._library.follow_access(self._handle, pc, address, size, store)

    def branch(self, pc: int, behind: int, target: int, what: int, taken: bool) -> None:
        self._library.follow_branch(self._handle, pc, behind, target, what, taken)

    def __del__(self) -> None:
        self._library.follow_free(self._handle)


class SlowCache:
    """Cache, as its documentation reads: every set a list of [line, dirty], the most recently used last."""

    def __init__(self, cache: Cache) -> None:
        self.cache, self.sets, self.turns, self.seed = cache, {}, {}, 1
        self.current, self.ticks, self.events, self.lines = None, 0, [], []

    def sees(self, kind: int, address: int) -> bool:
        return bool(self.cache.watches & kind) and any(start <= address < start + size for start, size in self.cache.ranges)

    def hit(self, line: int, dirty: bool = False) -> bool:
        lines = self.sets.setdefault(line % self.cache.sets, [])
        for entry in lines:
            if entry and entry[0] == line:
                entry[1] |= dirty
                if self.cache.replacement == "lru":
                    lines.remove(entry)
                    lines.append(entry)
                return True
        return False

    def keep(self, pc: int, line: int, dirty: bool) -> None:
        number = line % self.cache.sets
        lines = self.sets.setdefault(number, [])
        if not self.cache.ways:
            return
        if len(lines) < self.cache.ways:
            lines.append([line, dirty])
            return
        at = 0
        if self.cache.replacement == "round-robin":
            at = self.turns.get(number, 0) % self.cache.ways
            self.turns[number] = at + 1
        elif self.cache.replacement == "random":
            self.seed ^= self.seed << 13 & 0xFFFFFFFF
            self.seed ^= self.seed >> 17
            self.seed ^= self.seed << 5 & 0xFFFFFFFF
            at = self.seed % self.cache.ways
        if lines[at][1]:
            self.events.append((pc, follow.EVICTED))
        if self.cache.replacement == "lru":
            del lines[0]
            lines.append([line, dirty])
        else:
            lines[at] = [line, dirty]

    def fetch(self, start: int, end: int, ticks: int) -> None:
        self.lines.append(b"")
        if not self.sees(follow.FETCH, start):
            return
        size, found = self.cache.line, []
        for line in range(start // size, (end - 1) // size + 1):
            first, last = max(start, line * size), min(end, (line + 1) * size)
            event = follow.LINE_HIT
            if line != self.current:
                if not self.hit(line):
                    on_its_way = self.cache.prefetch and self.current is not None and line == self.current + 1
                    event = follow.ON_ITS_WAY + self.ticks if on_its_way else follow.LINE_MISS
                    self.keep(first, line, False)
                self.current, self.ticks = line, 0
            found.append(event)
        self.ticks = min(15, self.ticks + ticks * (last - first) // (end - start))
        if any(event != follow.LINE_HIT for event in found):
            self.lines[-1] = bytes(found)

    def access(self, pc: int, address: int, size: int, store: bool) -> None:
        if not self.sees(follow.STORE if store else follow.LOAD, address):
            return
        for line in sorted({address // self.cache.line, (address + size - 1) // self.cache.line}):
            dirty = store and self.cache.write_back
            if not self.hit(line, dirty):
                self.events.append((pc, follow.STORE_MISS if store else follow.LOAD_MISS))
                if not store or self.cache.store_allocates:
                    self.keep(pc, line, dirty)


class SlowPredictor:
    """Predictor, as its documentation reads."""

    def __init__(self, shape: Predictor) -> None:
        self.shape, self.btb, self.counters, self.history, self.returns, self.events = shape, {}, {}, [], [], []

    def branch(self, pc: int, behind: int, target: int, what: int, taken: bool) -> None:
        event = self.outcome(pc, behind, target, what, taken)
        if event:
            self.events.append((pc, event))

    def outcome(self, pc: int, behind: int, target: int, what: int, taken: bool) -> int:
        shape = self.shape
        if what & RETURN and shape.return_stack:
            guess = self.direction(pc, None, taken) if what & CONDITIONAL else True
            expected = (self.returns.pop() if self.returns else None) if taken else target
            known = True
        else:
            entries = self.btb.setdefault(pc // 2 % shape.btb_sets, [])
            entry = next((entry for entry in entries if entry["pc"] == pc), None)
            if entry:
                entries.remove(entry)
                entries.append(entry)
            guess = self.direction(pc, entry, taken) if what & CONDITIONAL else True
            expected, known = entry and entry["target"], entry is not None
            if taken and entry:
                entry["target"] = target
            elif taken and shape.btb_ways:
                entries.append({"pc": pc, "target": target, "counter": 2})
                del entries[:-shape.btb_ways]
        if what & CALL and taken and shape.return_stack:
            self.returns = [*self.returns, behind][-shape.return_stack:]
        if guess != taken:
            return follow.WRONG_DIRECTION
        if not taken:
            return 0
        if not known:
            return follow.WRONG_TARGET if what & INDIRECT else follow.NOT_BUFFERED
        return follow.WRONG_TARGET if expected != target else 0

    def direction(self, pc: int, entry: dict | None, taken: bool) -> bool:
        def learn(counter: int) -> int:
            return min(3, counter + 1) if taken else max(0, counter - 1)

        if not self.shape.counters:
            guess = entry is not None and entry["counter"] >= 2
            if entry:
                entry["counter"] = learn(entry["counter"])
            return guess
        past = sum(bit << age for age, bit in enumerate(self.history[:self.shape.history]))
        index = (pc // 2 ^ past) % self.shape.counters
        counter = self.counters.get(index, 1)
        self.counters[index] = learn(counter)
        self.history.insert(0, int(taken))
        return counter >= 2


def agree(native: Native, slow: Sequence[SlowCache | SlowPredictor]) -> None:
    """Each follower reported exactly what its slow model did."""
    for number, model in enumerate(slow):
        assert [(pc, event) for n, pc, event in native.events if n == number] == model.events
    for n, lines in enumerate(native.lines):
        assert lines == b"".join(bytes([follow.FETCHED + number]) + model.lines[n] for number, model in enumerate(slow) if model.lines[n])


caches = st.builds(
    Cache, watches=st.integers(1, 7), ranges=st.sampled_from([((START, 0x200),), ((START, 0x80), (START + 0x100, 0x40))]),
    line=st.sampled_from([4, 16, 32]), sets=st.sampled_from([1, 2, 4]), ways=st.integers(0, 4),
    replacement=st.sampled_from(follow.REPLACEMENTS), write_back=st.booleans(), store_allocates=st.booleans(), prefetch=st.booleans())
streams = st.tuples(st.just("fetch"), st.integers(0, 0x180), st.integers(1, 40), st.just(False), st.integers(1, 90))
accesses = st.tuples(st.just("access"), st.integers(0, 0x1F0), st.sampled_from([1, 2, 4]), st.booleans(), st.just(0))


@settings(max_examples=300, deadline=None)
@given(st.lists(caches, min_size=1, max_size=3), st.lists(st.one_of(streams, accesses), max_size=150))
def test_caches_report_what_the_slow_models_do(shapes: list[Cache], run: list[tuple]) -> None:
    native, slow = Native(*shapes), [SlowCache(shape) for shape in shapes]
    for model in (native, *slow):
        for kind, at, size, flag, ticks in run:
            if kind == "fetch":
                start = START + at // 2 * 2
                model.fetch(start, start + 2 * size, ticks)
            else:
                model.access(0x500, START + at, size, flag)
    agree(native, slow)


predictors = st.builds(Predictor, btb_sets=st.sampled_from([1, 2, 8]), btb_ways=st.integers(0, 3), counters=st.sampled_from([0, 4, 16]),
                       history=st.integers(0, 4), return_stack=st.integers(0, 3))
branches = st.tuples(st.integers(0, 11), st.integers(0, 3), st.sampled_from([0, 1, CALL, CALL | INDIRECT, INDIRECT, RETURN | INDIRECT,
                                                                           RETURN | INDIRECT | CONDITIONAL]), st.booleans())


@settings(max_examples=300, deadline=None)
@given(predictors, st.lists(branches, max_size=200))
def test_predictors_report_what_the_slow_model_does(shape: Predictor, run: list[tuple]) -> None:
    native, slow = Native(shape), SlowPredictor(shape)
    for model in (native, slow):
        for place, target, what, flag in run:
            taken = flag or not what & CONDITIONAL
            pc = START + 2 * place
            # a return goes behind one of the places, so that some returns match a call
            to = START + 2 * target + 4 if what & RETURN else START + 0x100 + 4 * target
            model.branch(pc, pc + 4, to if taken else pc + 4, what, taken)
    agree(native, [slow])


def test_a_loop_is_foreseen_but_for_its_exits() -> None:
    """Ten times a loop of five: the first time round its branch is new; then only the exits are wrong."""
    native = Native(Predictor(btb_sets=4, btb_ways=2))
    for _ in range(10):
        for left in range(4, -1, -1):
            native.branch(START, START + 2, START - 8 if left else START + 2, CONDITIONAL, left > 0)
    assert [event for _, _, event in native.events] == [follow.WRONG_DIRECTION] * 11


def test_a_return_stack_tells_callers_apart() -> None:
    """One function called from two places: its return is wrong every time with a BTB alone, never with a return stack."""
    for depth, wrong in ((0, 10), (2, 0)):
        native = Native(Predictor(btb_sets=8, btb_ways=2, return_stack=depth))
        for _ in range(5):
            for caller in (0x100, 0x200):
                native.branch(caller, caller + 4, 0x800, CALL, True)
                native.branch(0x810, 0x812, caller + 4, RETURN | INDIRECT, True)
        assert sum(event == follow.WRONG_TARGET for _, _, event in native.events) == wrong


def test_straight_code_is_on_its_way_once_and_then_kept() -> None:
    """Four lines of straight code: the one that a branch leads to misses, the others are on their way; the second time all are there."""
    native = Native(Cache(follow.FETCH, ((START, 0x1000),), line=16, sets=1, ways=4, prefetch=True))
    assert list(native.fetch(START, START + 64, 32)) == [follow.FETCHED, follow.LINE_MISS, *[follow.ON_ITS_WAY] * 3]
    assert native.fetch(START, START + 64, 32) == b""


def test_more_code_than_lines_is_on_its_way_for_ever() -> None:
    native = Native(Cache(follow.FETCH, ((START, 0x1000),), line=16, sets=1, ways=4, prefetch=True))
    for _ in range(3):
        assert list(native.fetch(START, START + 80, 32)) == [follow.FETCHED, follow.LINE_MISS, *[follow.ON_ITS_WAY] * 4]


def test_a_line_is_on_its_way_since_the_line_before_it_is_current() -> None:
    """A loop inside a line, three ticks a turn, and then out of it, straight on or by a branch: asked for six ticks ago."""
    for out in (START + 10, START + 16):
        native = Native(Cache(follow.FETCH, ((START, 0x1000),), line=16, sets=1, ways=4, prefetch=True))
        native.fetch(START + 6, START + 10, 3)
        native.fetch(START + 6, START + 10, 3)
        lines = [follow.LINE_HIT] * (out < START + 16) + [follow.ON_ITS_WAY + 6]
        assert list(native.fetch(out, START + 20, 5)) == [follow.FETCHED, *lines]


def test_more_lines_than_ways_miss_for_ever() -> None:
    """LRU over one line more than there are ways keeps nothing; over as many it keeps all."""
    for lines, misses in ((8, 8), (9, 90)):
        native = Native(Cache(follow.LOAD, ((START, 0x1000),), line=16, sets=1, ways=8))
        for _ in range(10):
            for line in range(lines):
                native.access(0, START + 16 * line, 4, False)
        assert len(native.events) == misses


def test_a_line_stays_dirty_when_it_is_read() -> None:
    native = Native(Cache(follow.LOAD | follow.STORE, ((START, 0x1000),), line=16, sets=1, ways=1, write_back=True, store_allocates=True))
    for address, store in ((START, True), (START, False), (START + 16, False)):
        native.access(0, address, 4, store)
    assert [event for _, _, event in native.events] == [follow.STORE_MISS, follow.LOAD_MISS, follow.EVICTED]


def test_a_full_return_stack_forgets_its_oldest() -> None:
    """Three calls deep with a stack of two: the last two returns are right, and then it is empty, whatever comes."""
    native = Native(Predictor(btb_sets=8, btb_ways=2, return_stack=2))
    for caller in (0x100, 0x200, 0x300):
        native.branch(caller, caller + 4, 0x800, CALL, True)
    native.events.clear()
    for caller in (0x300, 0x200, 0x300):
        native.branch(0x810, 0x812, caller + 4, RETURN | INDIRECT, True)
    assert [event for _, _, event in native.events] == [follow.WRONG_TARGET]


def test_a_new_branch_is_foreseen_as_taken_until_it_is_not() -> None:
    """Taken, not, not: new, then foreseen as taken, then no more."""
    native = Native(Predictor(btb_sets=4, btb_ways=2))
    for taken in (True, False, False):
        native.branch(START, START + 2, START - 8 if taken else START + 2, CONDITIONAL, taken)
    assert [event for _, _, event in native.events] == [follow.WRONG_DIRECTION] * 2


def test_the_first_line_of_all_is_not_on_its_way() -> None:
    native = Native(Cache(follow.FETCH, ((0, 0x1000),), line=16, sets=1, ways=1, prefetch=True))
    assert list(native.fetch(0, 8, 4)) == [follow.FETCHED, follow.LINE_MISS]


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Cache(1, ((0, 4),), 24, 1, 1), "line 24: expected a power of two up to 64"),
    (lambda: Cache(1, ((0, 4),), 2, 1, 1), "a line of 2 bytes: expected at least a word"),
    (lambda: Cache(1, ((0, 4),), 16, 3, 1), "sets 3"),
    (lambda: Cache(1, ((0, 4),), 16, 1, 1 << 30), "ways 1073741824"),
    (lambda: Cache(1, ((0, 4),), 16, 1, 1, replacement="oldest"), "replacement 'oldest': expected one of lru, random, round-robin"),
    (lambda: Cache(1, ((0, 4),) * 5, 16, 1, 1), "ranges 5: expected 1 to 4"),
    (lambda: Predictor(3, 1), "btb_sets 3"),
    (lambda: Predictor(4, 1, counters=12), "counters 12"),
    (lambda: follow.natives([Predictor(4, 1)] * 17), "followers 17: expected 0 to 16"),
    (lambda: Predictor(4, 1, history=40), "history 40: expected 0 to 31"),
])
def test_what_the_native_model_cannot_be_is_refused(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
