"""Loops of the code that ran, found in its streams: where execution goes round in a circle inside one function (calls count as straight on).

A circle that is entered at one place is a loop. Without the ways back to that place, what still goes round are the loops inside it. One that is
entered at several is taken to begin at the lowest address to which a branch leads back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from emu.functions.numbering import Numbering
from emu.isa.instruction import Flag, Instruction
from emu.probe import Counts
from emu.timing.roles import roles

_BRANCH, _LOADS_PC = int(Flag.BRANCH), int(Flag.LOADS_PC)
_SP, _LR = 13, 1 << 14
_Edges = dict[int, set[int]]


@dataclass(frozen=True)
class Loop:
    """A loop of the function of that number (Numbering; 0: code without a name).

    head: the lowest address that every way round passes and to which a branch of its own leads back; where there is none, where it is entered.
    addresses: its instructions that ran, sorted, without what they call. iterations: times that the head was reached, `entries` of them from
    outside. depth: 0 for one that is in no other.
    """

    function: int
    head: int
    addresses: tuple[int, ...]
    iterations: int
    entries: int
    depth: int

    @property
    def end(self) -> int:
        """Address of the last instruction."""
        return self.addresses[-1]


@dataclass(frozen=True)
class _Flow:
    """Where execution went. executed: times of each address; times: of each step from one to another; edges: where it went on from each address, by
    branches whose targets nobody knows, too; begins: where it may have come from elsewhere."""

    executed: Counter[int]
    times: Counter[tuple[int, int]]
    edges: _Edges
    begins: set[int]


def loops(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering) -> list[Loop]:
    """All of them, by function and head; an outer one ahead of those inside it."""
    flow = _flow(counts, instructions, numbering)
    members: dict[int, set[int]] = defaultdict(set)
    for address in flow.executed:
        members[numbering.at(address)].add(address)
    found = []
    for function, addresses in members.items():
        ways = {address: flow.edges[address] & addresses for address in addresses}
        for head, body, depth in _nested(ways, _reversed(ways), flow.begins, addresses, 0):
            back = sum(flow.times[address, head] for address in body)
            found.append(Loop(function, head, tuple(sorted(body)), flow.executed[head], flow.executed[head] - back, depth))
    return sorted(found, key=lambda loop: (loop.function, loop.depth, loop.head))


def _flow(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering) -> _Flow:
    executed: Counter[int] = Counter()
    times: Counter[tuple[int, int]] = Counter()
    arrived: set[int] = set()
    indirect: set[int] = set()
    for (start, end, leaves), count in _straight(counts).items():
        arrived.add(start)
        at = start
        while at != end:
            executed[at] += count
            times[at, at := at + instructions[at].size] += count
        executed[end] += count
        target = _target(last := instructions[end], leaves)
        if target is not None or _goes_on(last, leaves):
            times[end, end + last.size if target is None else target] += count
        elif not _returns(last):
            indirect.add(end)
    edges: _Edges = defaultdict(set)
    for before, behind in times:
        edges[before].add(behind)
    begins = {address for address in arrived if numbering.begins(address)}
    unexplained = arrived - {behind for _, behind in times} - begins
    for address in indirect:
        edges[address] |= {place for place in unexplained if numbering.at(place) == numbering.at(address)}
    return _Flow(executed, times, edges, begins)


def _target(last: Instruction, leaves: bool) -> int | None:
    """Where the branch at a stream's end leads, when that stands in it and it is no call."""
    if not leaves or not last.flags & _BRANCH or _calls(last):
        return None
    target = roles(last).target
    return target if target >= 0 else None


def _goes_on(last: Instruction, leaves: bool) -> bool:
    """What is behind a stream's end in memory is behind it in time, too: it was cut there, or a call came back."""
    return not leaves or not last.flags & _BRANCH or _calls(last)


def _calls(branch: Instruction) -> bool:
    return bool(branch.writes & _LR) and not branch.flags & _LOADS_PC


def _returns(branch: Instruction) -> bool:
    """From a function: by LR, or from the stack."""
    return branch.base == _SP if branch.flags & _LOADS_PC else branch.kind == "branch_register" and bool(branch.reads & _LR)


def _straight(counts: Counts) -> Counter[tuple[int, int, bool]]:
    """Times of every (start, end, taken): what else tells streams apart does not matter here."""
    found: Counter[tuple[int, int, bool]] = Counter()
    for stream in counts.streams:
        found[stream.start, stream.end, stream.taken] += stream.count
    return found


def _nested(edges: _Edges, sources: _Edges, begins: Collection[int], addresses: Iterable[int], depth: int) -> Iterator[tuple[int, set[int], int]]:
    """(head, addresses, depth) of the loops among those addresses, outer ones first. sources: the edges of the whole function, backwards."""
    for body in _circles(edges, addresses):
        entries = [address for address in body if address in begins or sources[address] - body]
        back = {(address, target) for address in body for target in edges[address] & body if target <= address}
        entry = entries[0] if len(entries) == 1 else min(target for _, target in back)
        inside = list(_nested(_without(edges, body, entry), sources, begins, body, depth + 1))
        inner = [addresses for _, addresses, _ in inside]
        own = sorted({target for address, target in back if not any(address in one and target in one for one in inner)})
        head = next((target for target in own if len(own) == 1 or all(any(circle <= one for one in inner)
                                                                      for circle in _circles(_without(edges, body, target), body))), entry)
        yield head, body, depth
        yield from inside


def _without(edges: _Edges, body: set[int], target: int) -> _Edges:
    """The edges inside a body, but for those to one address."""
    return {address: edges[address] & body - {target} for address in body}


def _reversed(edges: _Edges) -> _Edges:
    backwards: _Edges = defaultdict(set)
    for address, targets in edges.items():
        for target in targets:
            backwards[target].add(address)
    return backwards


def _circles(edges: _Edges, addresses: Iterable[int]) -> Iterator[set[int]]:
    """The strongly connected components that hold an edge (Kosaraju's algorithm)."""
    backwards = _reversed(edges)
    order: list[int] = []
    seen: set[int] = set()
    for address in addresses:
        _visit(edges, address, seen, order)
    seen = set()
    for address in reversed(order):
        component: list[int] = []
        _visit(backwards, address, seen, component)
        if len(component) > 1 or (component and address in edges[address]):
            yield set(component)


def _visit(edges: _Edges, root: int, seen: set[int], left: list[int]) -> None:
    """Appends what is reached from there and was not seen, each behind all that it leads to."""
    if root in seen:
        return
    seen.add(root)
    under_way = [(root, iter(edges.get(root, ())))]
    while under_way:
        address, targets = under_way[-1]
        target = next((target for target in targets if target not in seen), None)
        if target is None:
            left.append(address)
            under_way.pop()
        else:
            seen.add(target)
            under_way.append((target, iter(edges.get(target, ()))))
