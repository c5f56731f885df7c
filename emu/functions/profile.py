"""What each function cost, with its callees and without: streams, priced, by the function that they lie in and by who was on the stack.

A function's own figures add up to the run's totals, exactly. Its inclusive ones are the sum over the call paths that hold it, so
recursion counts once. Interrupts stand on an empty path: what a handler cost is nobody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

import numpy as np

from emu.build.elf import Image
from emu.functions.numbering import Numbering
from emu.functions.region import Region
from emu.isa.instruction import Flag, Instruction
from emu.probe import Call, Context, Counts, Path, Site, Stream, layout
from emu.timing import pricing
from emu.timing.memory import DEFAULT

REGION_LAYER = 1
_ENTERING = (layout.EXCEPTION_ENTRY, layout.TAIL_CHAIN)  # sites that belong to the handler, not to where it struck
_Key = tuple[int, int, bool, bool, bytes]
_INSTRUCTIONS, _CYCLES, _READ, _WRITTEN = range(4)


class Prices(Protocol):
    """Of emu.timing.pricing: cycles of every instruction of a stream, and of one count of a site."""

    def schedule(self, start: int, end: int, taken: bool, entered: bool, events: bytes) -> Sequence[int]: ...

    def site(self, kind: int, bucket: int) -> int: ...


class Cost(NamedTuple):
    """Instructions as issued (skipped ones included), modelled cycles, bytes."""

    instructions: int = 0
    cycles: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True)
class Function:
    """One function. name: as the source has it; symbol: as the linker knows it ("" where none names the code).

    own: of its code alone; inclusive: with all that it called, while it was on the stack (tail calls included).
    own_stack, stack: bytes below the stack pointer at its call, the most, without and with what it called.
    """

    name: str
    symbol: str
    address: int
    calls: int
    own: Cost
    inclusive: Cost
    own_stack: int
    stack: int


class CallSite(NamedTuple):
    """Calls from one place. caller "" : nobody ("start"). line: file:line, where it is known.

    kind: "call", "tail" (a jump), "handler" (an exception struck there), "fall" (execution ran on into the next function), "start".
    """

    caller: str
    callee: str
    kind: str
    pc: int
    line: str | None
    count: int


class Line(NamedTuple):
    """A line of source (None: the instructions that no line is known of) and the function that it was compiled into."""

    line: str | None
    function: str
    cost: Cost


@dataclass(frozen=True)
class FunctionProfile:
    """functions: that ran, by their own cycles, the dearest first. entries: how often the region was entered; None for a whole run.

    complete: False when there were more call paths than the probe keeps: inclusive figures and calls are then lower bounds.
    """

    core: str
    memory: str
    functions: tuple[Function, ...]
    calls: tuple[CallSite, ...]
    lines: tuple[Line, ...]
    totals: Cost
    region: Region | None = None
    entries: int | None = None
    complete: bool = True


@dataclass(frozen=True)
class _Scope:
    """What a profile is about: all of a run, what a function has called, or what ran in the region's layer."""

    layers: Collection[int]
    contexts: Collection[int]
    begins: Collection[int] = ()  # functions whose call begins the layer
    entries: int | None = None

    @classmethod
    def of(cls, counts: Counts, numbering: Numbering, on_path: list[frozenset[int]], region: Region | None) -> _Scope:
        layers, contexts = range(counts.layers + 1), range(len(counts.contexts))
        if region is None:
            return cls(layers, contexts)
        if region.function is None:
            begins = {numbering.at(address) for address in region.begin if numbering.begins(address)}
            return cls({REGION_LAYER}, contexts, begins, counts.calls[REGION_LAYER])
        function = numbering.at(region.function)
        inside = {context for context in contexts if function in on_path[context]}
        return cls(layers, inside, entries=sum(call.count for call in counts.edges if call.to in inside and call.context not in inside))

    def holds(self, what: Stream | Site) -> bool:
        return what.layer in self.layers and what.context in self.contexts

    def counts(self, call: Call) -> bool:
        """The callee runs inside."""
        return call.to in self.contexts and (call.layer in self.layers or call.function in self.begins)


class _Piece(NamedTuple):
    """What one execution of a stream costs in one function."""

    function: int
    cost: np.ndarray  # int64 (4,), in the order of Cost


@dataclass
class _Sums:
    """int64 (..., 4), in the order of Cost."""

    own: np.ndarray  # by function
    apart: np.ndarray  # by function, where it ran without being on its context's path
    contexts: np.ndarray
    places: dict[int, np.ndarray] = field(default_factory=dict)  # by address


