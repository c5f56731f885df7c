"""Makes the listing of a run, or of a part of it: streams, explained, added up by instruction."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from emu.errors import InputError, UsageError
from emu.experiment.listing import FunctionListing, Listing, Loop, Row
from emu.experiment.target import Ran
from emu.functions import loops
from emu.functions.code_size import that_ran
from emu.isa.instruction import Flag, Instruction
from emu.names import nearest
from emu.probe import Counts, Stream, layout
from emu.profile import Traffic
from emu.timing import pricing
from emu.timing.explain import Why
from emu.timing.roles import roles

OUTSIDE = "outside"  # the layer between the layers
_ENTERING = (layout.EXCEPTION_ENTRY, layout.TAIL_CHAIN)  # sites that belong to the handler, not to where it struck
_Key = tuple[int, int, bool, bool, bytes]  # what a stream's price depends on
_Place = tuple[int, int]  # number of a function, address

__all__ = ["OUTSIDE", "FunctionListing", "Listing", "Loop", "Row", "Scope", "annotate", "layer_names", "scope"]


@dataclass(frozen=True)
class Scope:
    """What of a run is listed: numbers of a layer and of functions; None: all of them. title: in words."""

    title: str = "everything that ran"
    layer: int | None = None
    functions: frozenset[int] | None = None


@dataclass
class _Tally:
    """A row in the making."""

    executed: int = 0
    skipped: int = 0
    cycles: int = 0
    minimum: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tensors: dict[str, Traffic] = field(default_factory=dict)

    def add(self, why: Why, skipped: bool, times: int) -> None:
        self.executed += times
        self.skipped += times * skipped
        self.cycles += times * why.cycles
        self.minimum += times * why.minimum
        for reason, cycles in why.reasons:
            self.reasons[reason] += times * cycles

    def add_site(self, reason: str, cycles: int) -> None:
        self.cycles += cycles
        self.reasons[reason] += cycles

    def touch(self, name: str, traffic: Traffic) -> None:
        self.tensors[name] = self.tensors.get(name, Traffic()) + traffic


# --- what is asked for ---


def layer_names(ran: Ran) -> tuple[str, ...]:
    """By number, as `counts` has them; none for a firmware, and where the run was divided otherwise (a region)."""
    return (OUTSIDE, *(layer.name for layer in ran.layers)) if ran.layers and len(ran.layers) == ran.counts.layers else ()


def scope(ran: Ran, what: str | None = None, layer: str | None = None) -> Scope:
    """What a command line asks for: a layer or a function, or a function in one layer. UsageError for what is not there, or did not run."""
    layers = layer_names(ran)
    if layer is not None and layer not in layers:
        raise UsageError(f"--layer: no layer {layer!r}{_near(layer, layers)}" if layers else "--layer: a firmware has no layers")
    if what in layers:
        if layer is not None:
            raise UsageError(f"{what} is a layer itself: --layer goes with a function")
        what, layer = None, what
    number = layers.index(layer) if layer is not None else None
    within = f"layer {layer}" if layer is not None else ""
    if what is None:
        return Scope(within or Scope.title, number)
    functions = _functions(ran, what, number, within)
    names = ", ".join(ran.numbering.names[function] for function in sorted(functions))
    return Scope(f"function{'s' * (len(functions) > 1)} {names}{within and f' in {within}'}", number, functions)


def _functions(ran: Ran, name: str, layer: int | None, within: str) -> frozenset[int]:
    """Numbers of the functions of that name that ran; for the source or the linker, with or without its parameters."""
    by_layer = that_ran(ran.counts, ran.instructions, ran.numbering)
    there = set().union(*by_layer) if layer is None else by_layer[layer]
    for known in _called(ran, name):
        if known & there:
            return known & there
        if known:
            raise UsageError(f"{name} did not run{within and f' in {within}'}{f'; the run ended so: {ran.problem}' if ran.problem else ''}")
    layers, names = layer_names(ran), [ran.numbering.names[number] for number in sorted(there)]
    raise UsageError(f"no {'layer or ' if layers else ''}function {name!r}{_near(name, [*layers, *names])}")


def _called(ran: Ran, name: str) -> Iterator[frozenset[int]]:
    """Numbers of the functions that are called exactly so, so by the linker or without parameters, or where another symbol of that name lies."""
    names = ran.numbering.names
    yield frozenset(number for number, full in enumerate(names) if full == name)
    yield frozenset(number for number, symbol in enumerate(ran.numbering.functions, 1)
                    if name in (symbol.name, names[number].partition("(")[0], names[number].partition("@")[0]))
    symbol = ran.image.symbols.get(name)
    yield frozenset({ran.numbering.at(symbol.address & ~1)} if symbol else ()) - {0}


def _near(name: str, names: Iterable[str]) -> str:
    known = list(names)
    found = next((one for one in known if one.startswith(name)), None) or nearest(name, known)
    return f" (did you mean {found}?)" if found else ""


# --- adding up ---


def annotate(ran: Ran, scope: Scope = Scope()) -> Listing:
    """What ran in that scope. Its rows' cycles add up to what `Prices.price` says of the layers, and to a FunctionProfile's functions."""
    counts = ran.counts if scope.layer is None else ran.counts.of_layer(scope.layer)
    tallies, layers = _tallied(ran, counts, scope.functions)
    by_function: dict[int, dict[int, _Tally]] = defaultdict(dict)
    for (function, address), tally in tallies.items():
        if scope.functions is None or function in scope.functions:
            by_function[function][address] = tally
    cycles = sum(tally.cycles for rows in by_function.values() for tally in rows.values())
    calls, outlined = _calls(ran, counts, scope.layer), _loops(ran, counts, by_function)
    starts = sorted(ran.instructions)
    functions = sorted((_listed(ran, number, rows, starts, _names(ran, layers[number]), outlined[number], calls[number], cycles)
                        for number, rows in by_function.items()), key=lambda function: (-function.cycles, function.address))
    return Listing(ran.title, ran.core.name, ran.memory.name, scope.title, tuple(functions), sum(f.instructions for f in functions), cycles,
                   sum(f.minimum for f in functions), int(ran.prices.price(ran.counts).sum()), _summed(f.reasons for f in functions),
                   bool(ran.counts.touches), ran.about)


def _tallied(ran: Ran, counts: Counts, functions: frozenset[int] | None) -> tuple[dict[_Place, _Tally], dict[int, set[int]]]:
    """By function and address; and the layers in which every function ran. Code without a name belongs to the function that was running.

    functions: streams in which none of these ran are left out (None: none is).
    """
    tallies: dict[_Place, _Tally] = defaultdict(_Tally)
    layers: dict[int, set[int]] = defaultdict(set)
    places = [place for number in functions or () for place in ran.numbering.ranges(number)]
    for key, streams in _by_price(counts).items():
        start, end, _, _, events = key
        times: Counter[int] = Counter()
        for stream in streams:
            times[_running(counts, stream.context)] += stream.count
        if functions is not None and not (functions & times.keys() or any(first <= end and start < behind for first, behind in places)):
            continue
        within = {stream.layer for stream in streams}
        for step, why in zip(pricing.steps(ran.instructions, start, end, events), ran.prices.explain(*key), strict=True):
            address = step.instruction.address
            named = ran.numbering.at(address)
            for function, count in ((named, times.total()),) if named else times.items():
                tallies[function, address].add(why, step.skipped, count)
                layers[function] |= within
    _add_sites(ran, counts, tallies)
    _add_touches(ran, counts, tallies)
    return tallies, layers


def _by_price(counts: Counts) -> dict[_Key, list[Stream]]:
    found: dict[_Key, list[Stream]] = defaultdict(list)
    for stream in counts.streams:
        found[stream.start, stream.end, stream.taken, stream.entered, stream.events].append(stream)
    return found


def _running(counts: Counts, context: int) -> int:
    """Number of the function; 0 where calls are not followed."""
    return counts.contexts[context].function if counts.contexts else 0


def _add_sites(ran: Ran, counts: Counts, tallies: dict[_Place, _Tally]) -> None:
    """What an exception's entry costs stands at its handler's first instruction."""
    for site in counts.sites:
        cycles = ran.prices.site(site.kind, site.bucket) * site.count
        if not cycles:
            continue
        running = _running(counts, site.context)
        place = (ran.numbering.at(site.pc) or running, site.pc)
        if site.kind in _ENTERING and running:
            place = running, ran.numbering.functions[running - 1].address
        tallies[place].add_site(ran.prices.site_reason(site.kind), cycles)


def _add_touches(ran: Ran, counts: Counts, tallies: dict[_Place, _Tally]) -> None:
    parts = [{}, *({symbol: part for part, symbol in layer.tensors.items()} for layer in ran.layers)] if layer_names(ran) else []
    for touch in counts.touches:
        instruction, name = ran.instructions[touch.pc], counts.objects[touch.object]
        name = parts[touch.layer].get(name, name) if parts else name
        moved = touch.count * instruction.access_size
        traffic = Traffic(0, touch.count, 0, moved) if instruction.flags & Flag.STORE else Traffic(touch.count, 0, moved, 0)
        function = ran.numbering.at(touch.pc) or _running(counts, touch.context)
        tallies[function, touch.pc].touch(name, traffic)


def _calls(ran: Ran, counts: Counts, layer: int | None) -> Counter[int]:
    """By function: calls, jumps and exceptions that led to it. A layer's kernel is called from outside of it."""
    calls: Counter[int] = Counter()
    for edge in counts.edges:
        calls[edge.function] += edge.count
    if layer:
        calls[ran.numbering.at(counts.entries[layer])] += counts.calls[layer]
    return calls


