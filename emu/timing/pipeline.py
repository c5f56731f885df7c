"""An in-order pipeline as a core's table describes it: the cycles of one stream.

A stream begins where a taken branch arrived, so the front of the pipeline is empty and what came before an instruction is
known. Three things are modelled: fetch (a buffer of words, filled by requests: `fetch`), issue (cycles by kind, hazards between
neighbours), and what a taken branch costs at the end. What a stream cannot say (divide operands, misalignment) is priced by
site, in `pricing`. A core with two issue slots has a pipeline of its own, `dual_issue`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple

from emu.isa.instruction import S_BIT, Flag, Instruction
from emu.timing import dual_issue
from emu.timing.bus import Access, Bus
from emu.timing.core import Core
from emu.timing.explain import Account
from emu.timing.fetch import ExplainedFetch, Fetch
from emu.timing.lines import Lines
from emu.timing.step import Step

# Flags as ints, which are several times faster.
_INDEXED, _WRITEBACK, _ALWAYS, _IN_IT, _LOADS_PC = map(int, (Flag.INDEXED, Flag.WRITEBACK, Flag.ALWAYS, Flag.IN_IT, Flag.LOADS_PC))
_LR = 1 << 14
_S_REGISTERS = 0xFFFFFFFF << S_BIT
_LOADS = frozenset({"load", "load_multiple", "load_exclusive", "fp_load", "fp_load_multiple", "table_branch"})
_STORES = frozenset({"store", "store_multiple", "store_exclusive", "fp_store", "fp_store_multiple"})
_MEMORY = _LOADS | _STORES
_SINGLE_LOADS = frozenset({"load", "load_exclusive", "store_exclusive"})  # STREX reads its status back like a load
_FP_RESULTS = frozenset({"fp_arithmetic", "fp_multiply", "fp_multiply_accumulate", "fp_divide"})
_FETCHED_LATE = "fetched too late to pipeline"
# Kind -> the rule that lets it issue early behind a single load.
_EARLY = dict.fromkeys(_SINGLE_LOADS, "load_pipelining") | {"store": "store_behind_load", "nop": "nop_behind_load"}


class Facts(NamedTuple):
    """What issue asks of one instruction on one core, found once."""

    instruction: Instruction
    last_word: int  # number of the word of code that it ends in
    next_word: int  # and of the word that the next one begins in
    cost: int  # cycles that it holds the issue stage, when nothing before it interferes
    least: int  # and when what is before it or behind it saves all that it can
    early: int  # cycles that it saves when it pipelines behind a single load
    loads: bool
    late: bool  # what it writes is there too late for the next one's address
    accesses: bool
    single_load: bool  # others can pipeline behind it
    access: Access
    writeback: bool  # its base register is written, too
    folds: bool  # an IT
    speculates: bool  # a conditional branch whose target decode asks for
    address: int  # mask of the registers that its address is made of
    reads: int  # mask of the s registers that it reads
    writes: int
    fp_result: int  # mask of s registers that the next instruction waits for
    hazards: bool  # what is before it or behind it can change its cycles
    through_lr: bool  # its target is in LR, or it writes LR
    refill: str  # name of what it costs as a taken branch


def schedule(steps: Sequence[Step], taken: bool, core: Core, *, entered: bool = True, bus: Bus | None = None,
             waits: Sequence[int] = (), displaced: Sequence[int] = (), lines: Lines | None = None,
             account: Account | None = None) -> list[int]:
    """Modelled cycles of every instruction of a stream, from its issue to the next one's; the last one's, to that of the branch target.

    The first one's begin where its branch arrived; without one (`entered` False: the stream was cut out of a longer one) the
    front of the pipeline is full. `bus`: of its data (None: no access waits); fetch goes on while it waits. `waits`: the same for a core
    with two slots, cycles that memory adds to each instruction. `displaced`: requests for code that each one's accesses displace (none:
    nothing is). `lines`: lines of code that come late (None: none does). `account`: is told why.
    """
    if core.fetch_words:
        fetch = (ExplainedFetch if account else Fetch)(core, steps[0].instruction.address, entered=entered, lines=lines)
        return _issue(steps, taken, core, fetch, bus, displaced or repeat(0), account)
    if "dual_issue" in core.sections:
        issued = dual_issue.schedule(steps, taken, core, entered=entered, account=account)
        issued = _with(issued, waits, "wait state", account) if waits else issued
    else:
        issued = _issue(steps, taken, core, None, bus, repeat(0), account)
    if not lines:
        return issued
    late = lines.late([step.instruction.address + step.instruction.size for step in steps], issued)
    return _with(issued, late, "code wait state", account, ahead=True)


def _with(issued: Sequence[int], more: Sequence[int], reason: str, account: Account | None, *, ahead: bool = False) -> list[int]:
    """Cycles by instruction with those added. ahead: they pass before it issues."""
    if account:
        account.add(reason, more, ahead=ahead)
    return [cycles + wait for cycles, wait in zip(issued, more, strict=True)]


def cycles(steps: Sequence[Step], taken: bool, core: Core, **of_memory: object) -> int:
    """Modelled cycles of a stream: the sum of its `schedule`, whose other arguments it takes, too."""
    return sum(schedule(steps, taken, core, **of_memory))


def _issue(steps: Sequence[Step], taken: bool, core: Core, fetch: Fetch | None, bus: Bus | None, displaced: Iterable[int],
           account: Account | None) -> list[int]:
    """What `schedule` returns, of a core that issues one instruction after the other. fetch: None where it never makes the core wait."""
    known, ahead, held_up = core.known, core.fetch_ahead, core.rules["room_behind_access"]
    issues: list[int] = []
    free = 0  # cycle in which the next one can issue
    left = -1  # word of code before which all is decoded
    last = before = fact = None
    for step, lost in zip(steps, displaced, strict=False):
        instruction, skipped, memory = step
        fact = known.get(id(instruction)) or _facts(instruction, core)
        ready = fetch.ready(fact.last_word) if fetch else 0
        start, cost, saved, reason = free, fact.cost, 0, ""
        if skipped:
            cost = core.skipped
        elif last and (last.hazards or fact.hazards):
            start, cost, saved, reason = _behind(fact, last, memory == before.memory, ready, free, core.rules)
        at = ready if ready > start else start  # noqa: FURB136 - several times faster than max()
        issues.append(at)
        if account:
            _tell(account, fetch, fact, skipped, cost, (free, start, at), reason)
        if fetch and fact.next_word != left:
            left = fact.next_word
            fetch.leave(left, at - ahead + (held_up if last and last.accesses and at in (free, free - fact.early) else 0))
        if fetch and (lost or fact.speculates and not (taken and len(issues) == len(steps))):
            fetch.lose(at - 1, lost or core.fetch_speculation)
        free = at + cost
        if bus and memory >= 0 and not skipped:
            free = _accessed(fact, bus, memory, at, free, saved, account)
        before, behind, last = step, last, None if skipped else fact
    refill = core.branch[_refill_behind(fact, behind)] if taken else 0
    issues.append(free + refill)
    if account:
        account.blame("unpaired load", account.spare)
        account.blame("branch refill", refill)
    return [end - start for start, end in zip([0, *issues[1:]], issues[1:], strict=False)]


def _tell(account: Account, fetch: Fetch | None, fact: Facts, skipped: bool, cost: int, cycles: tuple[int, int, int], reason: str) -> None:
    """cycles: when it could issue behind any other, when it could behind the one before it if it is fetched, and when it does."""
    free, start, at = cycles
    best, least = free - account.spare, 0 if skipped else fact.least
    start = best if reason == _FETCHED_LATE else start
    account.blame(reason or "unpaired load", start - best)
    for cause, held in fetch.causes(start, at) if fetch else ():
        account.blame(cause, held)
    account.issue(least)
    account.spare = cost - least
    if skipped or fact.folds:
        account.blame("skipped" if skipped else "unfolded IT", account.spare)
        account.spare = 0


def _accessed(fact: Facts, bus: Bus, memory: int, at: int, free: int, saved: int, account: Account | None) -> int:
    """Cycle in which the next one can issue, behind an instruction that asks for a memory in cycle `at`; `free`: if it need not wait."""
    address, waited = bus.access(memory, at, fact.access, saved)
    held = address - at
    if fact.access.buffered:
        held, waited = max(0, address + 1 - free) if fact.writeback else 0, 0
    if account:
        account.blame("write buffer", held)
        account.blame("wait state", waited)
    return free + held + waited


def _behind(fact: Facts, last: Facts, same_memory: bool, ready: int, free: int, rules: Mapping[str, int]) -> tuple[int, int, int, str]:
    """How it issues behind the instruction `last`: the cycle in which it can, cycles that it holds the stage, cycles of its wait that are
    saved, and why it cannot sooner ("" where nothing about the two is in the way).

    ready: when it is fetched. free: when it could issue behind any other.
    """
    start, cost, reason = free, fact.cost, ""
    depends = last.writes & fact.address
    if last.single_load and fact.early and not depends:
        if same_memory or not fact.accesses:
            return (start - fact.early, cost, 0, "") if ready <= start - fact.early else (start, cost, 0, _FETCHED_LATE)
        return start, cost, rules["memory_change"] if fact.loads else 0, "memory change"
    if depends and last.late:
        start, reason = start + rules["address_dependency"], "address dependency"
    elif depends and last.single_load and fact.early:
        reason = "address dependency" if last.writeback and not depends & ~last.address else "load-use"
    if fact.loads and last.access.buffered and not last.access.indexed:
        start = max(start, free + rules["load_behind_store"]) + (rules["load_behind_writeback"] if depends else 0)
        reason = reason or "load behind store"
    if last.fp_result & fact.reads:
        start, reason = start + rules["fp_result"], "operand"
    if fact.folds and not last.instruction.wide:
        cost -= rules["it_folding"]
    return start, cost, 0, reason


def _refill_behind(fact: Facts, last: Facts | None) -> str:
    """What the branch costs when it is taken: a target in LR is there in decode only when the instruction before does not write LR."""
    return "refill_execute" if fact.through_lr and last and last.writes & _LR else fact.refill


def _facts(instruction: Instruction, core: Core) -> Facts:
    """Finds the facts of an instruction and keeps them, with the instruction, so that its id stays its own."""
    form = instruction[1:-1]  # all but where it stands and how it is written
    alike = core.known.get(form)
    if alike is None:
        alike = core.known[form] = _facts_of_form(instruction, core)
    end = instruction.address + instruction.size
    found = core.known[id(instruction)] = Facts(instruction, end - 1 >> 2, end >> 2, *alike[3:])  # alike but for the first three
    return found


def _facts_of_form(instruction: Instruction, core: Core) -> Facts:
    """What all instructions of that form have in common: Facts without words of code, which say where one stands."""
    kind, flags, rules = instruction.kind, instruction.flags, core.rules
    cost = core.cycles[kind] + core.per_access[kind] * max(0, instruction.accesses - 1)
    if kind == "store" and flags & _INDEXED:
        cost += rules["indexed_store"]
    early = rules[_EARLY[kind]] if kind in _EARLY else 0
    single_load = kind in ("load", "load_exclusive")
    spare = max(rules[rule] for rule in _EARLY.values()) if single_load and not flags & _LOADS_PC else rules["it_folding"] * (kind == "it")
    if flags & _WRITEBACK:
        early = min(early, rules["writeback_pipelining"])
    accesses, result = kind in _MEMORY, instruction.writes & _S_REGISTERS if kind in _FP_RESULTS else 0
    single = kind in ("store", "store_multiple") and instruction.accesses == 1
    access = Access(instruction.accesses, kind in _STORES, single, kind == "store", bool(flags & _INDEXED))
    address = (register for register in {instruction.base, instruction.index} if register >= 0)
    return Facts(
        instruction=instruction, last_word=0, next_word=0, cost=cost, least=cost - spare, early=early,
        loads=kind in _LOADS, late=kind not in _LOADS and kind != "store_multiple", accesses=accesses,
        single_load=single_load, access=access, writeback=bool(flags & _WRITEBACK), folds=kind == "it",
        speculates=kind == "branch" and not (flags & _ALWAYS and not flags & _IN_IT),
        address=sum(1 << register for register in address) if accesses else 0, reads=instruction.reads & _S_REGISTERS,
        writes=instruction.writes, fp_result=result, hazards=accesses or bool(result) or kind in ("it", "nop"),
        through_lr=kind == "branch_link" or kind in ("branch_register", "alu") and bool(instruction.reads & _LR),
        refill=_refill(instruction))


def _refill(instruction: Instruction) -> str:
    """The name of what the branch costs when it is taken, by where its target is found."""
    if instruction.flags & _LOADS_PC:
        return "refill_loaded"
    if instruction.kind == "table_branch":
        return "refill_table"
    in_execute = instruction.kind == "compare_branch" or instruction.kind in ("branch_register", "alu") and not instruction.reads & _LR
    return "refill_execute" if in_execute else "refill"
