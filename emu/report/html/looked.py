"""What a report of a run shows beside the run's own figures: its listing, its functions, why layers cost what they cost, its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from emu import functions
from emu.build.elf import Image
from emu.experiment import annotate
from emu.experiment.annotate import Scope
from emu.experiment.listing import Listing
from emu.experiment.target import Ran
from emu.functions import FunctionProfile
from emu.machine.layout import STACK_LIMITS
from emu.report.sources import Sources

_OUTSIDE = "outside"
_WORD = 4


class Why(NamedTuple):
    """Cycles: what the instructions take when nothing interferes, and what came on top by reason, the dearest first."""

    minimum: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Looked:
    """Of one run. parts: what data is in the network, by symbol. stack: (its limit, 0 where none is known; its top), None where nobody knows.

    why: by layer's name; empty for a firmware. whole: of all that ran.
    """

    image: Image
    parts: Mapping[str, str]
    stack: tuple[int, int] | None
    functions: FunctionProfile
    listing: Listing
    why: Mapping[str, Why]
    sources: Sources

    @property
    def whole(self) -> Why:
        return Why(self.listing.minimum, self.listing.reasons)


def look(ran: Ran, profile: FunctionProfile | None = None) -> Looked:
    """Of a run whose calls were followed. profile: by function, where it is there already, of the whole run."""
    layers = (_OUTSIDE, *(layer.name for layer in ran.layers)) if ran.layers else ()
    why = {name: Why(one.minimum, one.reasons) for number, name in enumerate(layers) for one in [annotate.annotate(ran, Scope(name, number))]}
    parts: dict[str, str] = {}
    for layer in ran.layers:
        for part, symbol in layer.tensors.items():
            parts.setdefault(symbol, part)  # what one layer puts out is the next one's input
    if profile is None or profile.region is not None:
        profile = functions.profile(ran.counts, ran.image, ran.instructions, ran.numbering, ran.prices, ran.core.name, ran.memory.name)
    built = None if ran.layers else ran.image.path.stat().st_mtime  # what the cache holds belongs to its sources
    return Looked(ran.image, parts, _stack(ran), profile, annotate.annotate(ran), why, Sources([ran.image.path.parent], built))


def _stack(ran: Ran) -> tuple[int, int] | None:
    """From the symbols of a linker script, or from the vector table."""
    symbols = ran.image.symbols
    limit = next((symbols[name].address for name in STACK_LIMITS if name in symbols), 0)
    if "__stack_top" in symbols:
        return limit, symbols["__stack_top"].address
    vectors = ran.about.get("vectors")
    if vectors is None:
        return None
    for segment in ran.image.segments:
        if segment.address <= vectors and vectors + _WORD <= segment.address + len(segment.data):
            at = vectors - segment.address
            return limit, int.from_bytes(segment.data[at:at + _WORD], "little")
    return None
