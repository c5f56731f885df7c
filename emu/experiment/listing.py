"""A listing as it ran: functions, their instructions and loops, with what each cost, why, and which data it touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from emu.profile import Traffic


@dataclass(frozen=True)
class Row:
    """One instruction, over all its executions. minimum + all of `reasons` = cycles.

    raw: its bytes as memory has them. note: what its literal, or the target of its branch, is; "" where that says nothing. line of `file`: where
    it comes from (None: not known). executed: issued, `skipped` of them by an IT block. tensors: by part of a layer (input, weights, ...), stack,
    literals, or symbol.
    """

    address: int
    raw: bytes
    text: str
    note: str = ""
    file: str | None = None
    line: int | None = None
    executed: int = 0
    skipped: int = 0
    cycles: int = 0
    minimum: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    tensors: Mapping[str, Traffic] = field(default_factory=dict)

    @property
    def stalls(self) -> int:
        """Cycles above the minimum."""
        return self.cycles - self.minimum


@dataclass(frozen=True)
class Loop:
    """Instructions from `start` to the one at `end`, in one function, that go round. depth: 0 is outermost; loops of one depth share no instruction.

    parts: (first, last) of each stretch of it; what lies between them and ran belongs to other code. iterations: how often `start` was reached; cycles: of its instructions, without what they call; share: of the function's cycles, 0 to 1.
    """

    start: int
    end: int
    depth: int
    iterations: int
    cycles: int
    share: float
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class FunctionListing:
    """One function. layers: in which it ran, in their order. rows: all its instructions by address, with those that did not run.

    share: of the cycles of everything that is listed, 0 to 1. reasons: cycles above the minimum by reason, the dearest first.
    """

    name: str
    symbol: str
    address: int
    layers: tuple[str, ...]
    rows: tuple[Row, ...]
    loops: tuple[Loop, ...]
    calls: int
    instructions: int
    cycles: int
    minimum: int
    share: float
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Listing:
    """What ran, the dearest function first. scope: what it is of, in words ("layer qdense_16x10", "function gather", "everything that ran").

    cycles: of all that is listed; total: of the whole run. tensors: False where accesses were not told apart by instruction.
    reasons: as for a function, over all of them. about: what made the run.
    """

    target: str
    core: str
    memory: str
    scope: str
    functions: tuple[FunctionListing, ...]
    instructions: int
    cycles: int
    minimum: int
    total: int
    reasons: Mapping[str, int]
    tensors: bool = True
    about: Mapping[str, object] = field(default_factory=dict)
