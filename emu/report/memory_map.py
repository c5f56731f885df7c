"""What lies where in an image's memories: sections, and in them functions, tensors and other data, and the stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from emu.build.elf import Image, Segment, Symbol

_MEMORY_BITS = 26  # addresses that agree above these lie in one memory: on no Cortex-M do flash and RAM share 64 MB
_WRITABLE, _EXECUTABLE = 1, 4  # flags of a section
_WRITABLE_SEGMENT = 2


class Tile(NamedTuple):
    """Bytes of one kind. kind: a part of a layer ("weights", "output", ...), "code", "constants", "data", "zeroed", "initial values", "stack" (used),
    "reserve" (of the stack's, not used). name: of the function or object, "" for what is none's. section: where it lies."""

    start: int
    size: int
    kind: str
    name: str
    section: str

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Memory:
    """One memory. tiles: all that the image places there, by address, without a gap inside a section."""

    name: str
    tiles: tuple[Tile, ...]

    @property
    def start(self) -> int:
        return self.tiles[0].start

    @property
    def size(self) -> int:
        """Bytes that are taken."""
        return sum(tile.size for tile in self.tiles)

    @property
    def sections(self) -> tuple[Tile, ...]:
        """The same by section; a section's kind is that of most of its bytes."""
        found = []
        for name, group in groupby(self.tiles, key=lambda tile: tile.section):
            tiles = list(group)
            kinds = {kind: sum(tile.size for tile in tiles if tile.kind == kind) for kind in dict.fromkeys(tile.kind for tile in tiles)}
            found.append(Tile(tiles[0].start, sum(tile.size for tile in tiles), max(kinds, key=kinds.__getitem__), "", name))
        return tuple(found)


def memory_map(image: Image, *, stack: tuple[int, int] | None = None, stack_used: int = 0,
               parts: Mapping[str, str] | None = None) -> tuple[Memory, ...]:
    """By address. stack: (its limit, 0 where none is known; its top), None where nobody knows. stack_used: bytes of it.

    parts: what data is in a network, by symbol.
    """
    named = [*((symbol, "code") for symbol in image.functions), *((symbol, (parts or {}).get(symbol.name, "")) for symbol in image.objects)]
    on_stack = list(_stack(*stack, stack_used)) if stack else []
    blocks = sorted([*_blocks(image), *on_stack])
    tiles = [tile for block in _apart(blocks, on_stack) for tile in _divided(block, named)]
    return tuple(_memory(list(group)) for _, group in groupby(sorted(tiles), key=lambda tile: tile.start >> _MEMORY_BITS))


def _memory(tiles: list[Tile]) -> Memory:
    return Memory("flash" if all(tile.kind not in ("data", "zeroed", "stack", "reserve") for tile in tiles) else "RAM", tuple(tiles))


def _stack(limit: int, top: int, used: int) -> Iterator[Tile]:
    """It grows down from `top`."""
    if 0 < limit < top - used:
        yield Tile(limit, top - used - limit, "reserve", "stack, not used", "stack")
    if used:
        yield Tile(top - used, used, "stack", "stack, used", "stack")


def _blocks(image: Image) -> Iterator[Tile]:
    """Sections, and what segments hold beside them."""
    for segment in image.segments:
        if segment.copied:
            yield Tile(segment.address, len(segment.data), "initial values", "initial values of variables", "initial values")
        at, end = segment.run, segment.run + segment.memsz
        inside = sorted((s for s in image.sections.values() if s.size and at <= s.address < end), key=lambda s: s.address)
        for section in inside:
            if section.address > at:
                yield _beside(image, segment, at, section.address)
            if section.address >= at:
                kind = "code" if section.flags & _EXECUTABLE else "data" if section.flags & _WRITABLE else "constants"
                yield Tile(section.address, min(section.size, end - section.address), kind, "", section.name)
                at = section.address + section.size
        if end > at:
            yield _beside(image, segment, at, end)


def _beside(image: Image, segment: Segment, start: int, end: int) -> Tile:
    """Of a segment, what no section with bytes in the file names: padding, or memory that is zeroed or left as it is."""
    names = dict.fromkeys(symbol.section for symbol in image.objects if start <= symbol.address < end)
    zeroed = segment.flags & _WRITABLE_SEGMENT and start - segment.run >= len(segment.data)
    return Tile(start, end - start, "zeroed" if zeroed else "constants", "", ", ".join(names) or ("zeroed" if zeroed else "padding"))


def _apart(blocks: Iterable[Tile], on_stack: list[Tile]) -> Iterator[Tile]:
    """The blocks without the bytes that the stack takes of them, and the stack."""
    yield from on_stack
    for block in blocks:
        if block in on_stack:
            continue
        start = block.start
        for taken in sorted(on_stack):
            if taken.end <= start or taken.start >= block.end:
                continue
            if taken.start > start:
                yield block._replace(start=start, size=taken.start - start)
            start = max(start, taken.end)
        if start < block.end:
            yield block._replace(start=start, size=block.end - start)


def _divided(block: Tile, named: list[tuple[Symbol, str]]) -> Iterator[Tile]:
    """A block by the functions and objects that lie in it."""
    if block.section in ("stack", "initial values"):
        yield block
        return
    at = block.start
    inside = sorted(((symbol, kind) for symbol, kind in named if block.start <= symbol.address < block.end), key=lambda pair: pair[0].address)
    for symbol, kind in inside:
        end = min(symbol.end, block.end)
        if symbol.address > at:
            yield block._replace(start=at, size=symbol.address - at)
        if end > max(at, symbol.address):
            start = max(at, symbol.address)
            yield Tile(start, end - start, kind or block.kind, symbol.name, block.section)
            at = end
    if at < block.end:
        yield block._replace(start=at, size=block.end - at)
