"""An in-order pipeline as a core's table describes it: the cycles of one stream.

A stream begins where a taken branch arrived, so the front of the pipeline is empty and what came before an instruction is
known. Three things are modelled: fetch (a buffer of words, filled by requests), issue (cycles by kind, hazards between
neighbours), and what a taken branch costs at the end. What a stream cannot say (divide operands, misalignment) is priced by
site, in `pricing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emu.isa.instruction import Flag, Instruction
from emu.timing.core import Core

_SINGLE_LOADS = frozenset({"load"})
_SINGLE_STORES = frozenset({"store"})
_LOADS = frozenset({"load", "load_multiple", "load_exclusive", "fp_load", "fp_load_multiple", "table_branch"})
_MEMORY = _LOADS | {"store", "store_multiple", "store_exclusive", "fp_store", "fp_store_multiple"}
_FP_RESULTS = frozenset({"fp_arithmetic", "fp_multiply", "fp_multiply_accumulate", "fp_divide"})
_S_REGISTERS = 0xFFFFFFFF << 32
_NO_OPERATION = frozenset({"nop"})


class Step(NamedTuple):
    """One instruction of a stream: issued, perhaps skipped by its IT block; `memory` is where it accesses (-1: nowhere)."""

    instruction: Instruction
    skipped: bool
    memory: int


class Fetch:
    """The prefetch buffer. Cycle 0 is when the first instruction can issue; word k is the k-th from the branch target's.

    At cycle 0 the target's word is there and requests for the rest of the buffer are on the way, one a cycle. A later word
    is requested in the cycle after the one before it, or, when the buffer was full until then, `restart` cycles after the
    word that made room left; it arrives `latency` cycles after its request.
    """

    def __init__(self, core: Core, first: int) -> None:
        self._core = core
        self._base = first >> 2
        words = core.fetch_words
        self._requested = [k - core.fetch_latency for k in range(words)]
        self._consumed: list[int] = []

    def ready(self, address: int, size: int) -> int:
        """Cycle in which all of the instruction at `address` is in the buffer."""
        word = (address + size - 1 >> 2) - self._base
        while len(self._requested) <= word:
            room = self._consumed[len(self._requested) - self._core.fetch_words]
            follows = self._requested[-1] + 1
            self._requested.append(follows if room <= follows else room + self._core.fetch_restart)
        return self._requested[word] + self._core.fetch_latency

    def issue(self, address: int, size: int, cycle: int) -> None:
        """The instruction left the buffer in that cycle; words that end in it make room."""
        done = (address + size >> 2) - self._base
        while len(self._consumed) < done:
            self._consumed.append(cycle)


def cycles(steps: Sequence[Step], taken: bool, core: Core) -> int:
    """Modelled cycles from the issue of the first instruction to the issue of the branch target behind the last."""
    fetch = Fetch(core, steps[0].instruction.address)
    now, before = 0, None
    for step in steps:
        instruction = step.instruction
        address, size = instruction.address, instruction.size
        now = max(now, fetch.ready(address, size))
        fetch.issue(address, size, now)
        now += core.skipped if step.skipped else _cost(step, before, core)
        before = step
    if taken:
        now += core.refill_loaded if before.instruction.flags & Flag.LOADS_PC else core.refill
    return now


def _cost(step: Step, before: Step | None, core: Core) -> int:
    """Cycles that the instruction holds the issue stage, behind `before` (None: it is the stream's first)."""
    instruction = step.instruction
    kind = instruction.kind
    cost = core.cycles[kind]
    if instruction.accesses > 1:
        cost += core.per_access[kind] * (instruction.accesses - 1)
    rules = core.rules
    if kind in _SINGLE_STORES and instruction.flags & Flag.INDEXED:
        cost += rules["indexed_store"]
    if before is None or before.skipped:
        return cost
    if kind == "it":
        return cost - (0 if before.instruction.wide else rules["it_folding"])
    if kind in _NO_OPERATION:
        return cost - (rules["nop_behind_load"] if before.instruction.kind in _SINGLE_LOADS else 0)
    if kind in _MEMORY:
        return cost + _behind(step, before, kind, rules)
    if kind in _FP_RESULTS and before.instruction.kind in _FP_RESULTS:
        consumed = instruction.reads & ~instruction.addend & _S_REGISTERS
        # a register that is addend and factor at once is consumed as a factor; VMLA s0, s0, s1 is too rare to tell apart
        return cost + (rules["fp_result"] if before.instruction.writes & consumed else 0)
    return cost


def _behind(step: Step, before: Step, kind: str, rules: dict[str, int]) -> int:
    """What the instruction before a load or store adds or saves."""
    instruction, previous = step.instruction, before.instruction
    address = (1 << instruction.base if instruction.base >= 0 else 0) | (1 << instruction.index if instruction.index >= 0 else 0)
    depends = bool(previous.writes & address)
    same_memory = step.memory == before.memory
    if previous.kind in _SINGLE_LOADS:
        if depends or not same_memory:
            return 0
        if kind in _SINGLE_LOADS:
            return -rules["load_pipelining"]
        return -rules["store_behind_load"] if kind in _SINGLE_STORES else 0
    change = 0
    if depends and previous.kind not in _LOADS:
        change += rules["address_dependency"]
    if kind in _LOADS and previous.kind in _SINGLE_STORES:
        change += rules["load_behind_store"]
    return change
