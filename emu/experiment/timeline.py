"""What issues in which cycle on one way round a loop, and what the cycles between are lost to.

Without the number of an iteration it is the loop's dearest way: a stream, when single streams are most of its iterations; else an iteration
that took it, as it ran, recorded when the program is run again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from emu.errors import UsageError
from emu.experiment import annotate
from emu.experiment.listing import FunctionListing
from emu.experiment.target import Ran
from emu.functions import region
from emu.functions.loops import Loop, loops
from emu.isa.instruction import Instruction
from emu.machine.iteration import ENOUGH, Iteration, Ways
from emu.timing import pricing
from emu.timing.roles import roles

_Key = tuple[int, int, bool, bool, bytes]  # a stream, as it is priced
Record = Callable[[Iteration | Ways], None]


@dataclass(frozen=True)
class Row:
    """One instruction. Cycles count from where the timeline begins: those from `begin` on are its own, it issues in `issue`, and
    cycles = minimum + all of `reasons`. line: FILE:LINE, where it is known."""

    address: int
    text: str
    function: str
    line: str | None
    skipped: bool
    begin: int
    issue: int
    cycles: int
    minimum: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Round:
    """The loop that is shown. share: of the function's cycles, 0 to 1; cycles: of all iterations, without what they call."""

    head: int
    end: int
    depth: int
    iterations: int
    entries: int
    cycles: int
    share: float


@dataclass(frozen=True)
class Timeline:
    """what: what is shown, in words. loop: None for straight code. number: of the iteration, where it was recorded.

    times: how often these streams ran just so (an iteration that was recorded: once). sites: (reason, address, cycles) beside the rows':
    what streams do not say, in this iteration, or on average. function_cycles: of the function in the whole run. about: what made the run.
    """

    target: str
    core: str
    memory: str
    function: str
    what: str
    loop: Round | None
    number: int | None
    times: int
    rows: tuple[Row, ...]
    sites: tuple[tuple[str, int, float], ...]
    function_cycles: int
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Of all rows."""
        return sum(row.cycles for row in self.rows)

    @property
    def minimum(self) -> int:
        return sum(row.minimum for row in self.rows)

    @property
    def reasons(self) -> dict[str, int]:
        """Cycles above the minimum, the most first."""
        total: Counter[str] = Counter()
        for row in self.rows:
            total.update(dict(row.reasons))
        return dict(total.most_common())


@dataclass(frozen=True)
class _Chosen:
    """A loop, its function, and what both cost."""

    listing: FunctionListing
    loop: Loop
    cycles: int


def timeline(ran: Ran, record: Record, function: str | None = None, place: str | None = None, number: int | None = None) -> Timeline:
    """Of a function's hottest loop (None: the run's), or of the loop at that place; of the iteration of that number, from 1.

    record: runs it once more. UsageError for a function that is not there or did not run, a place that is in no loop of it, an iteration that
    there was not.
    """
    listing = annotate.annotate(ran, annotate.scope(ran, function))
    found = loops(ran.counts, ran.instructions, ran.numbering)
    chosen = _chosen(ran, listing.functions, found, place)
    if chosen is None:
        return _straight(ran, listing.functions, number, function)
    if number is not None and number > chosen.loop.iterations:
        raise UsageError(f"--iteration {number}: the loop at 0x{chosen.loop.head:08x} in {chosen.listing.name} has {chosen.loop.iterations:,} iterations")
    if number is None:
        ways = _ways(ran, chosen.loop)
        if 2 * sum(ways.values()) >= chosen.loop.iterations:
            return _dearest(ran, chosen, ways)
    return _recorded(ran, chosen, record, number)


# --- which loop ---


def _chosen(ran: Ran, functions: tuple[FunctionListing, ...], found: list[Loop], place: str | None) -> _Chosen | None:
    """The loop at that place, else the one with most cycles that no loop inside it has; None where there is no loop."""
    costs = {f.address: {row.address: row.cycles for row in f.rows} for f in functions}
    by_address = {f.address: f for f in functions}
    mine = [(by_address[address], loop) for loop in found
            if (address := _address(ran, loop.function, loop.head, functions)) in by_address]
    if place is not None:
        wanted = region.places(ran.image, ran.instructions, place, "--loop")
        mine = _at(mine, wanted, place)
    if not mine:
        return None
    inner = {id(loop): set().union(*(other.addresses for _, other in mine if _inside(other, loop))) for _, loop in mine}
    listing, loop = max(mine, key=lambda pair: sum(costs[pair[0].address][at] for at in pair[1].addresses if at not in inner[id(pair[1])]))
    return _Chosen(listing, loop, sum(costs[listing.address][at] for at in loop.addresses))


def _address(ran: Ran, function: int, head: int, functions: tuple[FunctionListing, ...]) -> int | None:
    """As listings have it: of the function, or, where the code has no name, of what is listed with it."""
    if function:
        return ran.numbering.functions[function - 1].address
    return next((f.address for f in functions if any(row.address == head for row in f.rows)), None)


def _inside(inner: Loop, outer: Loop) -> bool:
    return inner.function == outer.function and inner.depth > outer.depth and inner.head in outer.addresses


def _at(mine: list[tuple[FunctionListing, Loop]], wanted: tuple[int, ...], place: str) -> list[tuple[FunctionListing, Loop]]:
    """The loop whose head is there, else the innermost one around it."""
    around = [(listing, loop) for listing, loop in mine if any(at in loop.addresses for at in wanted)]
    if not around:
        heads = ", ".join(f"0x{loop.head:08x}" for _, loop in mine[:8]) or "none"
        raise UsageError(f"--loop {place}: no loop that ran is there; loops begin at {heads}")
    heads = [pair for pair in around if pair[1].head in wanted]
    return heads[:1] or [max(around, key=lambda pair: pair[1].depth)]


# --- what is shown of it ---


def _ways(ran: Ran, loop: Loop) -> Counter[_Key]:
    """Streams that lead from the loop's head back to it, and how often they ran."""
    found: Counter[_Key] = Counter()
    for s in ran.counts.streams:
        if s.start == loop.head and s.taken and s.end in loop.addresses and roles(ran.instructions[s.end]).target == loop.head:
            found[s.start, s.end, s.taken, s.entered, s.events] += s.count
    return found


