"""What streams and sites cost, by call context and by the function that the code belongs to: what profiles and call trees add up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

import numpy as np

from emu.functions.numbering import Numbering
from emu.functions.region import Region
from emu.isa.instruction import Flag, Instruction
from emu.probe import Call, Context, Counts, Path, Site, Stream, layout
from emu.timing import pricing

REGION_LAYER = 1
CYCLES = 1  # of a Cost's figures, the only one that sites have
_INSTRUCTIONS, _READ, _WRITTEN = 0, 2, 3
_ENTERING = (layout.EXCEPTION_ENTRY, layout.TAIL_CHAIN)  # sites that belong to the handler, not to where it struck
_Key = tuple[int, int, bool, bool, bytes]


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


def summed(costs: Iterable[Cost]) -> Cost:
    """Figure by figure."""
    return Cost(*map(sum, zip(Cost(), *costs, strict=True)))


class Runs(NamedTuple):
    """How often a stream ran in one layer and context."""

    layer: int
    context: int
    count: int


class Priced(NamedTuple):
    """A distinct stream: addresses of its instructions; by instruction, what one execution costs, int64 (instructions, 4) in the order of
    Cost, and the function that it lies in; where it ran."""

    addresses: list[int]
    costs: np.ndarray
    owners: np.ndarray
    runs: list[Runs]

    def pieces(self) -> list[tuple[int, np.ndarray]]:
        """(function, cost of one execution in it)."""
        if (self.owners == self.owners[0]).all():
            return [(int(self.owners[0]), self.costs.sum(axis=0))]
        return [(int(owner), self.costs[self.owners == owner].sum(axis=0)) for owner in np.unique(self.owners)]

    def falls(self, numbering: Numbering) -> list[tuple[int, int]]:
        """(address, the next one): where execution ran on from one function into the next."""
        return [(before, into) for before, into in pairwise(self.addresses) if numbering.begins(into) and numbering.at(before)]


class SiteCost(NamedTuple):
    """Cycles beside those of streams. function: whose they are; entering: that is an exception's handler, and pc is where it struck."""

    layer: int
    context: int
    pc: int
    function: int
    cycles: int
    entering: bool


@dataclass(frozen=True)
class Scope:
    """What is looked at: all of a run, what a function has called, or what ran in the region's layer."""

    layers: Collection[int]
    contexts: Collection[int]
    begins: Collection[int] = ()  # functions whose call begins the layer
    entries: int | None = None

    @classmethod
    def of(cls, counts: Counts, numbering: Numbering, region: Region | None = None) -> Scope:
        """Of a run that followed `numbering`'s functions, with the region's marks."""
        layers, contexts = range(counts.layers + 1), range(len(counts.contexts))
        if region is None:
            return cls(layers, contexts)
        if region.function is None:
            begins = {numbering.at(address) for address in region.begin if numbering.begins(address)}
            return cls({REGION_LAYER}, contexts, begins, counts.calls[REGION_LAYER])
        function, paths = numbering.at(region.function), on_path(counts)
        inside = {context for context in contexts if function in paths[context]}
        return cls(layers, inside, entries=sum(call.count for call in counts.edges if call.to in inside and call.context not in inside))

    def holds(self, what: Stream | Site) -> bool:
        return what.layer in self.layers and what.context in self.contexts

    def counts(self, call: Call) -> bool:
        """The callee runs inside."""
        return call.to in self.contexts and (call.layer in self.layers or call.function in self.begins)


def followed(counts: Counts) -> Counts:
    """The same, with the one context that a program has of which no function has a name: nothing was followed."""
    return counts if counts.contexts else replace(counts, contexts=(Context(0, 0, 0, 0),), paths=(Path(0, 0),))


def on_path(counts: Counts) -> list[frozenset[int]]:
    """By context: the functions on the stack."""
    paths: list[frozenset[int]] = [frozenset()]
    for parent, function in counts.paths[1:]:
        paths.append(paths[parent] | {function})
    return [paths[context.path] for context in counts.contexts]


def priced(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices, scope: Scope) -> Iterator[Priced]:
    """Every distinct stream of the scope, priced once."""
    for key, same in groupby(sorted(filter(scope.holds, counts.streams), key=_key), _key):
        addresses, costs = _steps(instructions, prices, key)
        if numbering.whole(addresses[0], addresses[-1]):
            owners = np.full(len(addresses), numbering.at(addresses[0]))
        else:
            owners = np.array([numbering.at(address) for address in addresses])
        yield Priced(addresses, costs, owners, [Runs(stream.layer, stream.context, stream.count) for stream in same])


def sites(counts: Counts, numbering: Numbering, prices: Prices, scope: Scope) -> Iterator[SiteCost]:
    """Every site of the scope that costs something; at an instruction, or, of exceptions, of the handler."""
    for site in filter(scope.holds, counts.sites):
        if cycles := prices.site(site.kind, site.bucket) * site.count:
            running, entering = counts.contexts[site.context].function, site.kind in _ENTERING
            function = running if entering else numbering.at(site.pc) or running
            yield SiteCost(site.layer, site.context, site.pc, function, cycles, entering)


def _key(stream: Stream) -> _Key:
    """What a stream's price depends on."""
    return stream.start, stream.end, stream.taken, stream.entered, stream.events


def _steps(instructions: Mapping[int, Instruction], prices: Prices, key: _Key) -> tuple[list[int], np.ndarray]:
    """Addresses of a stream's instructions, and what each costs once: int64 (instructions, 4)."""
    start, end, _, _, events = key
    steps = pricing.steps(instructions, start, end, events)
    costs = np.zeros((len(steps), len(Cost._fields)), np.int64)
    costs[:, _INSTRUCTIONS] = 1
    costs[:, CYCLES] = prices.schedule(*key)
    for cost, (instruction, skipped, _) in zip(costs, steps, strict=True):
        if instruction.accesses and not skipped:
            cost[_WRITTEN if instruction.flags & Flag.STORE else _READ] = instruction.accesses * instruction.access_size
    return [step.instruction.address for step in steps], costs
