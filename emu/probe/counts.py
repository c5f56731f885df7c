"""What a run leaves: streams, traffic, sites, stack. Facts without a meaning for cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emu.probe.layout import SKIPPED


class Stream(NamedTuple):
    """Straight-line execution between two taken branches, in one layer (0: between layers)."""

    layer: int
    start: int  # address of the first instruction
    end: int  # address of the last
    taken: bool  # ended in a taken branch (else: the run ended)
    events: bytes  # memories of accesses, fates of IT members, in order
    length: int  # instructions, skipped ones included
    count: int


class Site(NamedTuple):
    """Something at one instruction that streams cannot say: extra accesses of a misaligned one, bits of a quotient."""

    layer: int
    pc: int
    kind: int
    bucket: int
    count: int


@dataclass(frozen=True)
class Counts:
    """All that one run left. Layer 0 is the code between layers."""

    layers: int
    streams: list[Stream]
    sites: list[Site]
    traffic: np.ndarray  # int64 (layers + 1, objects, 2, 3): loads and stores of 1, 2, 4 bytes
    objects: tuple[str, ...]  # names of the objects, in the order of `traffic`
    entries: list[int]  # (layers + 1,): address of the kernel that ran as the layer, 0 where none did
    calls: list[int]
    stack: list[int]  # bytes below the stack pointer at the layer's entry; [0] below the top of the stack
    peak: int  # bytes of stack in all

    def instructions(self) -> np.ndarray:
        """Issued instructions by layer, skipped ones included: int64 (layers + 1,)."""
        total = np.zeros(self.layers + 1, np.int64)
        for stream in self.streams:
            total[stream.layer] += stream.count * stream.length
        return total

    def skipped(self) -> np.ndarray:
        """Instructions that an IT block skipped, by layer: int64 (layers + 1,)."""
        total = np.zeros(self.layers + 1, np.int64)
        for stream in self.streams:
            total[stream.layer] += stream.count * stream.events.count(SKIPPED)
        return total
