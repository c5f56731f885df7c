"""Where a run's cycles are, by what instructions are there for: layer by layer of the spotter, function by function of a firmware."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from emu.experiment.annotate import OUTSIDE, Scope, annotate, layer_names
from emu.experiment.classes import CLASSES, classes
from emu.experiment.listing import FunctionListing, Row
from emu.experiment.target import Ran

STALL = "stall"
ALL = {**CLASSES, STALL: "cycles above an instruction's minimum: waits for data, for memory, for code"}
# Of emu.timing.explain: what is no wait, but belongs to what the instruction is there for.
_NO_STALLS = frozenset({"branch refill", "unfolded IT", "skipped", "loop average", "divide", "exception"})


@dataclass(frozen=True)
class Part:
    """A layer or a function. cycles: by class, of all classes in their order; they add up to what `Prices.price` says.

    stalls: by reason, as emu.timing.explain names them, the dearest first. macs: 0 where it has none, and for a function.
    """

    name: str
    kernel: str
    macs: int
    cycles: Mapping[str, int]
    stalls: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.cycles.values())


@dataclass(frozen=True)
class Mix:
    """A run. by: "layer" or "function". parts: layers in their order and the code between them, or functions, the dearest first."""

    title: str
    core: str
    memory: str
    about: Mapping[str, object]
    by: str
    parts: tuple[Part, ...]

    @property
    def totals(self) -> Part:
        return Part("total", "", sum(part.macs for part in self.parts), _added(part.cycles for part in self.parts),
                    _dearest(_added(part.stalls for part in self.parts)))


def mix(ran: Ran, by: str) -> Mix:
    """Of a whole run; `by` "layer" wants one that has layers."""
    return Mix(ran.title, ran.core.name, ran.memory.name, ran.about, by, tuple(_layers(ran) if by == "layer" else _functions(ran)))


def _layers(ran: Ran) -> list[Part]:
    """In their order, then what is between them."""
    layers = {layer.name: layer for layer in ran.layers}
    found = {name: _added(counted for _, counted in of_layer) for name, of_layer in _counted(ran)}
    return [_part(name, found[name], layer.kernel, layer.macs) for name, layer in layers.items()] + [_part(OUTSIDE, found[OUTSIDE])]


def _functions(ran: Ran) -> list[Part]:
    """The dearest first."""
    found: dict[tuple[str, int], list[Counter[str]]] = defaultdict(list)
    for _, of_layer in _counted(ran):
        for function, counted in of_layer:
            found[function.name, function.address].append(counted)
    return sorted((_part(name, _added(counts)) for (name, _), counts in found.items()), key=lambda part: -part.total)


def _counted(ran: Ran) -> Iterator[tuple[str, list[tuple[FunctionListing, Counter[str]]]]]:
    """Of every layer (of a firmware: of all): its name, and the cycles of its functions by class and by reason of waits."""
    kinds = classes(ran)
    without_macs = {address: "other" if kind == "MAC" else kind for address, kind in kinds.items()}  # a pool multiplies to find its addresses
    multiplies = (True, *(layer.macs > 0 for layer in ran.layers))
    for number, name in enumerate(layer_names(ran) or ("",)):
        listing = annotate(ran, Scope(layer=number))
        yield name, [(function, _by_class(function.rows, kinds if multiplies[number] else without_macs)) for function in listing.functions]


def _by_class(rows: Iterable[Row], kinds: Mapping[int, str]) -> Counter[str]:
    """Cycles by class, and once more by the reason of waits."""
    counted = Counter[str]()
    for row in rows:
        waits = {reason: count for reason, count in row.reasons.items() if reason not in _NO_STALLS}
        counted.update(waits)
        counted[STALL] += sum(waits.values())
        counted[kinds.get(row.address, "other")] += row.cycles - sum(waits.values())
    return counted


def _part(name: str, counted: Mapping[str, int], kernel: str = "", macs: int = 0) -> Part:
    stalls = {reason: cycles for reason, cycles in counted.items() if reason not in ALL}
    return Part(name, kernel, macs, {kind: counted.get(kind, 0) for kind in ALL}, _dearest(stalls))


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total = Counter[str]()
    for one in counts:
        total.update(one)
    return total


def _dearest(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