def _loops(ran: Ran, counts: Counts, by_function: Mapping[int, Mapping[int, _Tally]]) -> dict[int, list[Loop]]:
    found: dict[int, list[Loop]] = defaultdict(list)
    for loop in loops.loops(counts, ran.instructions, ran.numbering):
        rows = by_function.get(loop.function)
        if rows is None:
            continue
        cycles, whole = sum(rows[address].cycles for address in loop.addresses), sum(row.cycles for row in rows.values())
        parts = _parts(sorted(address for address, row in rows.items() if row.executed), set(loop.addresses))
        found[loop.function].append(Loop(loop.addresses[0], loop.end, loop.depth, loop.iterations, cycles, cycles / whole if whole else 0.0, parts))
    return found


def _parts(addresses: Iterable[int], members: set[int]) -> tuple[tuple[int, int], ...]:
    """(first, last) of each stretch of addresses that are all members."""
    stretches = (list(stretch) for inside, stretch in groupby(addresses, members.__contains__) if inside)
    return tuple((stretch[0], stretch[-1]) for stretch in stretches)


def _names(ran: Ran, layers: Iterable[int]) -> tuple[str, ...]:
    """Outside last, as in reports."""
    names = layer_names(ran)
    return tuple(names[number] for number in sorted(layers, key=lambda number: (not number, number))) if names else ()


