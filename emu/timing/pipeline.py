"""An in-order pipeline as a core's table describes it: the cycles of one stream.

A stream begins where a taken branch arrived, so the front of the pipeline is empty and what came before an instruction is
known. Three things are modelled: fetch (a buffer of words, filled by requests), issue (cycles by kind, hazards between
neighbours), and what a taken branch costs at the end. What a stream cannot say (divide operands, misalignment) is priced by
site, in `pricing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emu.isa.instruction import S_BIT, Flag, Instruction
from emu.timing.core import Core

# Kinds that read memory, kinds that access it, kinds whose result floating point waits for.
_LOADS = frozenset({"load", "load_multiple", "load_exclusive", "fp_load", "fp_load_multiple", "table_branch"})
_MEMORY = _LOADS | {"store", "store_multiple", "store_exclusive", "fp_store", "fp_store_multiple"}
_FP_RESULTS = frozenset({"fp_arithmetic", "fp_multiply", "fp_multiply_accumulate", "fp_divide"})
_S_REGISTERS = 0xFFFFFFFF << S_BIT


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
    if kind == "store" and instruction.flags & Flag.INDEXED:
        cost += rules["indexed_store"]
    if before is None or before.skipped:
        return cost
    previous = before.instruction
    if previous.kind in _FP_RESULTS and previous.writes & instruction.reads & _S_REGISTERS:
        cost += rules["fp_result"]
    if kind == "it" and not previous.wide:
        return cost - rules["it_folding"]
    if kind == "nop" and previous.kind == "load":
        return cost - rules["nop_behind_load"]
    return cost + _behind(step, before, rules) if kind in _MEMORY else cost


def _behind(step: Step, before: Step, rules: dict[str, int]) -> int:
    """What the instruction before a load or store adds or saves."""
    instruction, previous = step.instruction, before.instruction
    kind = instruction.kind
    address = (1 << instruction.base if instruction.base >= 0 else 0) | (1 << instruction.index if instruction.index >= 0 else 0)
    depends = bool(previous.writes & address)
    if previous.kind == "load":
        if depends or step.memory != before.memory:
            return 0
        return -{"load": rules["load_pipelining"], "store": rules["store_behind_load"]}.get(kind, 0)
    change = 0
    if depends and previous.kind not in _LOADS:
        change += rules["address_dependency"]
    if kind in _LOADS and previous.kind == "store":
        change += rules["load_behind_store"]
    return change
