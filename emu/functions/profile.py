"""What each function cost, with its callees and without: streams, priced, by the function that they lie in and by who was on the stack.

A function's own figures add up to the run's totals, exactly. Its inclusive ones are the sum over the call paths that hold it, so
recursion counts once. Interrupts stand on an empty path: what a handler cost is nobody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from emu.build.elf import Image
from emu.functions import costs
from emu.functions.costs import Cost, Prices, Scope
from emu.functions.numbering import Numbering
from emu.functions.region import Region
from emu.isa.instruction import Instruction
from emu.probe import Counts
from emu.timing.memory import DEFAULT


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


@dataclass
class _Sums:
    """int64 (..., 4), in the order of Cost."""

    own: np.ndarray  # by function
    apart: np.ndarray  # by function, where it ran without being on its context's path
    contexts: np.ndarray
    places: dict[int, np.ndarray] = field(default_factory=dict)  # by address

    def add(self, function: int, context: int, cost: np.ndarray, on_path: list[frozenset[int]]) -> None:
        self.own[function] += cost
        self.contexts[context] += cost
        if function not in on_path[context]:
            self.apart[function] += cost


def profile(counts: Counts, image: Image, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices, core: str,
            memory: str = DEFAULT, *, region: Region | None = None, lines: bool = True) -> FunctionProfile:
    """Of a run that followed `numbering`'s functions; with a region, of what ran inside. `prices` are for that core and those memories.

    lines: False leaves lines of source out, for which all of the debug information is read, once an image.
    """
    counts = costs.followed(counts)
    on_path = costs.on_path(counts)
    scope = Scope.of(counts, numbering, region)
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


def _priced(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices, scope: Scope,
            on_path: list[frozenset[int]]) -> tuple[_Sums, dict[tuple[int, int], int]]:
    """Sums, and how often execution fell from one address into a function at another: {(from, into): times}."""
    size = len(numbering.functions) + 1
    sums = _Sums(*(np.zeros((rows, 4), np.int64) for rows in (size, size, len(counts.contexts))))
    falls: dict[tuple[int, int], int] = {}
    for stream in costs.priced(counts, instructions, numbering, prices, scope):
        pieces, times = stream.pieces(), sum(run.count for run in stream.runs)
        for run in stream.runs:
            for owner, cost in pieces:  # code without a name belongs to the function that runs
                sums.add(owner or counts.contexts[run.context].function, run.context, cost * run.count, on_path)
        for address, cost in zip(stream.addresses, stream.costs * times, strict=True):
            sums.places[address] = sums.places[address] + cost if address in sums.places else cost
        for before, into in stream.falls(numbering) if len(pieces) > 1 else ():
            falls[before, into] = falls.get((before, into), 0) + times
    for site in costs.sites(counts, numbering, prices, scope):
        cost = np.array(Cost(cycles=site.cycles))
        sums.add(site.function, site.context, cost, on_path)
        sums.places[site.pc] = sums.places.get(site.pc, 0) + cost
    return sums, falls


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


def _calls(counts: Counts, numbering: Numbering, scope: Scope, falls: Mapping[tuple[int, int], int]) -> Counter[tuple[int, int, str, int]]:
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
