"""Which functions ran, and their bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from emu.build.elf import Image
from emu.functions.numbering import Numbering
from emu.isa.instruction import Instruction
from emu.probe import Counts


def code_bytes(counts: Counts, instructions: Mapping[int, Instruction], image: Image, numbering: Numbering) -> tuple[int, ...]:
    """Bytes of the functions that ran, with their cold parts and literals: of every layer, of the code between them, of all (each once)."""
    rows = code_sizes(counts, instructions, image, numbering)
    return tuple(sum(sizes.values()) for sizes in (*rows, union(rows)))


def code_sizes(counts: Counts, instructions: Mapping[int, Instruction], image: Image, numbering: Numbering) -> tuple[Mapping[int, int], ...]:
    """The same by function: of every layer, then of the code between them, number of each function that ran -> its bytes."""
    sizes: Counter[int] = Counter()
    for symbol in image.functions:
        sizes[numbering.at(symbol.address)] += symbol.size
    outside, *layers = that_ran(counts, instructions, numbering)
    return tuple({number: sizes[number] for number in numbers if number} for numbers in (*layers, outside))


def union(rows: Sequence[Mapping[int, int]]) -> Mapping[int, int]:
    """Of several rows, each function once."""
    return {number: size for row in rows for number, size in row.items()}


def that_ran(counts: Counts, instructions: Mapping[int, Instruction], numbering: Numbering) -> list[set[int]]:
    """By layer, [0] between layers: numbers of the functions that have an instruction in a stream, 0 for code without a name."""
    ran: list[set[int]] = [set() for _ in range(counts.layers + 1)]
    for layer, start, end in {(stream.layer, stream.start, stream.end) for stream in counts.streams}:
        ran[layer] |= {numbering.at(start)} if numbering.whole(start, end) else {
            numbering.at(address) for address in _addresses(instructions, start, end)}
    return ran


def _addresses(instructions: Mapping[int, Instruction], start: int, end: int) -> Iterator[int]:
    at = start
    while at <= end:
        yield at
        at += instructions[at].size