def _dearest(ran: Ran, chosen: _Chosen, ways: Counter[_Key]) -> Timeline:
    key = max(ways, key=lambda way: ways[way] * ran.prices.stream(*way))
    rows = tuple(_rows(ran, [_Part(key, key[0])]))
    share = f"its dearest way round: {ways[key]:,} of {chosen.loop.iterations:,} iterations" if ways[key] < chosen.loop.iterations else (
        f"all {ways[key]:,} iterations")
    return _timeline(ran, chosen.listing, share, chosen, None, ways[key], rows, _mean_sites(ran, rows))


def _straight(ran: Ran, functions: tuple[FunctionListing, ...], number: int | None, name: str | None) -> Timeline:
    """The dearest stream that touches the function."""
    if number is not None:
        raise UsageError(f"--iteration: {name or 'the program'} has no loop that went round")
    listing = functions[0]
    mine = {row.address for row in listing.rows}
    counts: Counter[_Key] = Counter()
    for s in ran.counts.streams:
        if s.start in mine or s.end in mine:
            counts[s.start, s.end, s.taken, s.entered, s.events] += s.count
    key = max(counts, key=lambda stream: counts[stream] * ran.prices.stream(*stream))
    rows = tuple(_rows(ran, [_Part(key, key[0])]))
    what = f"{listing.name} has no loop that went round: its dearest straight piece, {counts[key]:,} time{'s' * (counts[key] > 1)}"
    return _timeline(ran, listing, what, None, None, counts[key], rows, _mean_sites(ran, rows))


def _recorded(ran: Ran, chosen: _Chosen, record: Record, number: int | None) -> Timeline:
    """An iteration as it ran: that one, or one that took the dearest way (by instructions)."""
    loop, wanted, way = chosen.loop, number, ""
    where = loop.addresses, lambda address: ran.numbering.at(address) == loop.function
    if number is None:
        record(ways := Ways(loop.head, *where))
        dearest = max(ways.found.values(), key=lambda way: way.instructions)
        wanted = dearest.number
        compared = "all" if loop.iterations <= ENOUGH else f"the first {ENOUGH:,}"
        way = f"; {dearest.times:,} of {compared} took the same way, the dearest of {len(ways.found):,}" if len(ways.found) > 1 else (
            f"; {compared} took the same way")
    iteration = Iteration(loop.head, wanted, *where)
    record(iteration)
    if not iteration.done:
        raise UsageError(f"--iteration {wanted}: when it was run again, the program came to the loop {iteration.arrivals:,} times (it reads what "
                         "changes from run to run, such as its standard input)")
    rows = tuple(_rows(ran, _path(ran.instructions, iteration)))
    beside: Counter[tuple[str, int]] = Counter()
    for (pc, kind, bucket), count in iteration.sites.items():
        beside[ran.prices.site_reason(kind), pc] += ran.prices.site(kind, bucket) * count
    sites = tuple((reason, pc, cycles) for (reason, pc), cycles in beside.items() if cycles)
    what = f"iteration {wanted:,} of {loop.iterations:,} as it ran{way}"
    return _timeline(ran, chosen.listing, what, chosen, wanted, 1, rows, sites)