def profile(counts: Counts, image: Image, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices, core: str,
            memory: str = DEFAULT, *, region: Region | None = None, lines: bool = True) -> FunctionProfile:
    """Of a run that followed `numbering`'s functions; with a region, of what ran inside. `prices` are for that core and those memories.

    lines: False leaves lines of source out, for which all of the debug information is read, once an image.
    """
    if not counts.contexts:  # no function has a name: nothing to follow
        counts = replace(counts, contexts=(Context(0, 0, 0, 0),), paths=(Path(0, 0),))
    on_path = _on_path(counts)
    scope = _Scope.of(counts, numbering, on_path, region)
    sums, falls = _priced(counts, instructions, numbering, prices, scope, on_path)
    inclusive = _inclusive(counts, len(sums.own), sums)
    calls = _calls(counts, numbering, scope, falls)
    made: Counter[int] = Counter()
    for (_, callee, _, _), count in calls.items():
        made[callee] += count
    stacks = _stacks(counts, {s.context for s in counts.streams if scope.holds(s)})
    functions = [_function(numbering, number, made[number], sums.own[number], inclusive[number], stacks.get(number, (0, 0)))
                 for number in range(len(sums.own)) if made[number] or sums.own[number].any()]
    return FunctionProfile(
        core, memory, tuple(sorted(functions, key=lambda f: (-f.own.cycles, f.name))), _sites(image if lines else None, numbering, calls),
        _lines(image, numbering, sums.places) if lines else (), Cost(*sums.own.sum(axis=0).tolist()), region, scope.entries, not counts.folded)


def _function(numbering: Numbering, number: int, calls: int, own: np.ndarray, inclusive: np.ndarray, stack: tuple[int, int]) -> Function:
    symbol = numbering.functions[number - 1] if number else None
    return Function(numbering.names[number], symbol.name if symbol else "", symbol.address if symbol else 0, calls, Cost(*own.tolist()),
                    Cost(*inclusive.tolist()), *stack)


# --- costs ---


def _priced(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices, scope: _Scope,
            on_path: list[frozenset[int]]) -> tuple[_Sums, dict[tuple[int, int], int]]:
    """Sums, and how often execution fell from one address into a function at another: {(from, into): times}."""
    size = len(numbering.functions) + 1
    sums = _Sums(*(np.zeros((rows, 4), np.int64) for rows in (size, size, len(counts.contexts))))
    falls: dict[tuple[int, int], int] = {}
    for key, same in groupby(sorted(filter(scope.holds, counts.streams), key=_key), _key):
        addresses, costs = _steps(instructions, prices, key)
        pieces, times = _pieces(numbering, addresses, costs), 0
        for stream in same:
            times += stream.count
            _add(sums, pieces, stream, counts.contexts[stream.context].function, on_path[stream.context])
        for address, cost in zip(addresses, costs * times, strict=True):
            sums.places[address] = sums.places[address] + cost if address in sums.places else cost
        if len(pieces) > 1:
            for before, into in pairwise(addresses):
                if numbering.begins(into) and numbering.at(before):
                    falls[before, into] = falls.get((before, into), 0) + times
    _add_sites(counts, numbering, prices, scope, sums, on_path)
    return sums, falls


def _key(stream: Stream) -> _Key:
    """What a stream's price depends on."""
    return stream.start, stream.end, stream.taken, stream.entered, stream.events


def _steps(instructions: Mapping[int, Instruction], prices: Prices, key: _Key) -> tuple[list[int], np.ndarray]:
    """Addresses of a stream's instructions, and what each costs once: int64 (instructions, 4)."""
    start, end, _, _, events = key
    steps = pricing.steps(instructions, start, end, events)
    costs = np.zeros((len(steps), 4), np.int64)
    costs[:, _INSTRUCTIONS] = 1
    costs[:, _CYCLES] = prices.schedule(*key)
    for cost, (instruction, skipped, _) in zip(costs, steps, strict=True):
        if instruction.accesses and not skipped:
            cost[_WRITTEN if instruction.flags & Flag.STORE else _READ] = instruction.accesses * instruction.access_size
    return [step.instruction.address for step in steps], costs


def _pieces(numbering: Numbering, addresses: list[int], costs: np.ndarray) -> list[_Piece]:
    if numbering.whole(addresses[0], addresses[-1]):
        return [_Piece(numbering.at(addresses[0]), costs.sum(axis=0))]
    owners = np.array([numbering.at(address) for address in addresses])
    return [_Piece(int(owner), costs[owners == owner].sum(axis=0)) for owner in np.unique(owners)]


