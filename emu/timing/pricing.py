"""Streams x pipeline: the cycles of every layer, each distinct stream priced once."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from emu.isa.instruction import Flag, Instruction
from emu.probe import EXECUTED, MISALIGNED, QUOTIENT, SKIPPED, Counts, layout
from emu.probe.follow import Follower
from emu.timing import pipeline, predictor
from emu.timing.core import Core
from emu.timing.explain import Account, Why
from emu.timing.memory import ANYWHERE, Memory, Placed
from emu.timing.step import Step

_EXCEPTIONS = {layout.EXCEPTION_ENTRY: "entry", layout.EXCEPTION_RETURN: "return", layout.TAIL_CHAIN: "tail_chain"}
_SITE_REASONS = {MISALIGNED: "misaligned", QUOTIENT: "divide", layout.SLEEP: "sleep"} | dict.fromkeys(_EXCEPTIONS, "exception")
_IN_IT = int(Flag.IN_IT)  # an int is several times faster than the flag
_MOST_KNOWN = 20_000  # prices of streams that are kept

Stream = tuple[int, int, bool, bool, bytes]  # start, end, taken, entered, events


def steps(instructions: Mapping[int, Instruction], start: int, end: int, events: bytes, memories: Mapping[int, int] | None = None) -> list[Step]:
    """The instructions of a stream from its first to its last address, with what its events say of them.

    memories: the machine's number of a memory -> the number to give it (Placed.identity).
    """
    memories = memories or {}
    found, at, event = [], start, 0
    while True:
        instruction = instructions[at]
        skipped, memory = False, -1
        if instruction.flags & _IN_IT:
            skipped = events[event] == SKIPPED
            assert skipped or events[event] == EXECUTED, "stream events out of step"
            event += 1
        if instruction.accesses and not skipped:
            memory = memories.get(events[event], events[event])
            event += 1
        found.append(Step(instruction, skipped, memory))
        if at == end:
            return found
        at += instruction.size


class Prices:
    """Prices of one program's streams and sites on one core with one board's memories; a distinct stream is priced when it is first asked for.

    known: prices that are known, and where those that are found are kept.
    """

    def __init__(self, instructions: Mapping[int, Instruction], core: Core, placed: Placed = ANYWHERE,
                 followers: Sequence[Follower] = (), known: dict[Stream, int] | None = None) -> None:
        self._instructions, self._core, self._placed = instructions, core, placed
        self._two_slots = "dual_issue" in core.sections
        self._branches = predictor.costs(core, followers)
        self._known = {} if known is None else known

    def stream(self, start: int, end: int, taken: bool, entered: bool, events: bytes) -> int:
        """Cycles of one execution of the stream."""
        key = (start, end, taken, entered, events)
        cycles = self._known.get(key)
        if cycles is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            cycles = self._known[key] = sum(self.schedule(*key))
        return cycles

    def schedule(self, start: int, end: int, taken: bool, entered: bool, events: bytes, account: Account | None = None) -> list[int]:
        """Cycles of every instruction of the stream; not kept. account: is told why."""
        return self.scheduled(self.steps(start, end, events), taken, entered, events, account)

    def steps(self, start: int, end: int, events: bytes) -> list[Step]:
        """The instructions of the stream."""
        return steps(self._instructions, start, end, events, self._placed.identity)

    def scheduled(self, walk: Sequence[Step], taken: bool, entered: bool, events: bytes, account: Account | None = None) -> list[int]:
        """Cycles of every instruction of `walk`: a stream's steps, or what could stand in their place."""
        placed = self._placed
        waits = placed.waits(walk) if self._two_slots else ()
        return pipeline.schedule(walk, taken, self._core, entered=entered, bus=placed.bus(), waits=waits, displaced=placed.displaced(walk),
                                 lines=placed.lines(walk[0].instruction.address, events), account=account)

    def explain(self, start: int, end: int, taken: bool, entered: bool, events: bytes) -> list[Why]:
        """Every instruction of the stream: when it issues, what it costs (as `schedule` has it), and why."""
        account = Account()
        return account.whys(self.schedule(start, end, taken, entered, events, account))

    def site_reason(self, kind: int) -> str:
        """What that kind of site is called among explain.REASONS."""
        if kind in _SITE_REASONS:
            return _SITE_REASONS[kind]
        return "mispredicted branch" if kind in self._branches else "cache miss"

    def site(self, kind: int, bucket: int) -> int:
        """Cycles that one count of a site adds to its stream's (0 for what neither this core nor its memories ask of sites)."""
        if kind == MISALIGNED:
            return self._core.misaligned * bucket
        if kind == QUOTIENT:
            return self._core.divide.cycles(bucket) - self._core.cycles["divide"]
        if kind in _EXCEPTIONS:
            return self._core.exception[_EXCEPTIONS[kind]]
        if kind == layout.SLEEP:  # counted in cycles
            return 1
        if kind in self._branches:
            return self._branches[kind].cycles(bucket)
        return self._placed.site(kind, bucket)

    def price(self, counts: Counts) -> np.ndarray:
        """Modelled cycles by layer, int64 (layers + 1,); [0] is the code between layers."""
        total = np.zeros(counts.layers + 1, np.int64)
        for s in counts.streams:
            total[s.layer] += self.stream(s.start, s.end, s.taken, s.entered, s.events) * s.count
        for site in counts.sites:
            total[site.layer] += self.site(site.kind, site.bucket) * site.count
        return total


class _Same:
    """An object as a key that equals itself only."""

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


@functools.lru_cache(maxsize=8)
def _known(instructions: _Same, core: _Same, placed: object) -> dict[Stream, int]:
    """Prices of streams, by what they depend on: the runs of one image share them."""
    return {}


def prices(counts: Counts, instructions: Mapping[int, Instruction], core: Core, memory: Memory | None = None) -> Prices:
    """Of that run. memory: the board's (None: zero wait states). UsageError when the run does not tell what its table asks for."""
    placed = memory.placed(counts.memories, counts.followers) if memory else ANYWHERE
    return Prices(instructions, core, placed, counts.followers, _known(_Same(instructions), _Same(core), placed.of_streams))


def price(counts: Counts, instructions: Mapping[int, Instruction], core: Core, memory: Memory | None = None) -> np.ndarray:
    """Modelled cycles by layer, int64 (layers + 1,); [0] is the code between layers. `prices` keeps what it found."""
    return prices(counts, instructions, core, memory).price(counts)


def fetch_bytes(counts: Counts, instructions: Mapping[int, Instruction]) -> np.ndarray:
    """Bytes of the instructions that were issued, by layer, int64 (layers + 1,): what the program needs, not what prefetch asks for."""
    total = np.zeros(counts.layers + 1, np.int64)
    for stream in counts.streams:
        total[stream.layer] += (stream.end + instructions[stream.end].size - stream.start) * stream.count
    return total