def _timeline(ran: Ran, listing: FunctionListing, what: str, chosen: _Chosen | None, number: int | None, times: int, rows: tuple[Row, ...],
              sites: tuple[tuple[str, int, float], ...]) -> Timeline:
    round_ = None
    if chosen:
        loop = chosen.loop
        round_ = Round(loop.head, loop.end, loop.depth, loop.iterations, loop.entries, chosen.cycles, chosen.cycles / (listing.cycles or 1))
    return Timeline(ran.title, ran.core.name, ran.memory.name, listing.name, what, round_, number, times, rows, sites, listing.cycles, ran.about)


def _mean_sites(ran: Ran, rows: tuple[Row, ...]) -> tuple[tuple[str, int, float], ...]:
    """Cycles of sites at these rows' instructions, a time that such an instruction ran."""
    here, executed = {row.address for row in rows}, Counter()
    for start, end, count in ((s.start, s.end, s.count) for s in ran.counts.streams):
        for address in here:
            executed[address] += count * (start <= address <= end)
    beside: Counter[tuple[str, int]] = Counter()
    for site in ran.counts.sites:
        if site.pc in here:
            beside[ran.prices.site_reason(site.kind), site.pc] += ran.prices.site(site.kind, site.bucket) * site.count
    return tuple((reason, pc, cycles / executed[pc]) for (reason, pc), cycles in beside.items() if cycles)


# --- rows ---


def _rows(ran: Ran, path: list[_Part]) -> Iterator[Row]:
    addresses = sorted({address for part in path for address in _addresses(ran.instructions, part.key)})
    lines = dict(zip(addresses, ran.image.source_lines(addresses), strict=True))
    now = 0
    for key, first, stop in path:
        begin = now
        for step, why in zip(pricing.steps(ran.instructions, key[0], key[1], key[4]), ran.prices.explain(*key), strict=True):
            address = step.instruction.address
            if address < first:
                begin -= why.cycles
                continue
            if address == stop:
                break
            name = ran.numbering.names[ran.numbering.at(address)]
            yield Row(address, step.instruction.text, name, lines[address], step.skipped, now, begin + why.issue, why.cycles, why.minimum, why.reasons)
            now += why.cycles


def _addresses(instructions: Mapping[int, Instruction], key: _Key) -> Iterator[int]:
    at = key[0]
    while at <= key[1]:
        yield at
        at += instructions[at].size


class _Part(NamedTuple):
    """Of a stream what is shown: from an address on, and (None: to its end) to ahead of another."""

    key: _Key
    first: int
    stop: int | None = None


def _path(instructions: Mapping[int, Instruction], iteration: Iteration) -> list[_Part]:
    """The streams that were counted, in the order that blocks and events tell."""
    left, path, end = Counter(iteration.streams), [], iteration.end
    events = {ends: deque(seen) for ends, seen in iteration.events.items()}
    block, at = 0, iteration.blocks[0].start
    while not path or end is None or block < end[0] or at != end[1]:
        ways = [(key, way) for key, count in left.items() if count and (key[0] == at or not path and key[0] < at <= key[1])
                and (way := _follow(instructions, iteration, key[1], block, at))]
        if not ways:
            break
        seen = events.get(max(key[:2] for key, _ in ways)) or deque([b""])
        key, (block, stop) = max(ways, key=lambda pair: (pair[0][1], pair[0][4].startswith(seen[0])))
        seen.popleft()
        left[key] -= 1
        path.append(_Part(key, at, stop))
        if stop is not None:
            break
        behind = key[1] + instructions[key[1]].size
        moved = behind == iteration.blocks[block].stop and block + 1 < len(iteration.blocks)
        block, at = (block + 1, iteration.blocks[block + 1].start) if moved else (block, behind)
    return path


def _follow(instructions: Mapping[int, Instruction], iteration: Iteration, last: int, block: int, at: int) -> tuple[int, int | None] | None:
    """Along a stream that ends at `last`, from `at` in that block: the block in which it ends, and the address where the iteration did before.

    None when execution left it.
    """
    blocks, first = iteration.blocks, True
    while True:
        if not first and iteration.end and block >= iteration.end[0] and at == iteration.end[1]:
            return block, at
        if at == last:
            return block, None
        at, first = at + instructions[at].size, False
        if at == blocks[block].stop:
            if block + 1 == len(blocks) or blocks[block + 1].start != at:
                return None
            block += 1
