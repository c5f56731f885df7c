"""What a run leaves: streams, traffic, sites, stack. Facts without a meaning for cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from emu.probe.follow import Follower
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
    context: int = 0  # of Counts.contexts
    entered: bool = True  # began where a taken branch arrived (else: a region cut it out of a longer one)


class Site(NamedTuple):
    """Something at one instruction that streams cannot say: extra accesses of a misaligned one, bits of a quotient, an exception's number."""

    layer: int
    pc: int
    kind: int
    bucket: int
    count: int
    context: int = 0


class Touch(NamedTuple):
    """Accesses of one object, a place in Counts.objects, by one instruction."""

    layer: int
    pc: int
    object: int
    count: int
    context: int = 0


class Context(NamedTuple):
    """A place in the call tree: `function` runs, and the functions of `path` (it among them) are on the stack. Functions are numbers from 1."""

    path: int  # of Counts.paths
    function: int
    stack: int  # bytes, the most, below the stack pointer at the call: with what it called
    own_stack: int  # and without


class Path(NamedTuple):
    """Functions on the stack, each once: the one called last, and the path that it was called on. Path 0 is empty."""

    parent: int
    function: int


class Call(NamedTuple):
    """Calls from one place in one context and layer. kind: "call", "tail" (a jump into another function), "handler" (an exception struck at
    pc), "start" (a run or a thread begins at pc, in context 0)."""

    layer: int
    context: int
    pc: int
    function: int
    to: int  # the callee's context
    kind: str
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
    contexts: tuple[Context, ...] = ()  # empty where calls were not followed
    paths: tuple[Path, ...] = ()
    edges: tuple[Call, ...] = ()
    folded: bool = False  # there were more call paths than are kept: inclusive figures and calls are lower bounds
    memories: Mapping[int, tuple[str, int, int]] = field(default_factory=dict)  # number -> name, start, size
    touches: tuple[Touch, ...] = ()  # where they were asked for; they add up to `traffic`
    followers: tuple[Follower, ...] = ()  # what followed the run; their sites' kinds are FOLLOWED + their place

    def of_layer(self, layer: int) -> Counts:
        """What one layer left, of what says where it was; traffic and stack stay the whole run's."""
        kept = {what: [one for one in getattr(self, what) if one.layer == layer] for what in ("streams", "sites", "touches", "edges")}
        return replace(self, **kept)

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