def _add(sums: _Sums, pieces: list[_Piece], stream: Stream, running: int, on_path: frozenset[int]) -> None:
    """`running`: the function that code without a name belongs to."""
    for owner, cost in pieces:
        function, total = owner or running, cost * stream.count
        sums.own[function] += total
        sums.contexts[stream.context] += total
        if function not in on_path:
            sums.apart[function] += total


def _add_sites(counts: Counts, numbering: Numbering, prices: Prices, scope: _Scope, sums: _Sums, on_path: list[frozenset[int]]) -> None:
    """Only cycles; at an instruction, or, of exceptions, of the handler."""
    for site in filter(scope.holds, counts.sites):
        cycles = prices.site(site.kind, site.bucket) * site.count
        if not cycles:
            continue
        running = counts.contexts[site.context].function
        function = running if site.kind in _ENTERING else numbering.at(site.pc) or running
        sums.own[function, _CYCLES] += cycles
        sums.contexts[site.context, _CYCLES] += cycles
        if function not in on_path[site.context]:
            sums.apart[function, _CYCLES] += cycles
        place = sums.places.setdefault(site.pc, np.zeros(4, np.int64))
        place[_CYCLES] += cycles


def _on_path(counts: Counts) -> list[frozenset[int]]:
    """By context: the functions on the stack."""
    paths: list[frozenset[int]] = [frozenset()]
    for parent, function in counts.paths[1:]:
        paths.append(paths[parent] | {function})
    return [paths[context.path] for context in counts.contexts]


def _inclusive(counts: Counts, functions: int, sums: _Sums) -> np.ndarray:
    """int64 (functions, 4): the cost of the contexts whose path holds the function. A path's parent has a smaller number."""
    paths = np.zeros((len(counts.paths), 4), np.int64)
    for context, cost in zip(counts.contexts, sums.contexts, strict=True):
        paths[context.path] += cost
    total = np.zeros((functions, 4), np.int64)
    for number in range(len(counts.paths) - 1, 0, -1):
        parent, function = counts.paths[number]
        paths[parent] += paths[number]
        total[function] += paths[number]
    return total + sums.apart


# --- stack ---


def _stacks(counts: Counts, contexts: Iterable[int]) -> dict[int, tuple[int, int]]:
    """By function that ran in these contexts: bytes of stack, the most, without and with its callees."""
    stacks = [max(context.stack, context.own_stack) for context in counts.contexts]
    tails = [(call.context, call.to) for call in counts.edges if call.kind == "tail"]
    changed = True
    while changed:  # what a function left the rest to stands on the same stack
        changed = False
        for caller, callee in tails:
            if stacks[callee] > stacks[caller]:
                stacks[caller], changed = stacks[callee], True
    found: dict[int, tuple[int, int]] = {}
    for number in contexts:
        function, own = counts.contexts[number].function, counts.contexts[number].own_stack
        most = found.get(function, (0, 0))
        found[function] = max(own, most[0]), max(stacks[number], most[1])
    return found


# --- calls and lines ---


def _calls(counts: Counts, numbering: Numbering, scope: _Scope, falls: Mapping[tuple[int, int], int]) -> Counter[tuple[int, int, str, int]]:
    """(pc, callee, kind, caller) -> times; the caller of "start" is -1."""
    found: Counter[tuple[int, int, str, int]] = Counter()
    for call in filter(scope.counts, counts.edges):
        caller = -1 if call.kind == "start" else numbering.at(call.pc) or counts.contexts[call.context].function
        found[call.pc, call.function, call.kind, caller] += call.count
    for (before, into), times in falls.items():
        found[before, numbering.at(into), "fall", numbering.at(before)] += times
    return found


def _sites(image: Image | None, numbering: Numbering, calls: Counter[tuple[int, int, str, int]]) -> tuple[CallSite, ...]:
    lines = image.source_lines([pc for pc, *_ in calls]) if image else [None] * len(calls)
    return tuple(sorted(CallSite(numbering.names[caller] if caller >= 0 else "", numbering.names[callee], kind, pc, line, count)
                        for ((pc, callee, kind, caller), count), line in zip(calls.items(), lines, strict=True)))


def _lines(image: Image, numbering: Numbering, places: Mapping[int, np.ndarray]) -> tuple[Line, ...]:
    """The dearest first. A line that was compiled into several functions is there once in each."""
    sums: dict[tuple[str | None, int], np.ndarray] = {}
    for (address, cost), line in zip(places.items(), image.source_lines(list(places)), strict=True):
        key = line, numbering.at(address)
        sums[key] = sums[key] + cost if key in sums else cost
    lines = [Line(line, numbering.names[function], Cost(*cost.tolist())) for (line, function), cost in sums.items()]
    return tuple(sorted(lines, key=lambda row: (-row.cost.cycles, row.line or "", row.function)))
