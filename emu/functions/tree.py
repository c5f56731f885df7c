"""The call tree of a run: what code cost by the functions on the stack and by place, and what every call cost with all that it called.

All of it adds up to the run, exactly. A stack holds functions in the order in which they were first called, and behind them the one that
runs, so recursion is one level deep however deep it went. Interrupts stand on a stack of their own.

A call's inclusive figures are those of the callee's part of the tree. Calls of one function from several places of another share that part:
it is split by how often each called. A recursive call has none, since all that it cost belongs to the call that came first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from emu.functions import costs
from emu.functions.costs import CYCLES, Cost, Prices, Scope, summed
from emu.functions.numbering import Numbering
from emu.functions.region import Region
from emu.isa.instruction import Instruction
from emu.probe import Call as Edge
from emu.probe import Counts

NOTHING = Cost()
_Item = TypeVar("_Item")


class Call(NamedTuple):
    """Calls from one place; functions by number. kind: "call", "tail" (a jump), "fall" (execution ran on into the next function).

    inclusive: of all of them together, with what was called; nothing of recursive calls.
    """

    caller: int
    callee: int
    kind: str
    pc: int
    count: int
    inclusive: Cost


class Visit(NamedTuple):
    """A walk through the tree enters a node, or leaves it. at: what the walk has passed so far; own, total: of the node, alone and with its
    children."""

    function: int
    enters: bool
    at: Cost
    own: Cost
    total: Cost


@dataclass(frozen=True)
class Tree:
    """names, addresses: of functions, by number. parents, functions: of nodes; node 0 is nobody, and a parent has a smaller number.

    own: by layer and node. places: own costs by function and address; what an exception cost to enter stands where its handler begins.
    calls: by caller and place; exceptions and starts have no caller. complete: False when there were more call paths than the probe keeps:
    stacks are then shorter than they were, and calls too few.
    """

    names: tuple[str, ...]
    addresses: tuple[int, ...]
    parents: tuple[int, ...]
    functions: tuple[int, ...]
    own: Mapping[tuple[int, int], Cost]
    places: Mapping[tuple[int, int], Cost]
    calls: tuple[Call, ...]
    complete: bool

    @cached_property
    def totals(self) -> Cost:
        """Of all that is looked at."""
        return summed(self.own.values())

    def total(self, layer: int) -> Cost:
        """Of one layer."""
        return summed(cost for (number, _), cost in self.own.items() if number == layer)

    def walk(self, layer: int, start: Cost = NOTHING) -> Iterator[Visit]:
        """Through one layer's part, depth first: a node's own cost before its children's, which stand in the order of their first calls.

        It begins where something ran: functions that only stand above all of it are left out. start: what had been passed before.
        """
        own, total = self._sums(layer)
        children: dict[int, list[int]] = defaultdict(list)
        for node in range(len(self.parents) - 1, 0, -1):  # the first called on top of the stack
            if total[node].any():
                children[self.parents[node]].append(node)
        at, top = np.array(start), 0
        while not own[top].any() and len(children[top]) == 1:
            top = children[top][0]
        pending = [(node, True) for node in (children[0] if top == 0 else [top])]
        while pending:
            node, enters = pending.pop()
            yield Visit(self.functions[node], enters, _cost(at), _cost(own[node]), _cost(total[node]))
            if enters:
                at = at + own[node]
                pending += [(node, False), *((child, True) for child in children[node])]

    def _sums(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """int64 (nodes, 4) each: own, and with children."""
        own = np.zeros((len(self.parents), len(Cost._fields)), np.int64)
        for (number, node), cost in self.own.items():
            if number == layer:
                own[node] += cost
        total = own.copy()
        for node in range(len(self.parents) - 1, 0, -1):
            total[self.parents[node]] += total[node]
        return own, total


def tree(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering, prices: Prices,
         region: Region | None = None) -> Tree:
    """Of a run that followed `numbering`'s functions; with a region, of what ran inside. `prices` are for the core and the memories."""
    counts = costs.followed(counts)
    scope, growing = Scope.of(counts, numbering, region), _Growing(counts, numbering)
    for stream in costs.priced(counts, instructions, numbering, prices, scope):
        growing.add_stream(stream)
    for site in costs.sites(counts, numbering, prices, scope):
        growing.add_site(site)
    calls = _Calls(counts, growing)
    calls.add_edges([edge for edge in counts.edges if edge.kind in ("call", "tail") and scope.counts(edge)])
    calls.add_falls()
    return Tree(numbering.names, growing.addresses, tuple(growing.parents), tuple(growing.functions), _costs(growing.own),
                _costs(growing.places), calls.sorted(), not counts.folded)


