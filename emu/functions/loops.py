"""Loops of the code that ran, found in its streams: where the taken branches of one function lead round in a circle.

A loop is everything that lies on a circle of execution inside one function (calls count as straight on); its head is the lowest
address to which a taken branch leads back. Without the ways back to its head, what still goes round are the loops inside it.
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

    head: where its iterations begin; addresses: its instructions that ran, sorted, without what they call. iterations: times that the head was
    reached, `entries` of them from outside. depth: 0 for one that is in no other.
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


def loops(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering) -> list[Loop]:
    """All of them, by function and head; an outer one ahead of those inside it."""
    executed, taken, edges = _graph(counts, instructions, numbering)
    members: dict[int, set[int]] = defaultdict(set)
    for address in executed:
        members[numbering.at(address)].add(address)
    found = []
    for function, addresses in members.items():
        ways = {address: edges[address] & addresses for address in addresses}
        for head, body, depth in _nested(ways, addresses, 0):
            back = sum(taken[address, head] for address in body)
            found.append(Loop(function, head, tuple(sorted(body)), executed[head], executed[head] - back, depth))
    return sorted(found, key=lambda loop: (loop.function, loop.head, loop.depth))


def _graph(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering) -> tuple[Counter[int], Counter[tuple[int, int]], _Edges]:
    """Times that every address executed; times that a taken branch led from one to another; where execution went on from each address."""
    executed: Counter[int] = Counter()
    taken: Counter[tuple[int, int]] = Counter()
    edges: _Edges = defaultdict(set)
    arrived: set[int] = set()
    indirect: set[int] = set()
    for (start, end, leaves), count in _straight(counts).items():
        arrived.add(start)
        at = start
        while at != end:
            executed[at] += count
            edges[at].add(at := at + instructions[at].size)
        executed[end] += count
        target = _target(last := instructions[end], leaves)
        if target is not None:
            edges[end].add(target)
            taken[end, target] += count
        elif _goes_on(last, leaves):
            edges[end].add(end + last.size)
        elif not _returns(last):
            indirect.add(end)
    _add_indirect(edges, arrived, indirect, numbering)
    return executed, taken, edges


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


def _add_indirect(edges: _Edges, arrived: Collection[int], indirect: Collection[int], numbering: Numbering) -> None:
    """A branch whose target is in a register or a table led to any place of its function that no other way explains."""
    explained = set().union(*edges.values()) if edges else set()
    places: dict[int, set[int]] = defaultdict(set)
    for address in arrived:
        if address not in explained and not numbering.begins(address):
            places[numbering.at(address)].add(address)
    for address in indirect:
        edges[address] |= places[numbering.at(address)]


def _nested(edges: Mapping[int, set[int]], addresses: Iterable[int], depth: int) -> Iterator[tuple[int, set[int], int]]:
    """(head, addresses, depth) of the loops among those addresses, outer ones first."""
    for body in _circles(edges, addresses):
        back = {target for address in body for target in edges[address] if target <= address and target in body}
        head = min(back)
        yield head, body, depth
        inside = {address: edges[address] & body - {head} for address in body}
        yield from _nested(inside, body, depth + 1)


def _circles(edges: Mapping[int, set[int]], addresses: Iterable[int]) -> Iterator[set[int]]:
    """The strongly connected components that hold an edge (Kosaraju's algorithm)."""
    backwards: _Edges = defaultdict(set)
    for address in addresses:
        for target in edges[address]:
            backwards[target].add(address)
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


def _visit(edges: Mapping[int, set[int]], root: int, seen: set[int], left: list[int]) -> None:
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