def _listed(ran: Ran, number: int, tallies: Mapping[int, _Tally], starts: Sequence[int], layers: tuple[str, ...], outlined: Iterable[Loop],
            calls: int, whole: int) -> FunctionListing:
    addresses = sorted({*tallies, *_all_of(ran, number, starts)})
    rows = tuple(_row(ran, number, address, tallies.get(address) or _Tally(), place)
                 for address, place in zip(addresses, ran.image.source_lines(addresses), strict=True))
    cycles, symbol = sum(row.cycles for row in rows), ran.numbering.functions[number - 1] if number else None
    return FunctionListing(
        ran.numbering.names[number], symbol.name if symbol else "", symbol.address if symbol else addresses[0], layers, rows, tuple(outlined),
        calls, sum(row.executed for row in rows), cycles, sum(row.minimum for row in rows), cycles / whole if whole else 0.0,
        _summed(row.reasons for row in rows))


def _all_of(ran: Ran, number: int, starts: Sequence[int]) -> Iterator[int]:
    """Addresses of the function's instructions, its cold parts among them; those that did not run, too."""
    for start, end in ran.numbering.ranges(number) if number else ():
        yield from starts[bisect_left(starts, start):bisect_left(starts, end)]


def _summed(reasons: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The dearest first."""
    total: Counter[str] = Counter()
    for one in reasons:
        for reason, cycles in one.items():
            total[reason] += cycles
    return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))


# --- one instruction ---


def _row(ran: Ran, function: int, address: int, tally: _Tally, place: str | None) -> Row:
    instruction = ran.instructions[address]
    file, _, line = (place or "").rpartition(":")
    return Row(address, ran.image.code_at(address, address + instruction.size), instruction.text, _note(ran, function, instruction),
               file or None, int(line) if line else None, tally.executed, tally.skipped, tally.cycles, tally.minimum, dict(tally.reasons),
               dict(sorted(tally.tensors.items(), key=lambda pair: -pair[1].bytes)))


def _note(ran: Ran, function: int, instruction: Instruction) -> str:
    """The value of a literal, or where a branch out of the function leads."""
    if instruction.flags & Flag.LITERAL and instruction.accesses == 1 and instruction.access_size == 4 and instruction.index < 0:
        at = (instruction.address + 4 & ~3) + instruction.offset
        try:
            value = int.from_bytes(ran.image.code_at(at, at + 4), "little")
        except InputError:
            return ""
        return f"= 0x{value:x}{_named(ran, value)}"
    target = roles(instruction).target
    if target < 0 or ran.numbering.at(target) == function:
        return ""
    return _named(ran, target).strip()


def _named(ran: Ran, value: int) -> str:
    """The symbol that lies there, with a blank before it."""
    number, at = ran.numbering.at(value & ~1), value & ~1
    if number:
        symbol, name = ran.numbering.functions[number - 1], ran.numbering.names[number]
        return f" {name}" if symbol.address == at else f" {name}+0x{at - symbol.address:x}"
    objects = ran.image.objects
    place = bisect_right(objects, value, key=lambda symbol: symbol.address) - 1
    if place < 0 or value >= objects[place].end:
        return ""
    offset = value - objects[place].address
    return f" {objects[place].name}{f'+0x{offset:x}' if offset else ''}"