class _Growing:
    """Sums are int64 (4,), in the order of Cost. own: by layer and node; by_context: by context and function; falls: how often execution
    ran on from one address into another function, by context."""

    def __init__(self, counts: Counts, numbering: Numbering) -> None:
        self._counts, self.numbering = counts, numbering
        self.parents, self.functions = [path.parent for path in counts.paths], [path.function for path in counts.paths]
        self.addresses = (0, *(symbol.address for symbol in numbering.functions))
        self.own, self.by_context, self.places = _sums(), _sums(), _sums()
        self.falls: Counter[tuple[int, int, int]] = Counter()
        self._nodes: dict[tuple[int, int], int] = {}

    def add_stream(self, stream: costs.Priced) -> None:
        """Code without a name belongs to the function that runs."""
        pieces = stream.pieces()
        falls = stream.falls(self.numbering) if len(pieces) > 1 else []
        times: Counter[int] = Counter()
        for run in stream.runs:
            running = self._counts.contexts[run.context].function
            times[running] += run.count
            for owner, cost in pieces:
                self._add(run.layer, run.context, owner or running, cost * run.count)
            for fall in falls:
                self.falls[run.context, *fall] += run.count
        for running, count in times.items():
            for address, owner, cost in zip(stream.addresses, stream.owners.tolist(), stream.costs * count, strict=True):
                self.places[owner or running, address] += cost

    def add_site(self, site: costs.SiteCost) -> None:
        cost = np.zeros(len(Cost._fields), np.int64)
        cost[CYCLES] = site.cycles
        self._add(site.layer, site.context, site.function, cost)
        self.places[site.function, self.addresses[site.function] if site.entering else site.pc] += cost

    def _add(self, layer: int, context: int, function: int, cost: np.ndarray) -> None:
        path, running = self._counts.contexts[context].path, self._counts.contexts[context].function
        node = path if self.functions[path] == running and path else self._node(path, running)
        self.own[layer, node if function == running else self._node(node, function)] += cost
        self.by_context[context, function] += cost

    def _node(self, parent: int, function: int) -> int:
        """A node that is no path of the probe's: what runs again while it is on the stack, or was not called."""
        found = self._nodes.setdefault((parent, function), len(self.parents))
        if found == len(self.parents):
            self.parents.append(parent)
            self.functions.append(function)
        return found


class _Calls:
    """What was called from where, with its share of the callee's part of the tree. below: what was called, by context and caller."""

    def __init__(self, counts: Counts, grown: _Growing) -> None:
        self._counts, self._grown = counts, grown
        self._times: Counter[tuple[int, int, str, int]] = Counter()
        self._inclusive, self._below = _sums(), _sums()
        self._paths = np.zeros((len(counts.paths), len(Cost._fields)), np.int64)  # with all that was called on them
        for (context, _), cost in grown.by_context.items():
            self._paths[counts.contexts[context].path] += cost
        for path in range(len(counts.paths) - 1, 0, -1):
            self._paths[counts.paths[path].parent] += self._paths[path]

    def add_edges(self, edges: Sequence[Edge]) -> None:
        for path, same in _grouped(edges, self._begun):
            for edge, part in zip(same, _split(self._paths[path] if path else None, [edge.count for edge in same]), strict=True):
                caller = self._grown.numbering.at(edge.pc) or self._counts.contexts[edge.context].function
                self._add((caller, edge.function, edge.kind, edge.pc), edge.context, edge.count, part)

    def add_falls(self) -> None:
        """After all edges; the last function that was run on into first, since it is part of the one before."""
        at, falls = self._grown.numbering.at, self._grown.falls
        for (context, back), same in _grouped(falls, lambda fall: (fall[0], -fall[2])):
            callee = at(-back)
            cost = None if self._on_stack(context, callee) else self._grown.by_context[context, callee] + self._below[context, callee]
            for fall, part in zip(same, _split(cost, [falls[fall] for fall in same]), strict=True):
                self._add((at(fall[1]), callee, "fall", fall[1]), context, falls[fall], part)

    def sorted(self) -> tuple[Call, ...]:
        return tuple(sorted(Call(*key, count, _cost(self._inclusive[key])) for key, count in self._times.items()))

    def _add(self, key: tuple[int, int, str, int], context: int, count: int, part: np.ndarray) -> None:
        self._times[key] += count
        self._inclusive[key] += part
        self._below[context, key[0]] += part

    def _begun(self, edge: Edge) -> int:
        """The path that the callee begins; 0 where it was on the stack already."""
        path = self._counts.contexts[edge.to].path
        return path if self._counts.paths[path].parent == self._counts.contexts[edge.context].path else 0

    def _on_stack(self, context: int, function: int) -> bool:
        path = self._counts.contexts[context].path
        while path and self._counts.paths[path].function != function:
            path = self._counts.paths[path].parent
        return bool(path)


def _grouped(items: Iterable[_Item], key: Callable[[_Item], Any]) -> list[tuple[Any, list[_Item]]]:
    """(key, items that have it), sorted by it."""
    return [(of, list(same)) for of, same in groupby(sorted(items, key=key), key)]


def _split(total: np.ndarray | None, counts: Sequence[int]) -> list[np.ndarray]:
    """The total in whole parts, as the counts are to each other; what does not divide goes to the later ones. None: nothing to split."""
    if total is None:
        return [np.zeros(len(Cost._fields), np.int64)] * len(counts)
    whole, passed = sum(counts), [0, *accumulate(counts)]
    return [np.array([figure * after // whole - figure * before // whole for figure in total.tolist()])  # Python's integers: no overflow
            for before, after in pairwise(passed)]


def _sums() -> defaultdict:
    return defaultdict(lambda: np.zeros(len(Cost._fields), np.int64))


def _costs(sums: Mapping) -> dict:
    return {key: _cost(cost) for key, cost in sums.items()}


def _cost(figures: np.ndarray) -> Cost:
    return Cost(*figures.tolist())
