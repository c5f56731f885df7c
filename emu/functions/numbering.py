"""An image's functions as numbers, as the probe counts them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from functools import cached_property

from emu.build.elf import Image, Symbol
from emu.functions import names
from emu.functions.region import Region
from emu.machine.code import Marks

UNNAMED = "(no symbol)"  # function 0
MOST = 0xFFFF
_COLD = re.compile(r"(?P<stem>.+)\.cold(\.\d+)?$")


class Numbering:
    """Functions by number, from 1. Cold parts (NAME.cold) belong to their function; where several are called NAME they stay functions."""

    def __init__(self, image: Image) -> None:
        functions = [f for f in image.functions if f.size]
        times = Counter(f.name for f in functions)
        stems = {f.name: f for f in functions if times[f.name] == 1}
        cold = [(f, stems.get(match["stem"])) for f in functions if (match := _COLD.match(f.name))]
        parts = {f.address: stem for f, stem in cold if stem is not None}
        self.functions: tuple[Symbol, ...] = tuple(f for f in functions if f.address not in parts)[:MOST]
        numbers = {f.address: number for number, f in enumerate(self.functions, 1)}
        self._parts = tuple((f, numbers[stem.address]) for f in functions if (stem := parts.get(f.address)) and stem.address in numbers)

    def marks(self, region: Region | None = None, *, touches: bool = False) -> Marks:
        """What a Machine is given, to follow calls; a region from place to place needs one layer. touches: as in Marks."""
        return Marks((), region.begin if region else (), region.end if region else (), self.functions, self._parts, touches)

    def at(self, address: int) -> int:
        """The number of the function that the address lies in; 0 where there is none."""
        starts, numbers = self._painted
        return numbers[bisect_right(starts, address) - 1] if address >= starts[0] else 0

    def ranges(self, number: int) -> list[tuple[int, int]]:
        """(start, end) of the code of that function, by address; its cold parts are there, what another function covers is not."""
        starts, numbers = self._painted
        return [(starts[at], starts[at + 1]) for at in range(len(starts) - 1) if numbers[at] == number]

    def begins(self, address: int) -> bool:
        """A function begins there."""
        return address in self._begins

    def whole(self, start: int, end: int) -> bool:
        """All addresses from start to end lie in one function."""
        starts, _ = self._painted
        return bisect_right(starts, start) == bisect_right(starts, end)

    @cached_property
    def _begins(self) -> frozenset[int]:
        return frozenset(f.address for f in self.functions)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """By number."""
        return (UNNAMED, *names.unique(self.functions))

    @cached_property
    def _painted(self) -> tuple[list[int], list[int]]:
        """Addresses where another function begins to lie, sorted, and its number; where functions overlap, the one that begins last."""
        symbols = sorted([*((f, number) for number, f in enumerate(self.functions, 1)), *self._parts], key=lambda pair: pair[0].address)
        starts = sorted({0, *(f.address for f, _ in symbols), *(f.end for f, _ in symbols)})
        numbers = [0] * len(starts)
        for f, number in symbols:
            first, last = bisect_right(starts, f.address) - 1, bisect_right(starts, f.end) - 1
            numbers[first:last] = [number] * (last - first)
        return starts, numbers
