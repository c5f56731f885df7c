"""An in-order dual-issue pipeline as the `[dual_issue]` section of a core's table describes it: the cycles of one stream.

A scoreboard: of every register, when and by what it was written last; the table says how many cycles behind that a reader may
issue, by the port where it reads. An instruction issues in the cycle of the one before it (as the younger of a pair) when the
two may issue together, all that it reads is there and its bytes were fetched; else as the older one of a later cycle.

Where a taken branch leads back to the beginning of its own stream, the stream is the body of a loop: it is scheduled several
times, one iteration behind the other, and costs what the later ones do on average. On a core whose branches issue beside their
target (`across`), the first instruction of another stream is as likely the younger one beside the branch as the older one of the
next cycle, and the stream costs the average of the two. Averages are rounded to whole cycles, halves to even ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from emu.isa.instruction import FLAGS_BIT, Flag, Instruction
from emu.timing.dual_table import DualIssue, Form
from emu.timing.explain import Account
from emu.timing.roles import FORMS, roles

if TYPE_CHECKING:
    from emu.timing.core import Core
    from emu.timing.step import Step

_LONG_AGO = -1000
_REGISTERS = 64
_ITERATIONS, _AVERAGED = 9, 4  # of a loop that are scheduled, unless they repeat before; the last of them, whose average it costs
_STORES = 4  # of the last stores that a load is held against
_PC = 1 << 15
_LOADING = frozenset({"load", "load_narrow", "fp_load"})
_STORING = frozenset({"store", "store_narrow", "fp_store"})
_MULTIPLES = frozenset({"load_multiple", "store_multiple", "fp_load_multiple", "fp_store_multiple"})


class Facts(NamedTuple):
    """What the scoreboard asks of one instruction on one core. reads: (register, port); writes: (register, result, cycles behind issue)."""

    address: int
    end: int
    form: int
    wide: bool
    cycles: int  # that it holds its slot
    reads: tuple[tuple[int, int], ...]
    ahead: tuple[tuple[int, int, int], ...]  # of ports that it may issue ahead of: (register, port, cycles)
    early: tuple[tuple[int, int], ...] | None  # reads that let it go early
    writes: tuple[tuple[int, int, int], ...]
    branches: bool
    sets_flags: bool
    loads: bool  # one access
    stores: bool  # one access
    base: int  # of one access at a fixed offset; -1: of none
    offset: int
    written: int


def schedule(steps: Sequence[Step], taken: bool, core: Core, *, entered: bool = True, account: Account | None = None) -> list[int]:
    """Modelled cycles of every instruction of a stream, from its issue to the next one's (0: they issue together), or to what follows.

    `entered` False: no branch led here, so the front of the pipeline is full. `account`: is told why.
    """
    table: DualIssue = core.sections["dual_issue"]
    facts = [_facts(step.instruction, core, step.skipped) for step in steps]
    last = steps[-1].instruction
    refill = (core.refill_loaded if last.flags & Flag.LOADS_PC else core.refill) if taken else 0
    board = Board(table, facts[0].address, entered, account)
    issues, end, shared = board.run(facts, 0, None, taken, refill)
    begin, came_to = 0, end
    if taken and roles(last).target == facts[0].address:
        begin, issues, came_to, end = _iteration(board, facts, end, shared, refill)
    elif entered and table.settings["across"]:
        end = _entered_either_way(table, facts, taken, refill, end)
    if account:
        account.correct("loop average", end - came_to)
    return [b - a for a, b in zip([begin, *issues[1:]], [*issues[1:], end], strict=True)]


def _iteration(board: Board, facts: Sequence[Facts], end: int, shared: bool, refill: int) -> tuple[int, list[int], int, int]:
    """Where an iteration of a loop begins, its issues, its end, and the one that it has when it is as long as the later ones are on average."""
    ends, settled = [0, end], False
    while not settled:
        begin, beside = end, shared
        board.again(end)
        issues, end, shared = board.run(facts, end, facts[-1] if beside else None, True, refill)
        ends.append(end)
        repeats = not (beside or shared) and end - begin == begin - ends[-3]
        settled = repeats or len(ends) > _ITERATIONS
    return begin, issues, end, end if repeats else begin + round((end - ends[-1 - _AVERAGED]) / _AVERAGED)


def _entered_either_way(table: DualIssue, facts: Sequence[Facts], taken: bool, refill: int, end: int) -> int:
    """The end of a stream that began at 0, averaged with the one that it has when its first instruction issues beside the branch."""
    branch = Facts(0, 0, table.forms["branch"], False, 1, (), (), None, (), True, False, False, False, -1, 0, 0)
    issues, late, _ = Board(table, facts[0].address, True).run(facts, 0, branch, taken, refill)
    return end if issues[0] else round((end + late) / 2)


class Board:
    """The scoreboard of one stream: registers, stores under way, and the lines of code that were fetched."""

    def __init__(self, table: DualIssue, first: int, entered: bool, account: Account | None = None) -> None:
        self._table, self._settings, self._account = table, table.settings, account
        self._at = [_LONG_AGO] * _REGISTERS  # cycle of the issue that a register's latency counts from
        self._result = [0] * _REGISTERS
        self._last = [_LONG_AGO] * len(FORMS)  # cycle in which an instruction of a form issued last
        self._stores: list[tuple[int, int, int]] = []  # base, offset, cycle
        self._line, self._lines = self._settings["line"], self._settings["lines"]
        self._base = first // self._line
        self._arrived = [-(self._settings["lead"] if entered else self._lines)]  # by line
        self._left: list[int] = []  # cycle in which the last instruction of a line issued, by line

    def again(self, now: int) -> None:
        """The branch leads back to the first line, which is fetched behind the last one."""
        self._arrived, self._left = [max(self._arrived[-1] + 1, now - self._lines)], []

    def run(self, facts: Sequence[Facts], now: int, older: Facts | None, taken: bool, refill: int) -> tuple[list[int], int, bool]:
        """Issues all in order, the first at `now` or later; with `older`, a branch that issues at `now`, it may issue beside it.

        The cycle of each; the one in which what follows can issue; whether that is the last instruction's, which it may issue beside.
        """
        issues, free = [], now + (older is not None)
        if account := self._account:
            account.clear()
            account.spare = free - now
        for number, fact in enumerate(facts):
            form = self._table.rows[fact.form]
            earliest, whole, cause = self._earliest(fact, form)
            together = older is not None and earliest <= now
            apart = self._apart(older, fact, form, now, taken and number == len(facts) - 1) if together else cause
            if apart:
                now = max(free, earliest)
            issues.append(now)
            if account:
                self._tell(older, form, apart, free, now)
            self._issue(fact, form, now, None if apart else older, max(0, whole - now))
            older = fact if apart else None
            free = max(free, now + fact.cycles)
            if account:
                account.spare = int(older is not None)
                account.issue(free - now - account.spare)
            now = free - 1
        there = self._arrived[-1] < now
        if taken and older is not None and not refill and self._settings["across"] and there:
            return issues, now, True
        if account:
            self._tell_end(taken, refill, there)
        return issues, free + refill, False

    def _tell(self, older: Facts | None, form: Form, apart: str | tuple[int, int], free: int, now: int) -> None:
        """An instruction issues now, not beside `older` if something kept them apart; the last one left the pipeline at `free`.

        Of two instructions that issue alone one has lost a cycle: each half of one, counted with the first.
        """
        account, held = self._account, now - free + self._account.spare
        if apart and account.spare and account.begun:
            never = not form.younger or self._table.rows[older.form].alone
            if never or account.alone % 2:
                account.allow(1)
                held -= 1
            account.alone += not never
        if held:
            account.blame(apart if isinstance(apart, str) else self._late(*apart), held)

    def _tell_end(self, taken: bool, refill: int, there: bool) -> None:
        account = self._account
        if account.spare and taken and self._settings["across"] and not account.alone % 2:
            account.blame("branch refill" if there else "fetch", 1)
        elif account.spare:
            account.allow(1)
        account.blame("branch refill", refill)

    def _late(self, register: int, port: int) -> str:
        """What an instruction that reads the register there waits for."""
        if self._result[register] in self._table.loaded:
            return "load-use"
        return "address dependency" if port == self._table.address else "operand"

    def _earliest(self, fact: Facts, form: Form) -> tuple[int, int, str | tuple[int, int]]:
        """Cycle in which it may issue, alone; the one in which all that it may issue ahead of is there; what it waits for: one of
        explain.REASONS, or a register and the port where it is read."""
        at, result, latency = self._at, self._result, self._table.latency
        earliest, whole, cause = self._fetched(fact), 0, "fetch"
        for register, port in fact.reads:
            there = at[register] + latency[result[register]][port]
            if there > earliest:
                earliest, cause = there, (register, port)
        for register, port, cycles in fact.ahead:
            there = at[register] + latency[result[register]][port]
            if there - cycles > earliest:
                earliest, cause = there - cycles, (register, port)
            whole = max(whole, there)
        for other, cycles in form.behind:
            if self._last[other] + cycles > earliest:
                earliest, cause = self._last[other] + cycles, "unit busy"
        if fact.loads and self._stores and (there := self._stored(fact)) > earliest:
            earliest, cause = there, "load behind store"
        return earliest, whole, cause

    def _stored(self, load: Facts) -> int:
        """Cycle from which on a load meets no store near it, off the same base, that is still under way."""
        wait, near = self._settings["store_to_load"], self._settings["near"]
        return max((cycle + wait for base, offset, cycle in self._stores
                    if base == load.base and -near < offset - load.offset < near and self._at[base] <= cycle), default=0)

    def _apart(self, older: Facts, younger: Facts, form: Form, now: int, leaves: bool) -> str:
        """What keeps a pair from issuing together, among explain.REASONS; "" if nothing does: units, widths, what went before, banks of
        two loads, a taken branch behind its flags."""
        settings = self._settings
        if apart := self._table.apart[older.form][younger.form]:
            return apart
        if settings["narrow_only"] and (older.wide or younger.wide):
            return "not paired: wide"
        if any(self._last[other] + cycles > now for other, cycles in form.younger_behind):
            return "unit busy"
        if older.loads and younger.loads:
            return "" if self._banks_differ(older, younger) else "not paired: banks"
        flags = leaves and older.sets_flags and younger.branches and not settings["taken_behind_flags"]
        return "not paired: flags" if flags else ""

    def _banks_differ(self, older: Facts, younger: Facts) -> bool:
        bank = self._settings["bank"]
        if bank and older.base == younger.base >= 0 and not older.written >> older.base & 1:
            return bool((older.offset // bank ^ younger.offset // bank) & 1)
        return bool(self._settings["unknown_bank"])

    def _issue(self, fact: Facts, form: Form, now: int, older: Facts | None, late: int) -> None:
        """Notes what it writes, early where it can. late: cycles that it issued ahead of its operands."""
        early = self._goes_early(fact, form, now, older)
        for register, result, cycles in fact.writes:
            self._at[register] = now + cycles + late
            self._result[register] = self._table.early if early and register != FLAGS_BIT else result
        self._last[fact.form] = now + late
        if fact.stores and fact.base >= 0:
            self._stores = [*self._stores[1 - _STORES:], (fact.base, fact.offset, now)]
        while len(self._left) < fact.end // self._line - self._base:
            self._left.append(now)

    def _goes_early(self, fact: Facts, form: Form, now: int, older: Facts | None) -> bool:
        if fact.early is None or (older is not None) not in form.slots:
            return False
        if older is not None and not self._table.early_free[older.form][fact.form]:
            return False
        latency = self._table.latency
        return all(self._at[register] + latency[self._result[register]][port] <= now for register, port in fact.early)

    def _fetched(self, fact: Facts) -> int:
        """Cycle in which all of the instruction is there: a line arrives a cycle behind the one before it, when there is room."""
        line, arrived = (fact.end - 1) // self._line - self._base, self._arrived
        while len(arrived) <= line:
            room = len(arrived) - self._lines
            arrived.append(max(arrived[-1], self._left[room] if room >= 0 else _LONG_AGO) + 1)
        return arrived[line]


def _facts(instruction: Instruction, core: Core, skipped: bool) -> Facts:
    known = core.sections["dual_issue"].known
    key = (instruction, skipped)
    if key not in known:
        known[key] = _found(instruction, core, skipped)
    return known[key]


def _found(instruction: Instruction, core: Core, skipped: bool) -> Facts:
    table: DualIssue = core.sections["dual_issue"]
    name, parts, _, offset = roles(instruction)
    writes, cycles = _written(instruction, core, name), _cycles(instruction, core, name)
    if skipped and table.settings["skipped_as_nop"]:
        name, parts, writes, cycles = "nop", (), (), core.skipped
    form = table.rows[table.forms[name]]
    reads = [(register, form.ports[role]) for role, mask in parts for register in _bits(mask)]
    early = None
    if form.early >= 0:
        ports = form.ports | {role: form.early for role in form.ports if role != "flags"}
        early = tuple((register, ports[role]) for role, mask in parts for register in _bits(mask))
    loads, stores = name in _LOADING, name in _STORING
    return Facts(
        instruction.address, instruction.address + instruction.size, table.forms[name], instruction.wide, cycles,
        tuple(read for read in reads if not table.ahead[read[1]]),
        tuple((register, port, table.ahead[port]) for register, port in reads if table.ahead[port]), early, writes,
        bool(instruction.flags & Flag.BRANCH), bool(instruction.writes >> FLAGS_BIT & 1), loads, stores,
        instruction.base if (loads or stores) and instruction.index < 0 else -1, offset, instruction.writes)


def _cycles(instruction: Instruction, core: Core, name: str) -> int:
    """Cycles that it holds its slot."""
    table: DualIssue = core.sections["dual_issue"]
    form = table.rows[table.forms[name]]
    cycles = max(core.cycles[instruction.kind], form.cycles)
    if name in _MULTIPLES:
        return max(cycles, -(-instruction.accesses // table.settings["words"]))
    return max(cycles, form.flag_cycles) if instruction.writes >> FLAGS_BIT & 1 else cycles


def _written(instruction: Instruction, core: Core, name: str) -> tuple[tuple[int, int, int], ...]:
    """(register, result, cycles behind issue) of what it writes; the registers of a multiple come `words` a cycle."""
    table: DualIssue = core.sections["dual_issue"]
    form, words, found, loaded = table.rows[table.forms[name]], table.settings["words"], [], 0
    held = max(core.cycles[instruction.kind], form.cycles) - 1
    for register in _bits(instruction.writes & ~_PC):
        if register == FLAGS_BIT:
            found.append((register, form.flags, 0))
        elif register == instruction.base and instruction.flags & Flag.WRITEBACK:
            found.append((register, table.base, 0))
        else:
            found.append((register, form.result, loaded // words if name in _MULTIPLES else held))
            loaded += 1
    return tuple(found)


def _bits(mask: int) -> list[int]:
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
