"""Streams x pipeline: the cycles of every layer, each distinct stream priced once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emu.isa.instruction import Flag, Instruction
from emu.probe import EXECUTED, MISALIGNED, QUOTIENT, SKIPPED, Counts
from emu.timing import pipeline
from emu.timing.core import Core
from emu.timing.pipeline import Step


def steps(instructions: Mapping[int, Instruction], start: int, end: int, events: bytes) -> list[Step]:
    """The instructions of a stream from its first to its last address, with what its events say of them."""
    found, at, event = [], start, 0
    while True:
        instruction = instructions[at]
        skipped, memory = False, -1
        if instruction.flags & Flag.IN_IT:
            skipped = events[event] == SKIPPED
            assert skipped or events[event] == EXECUTED, "stream events out of step"
            event += 1
        if instruction.accesses and not skipped:
            memory = events[event]
            event += 1
        found.append(Step(instruction, skipped, memory))
        if at == end:
            return found
        at += instruction.size


def price(counts: Counts, instructions: Mapping[int, Instruction], core: Core) -> np.ndarray:
    """Modelled cycles by layer, int64 (layers + 1,); [0] is the code between layers."""
    total = np.zeros(counts.layers + 1, np.int64)
    known: dict[tuple, int] = {}
    for stream in counts.streams:
        key = (stream.start, stream.end, stream.taken, stream.events)
        if key not in known:
            walk = steps(instructions, stream.start, stream.end, stream.events)
            known[key] = pipeline.cycles(walk, stream.taken, core)
        total[stream.layer] += known[key] * stream.count
    for site in counts.sites:
        if site.kind == MISALIGNED:
            total[site.layer] += core.misaligned * site.bucket * site.count
        elif site.kind == QUOTIENT:
            total[site.layer] += (core.divide.cycles(site.bucket) - core.cycles["divide"]) * site.count
    return total


def fetch_bytes(counts: Counts, instructions: Mapping[int, Instruction]) -> np.ndarray:
    """Bytes of the instructions that were issued, by layer, int64 (layers + 1,): what the program needs, not what prefetch asks for."""
    total = np.zeros(counts.layers + 1, np.int64)
    for stream in counts.streams:
        total[stream.layer] += (stream.end + instructions[stream.end].size - stream.start) * stream.count
    return total
