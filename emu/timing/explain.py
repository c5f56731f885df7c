"""Why a stream's instructions cost what they cost: the cycles that `pricing` schedules, each above the minimum with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# Reason -> one sentence for people, in the order in which legends show them. Of streams, then of sites.
REASONS = {
    "unpaired load": "a load's second cycle: what is behind it is no load, store or NOP that pipelines",
    "load-use": "the next instruction needs what this one loads, which is not there yet",
    "address dependency": "the next instruction's address was only just computed or written back",
    "operand": "the next instruction needs a result that is not there yet",
    "load behind store": "a load does not pipeline behind a store",
    "memory change": "a load does not pipeline with the next access, which goes to another memory",
    "not paired": "the next instruction needs a unit that this one takes (it is named), so they do not issue together",
    "not paired: order": "the two do not issue together in this order",
    "not paired: wide": "only 16-bit instructions issue together",
    "not paired: banks": "two loads from one bank of memory do not issue together",
    "not paired: flags": "a taken branch does not issue together with the instruction that sets its flags",
    "unit busy": "the next instruction has to stay some cycles behind this one, whose unit is busy",
    "wait state": "the data memory makes the core wait",
    "write buffer": "a store that is under way still has the bus",
    "fetch": "the next instruction is not there yet: it is off word boundaries, or the buffer of fetched code is empty",
    "lost fetch": "a request for code was lost to a branch that was not taken, or to data read from the same memory",
    "code wait state": "a line of code comes late out of its memory",
    "branch refill": "the branch is taken: its target has to be fetched",
    "unfolded IT": "IT takes a cycle where no 16-bit instruction is ahead of it",
    "skipped": "the condition of its IT block fails: issued for nothing",
    "loop average": "iterations of the loop differ in length; this one stands for their mean",
    "misaligned": "the bus splits a misaligned access into several",
    "divide": "the quotient is long",
    "exception": "an exception is entered or left: registers are stacked or unstacked",
    "sleep": "the core sleeps until something wakes it",
    "mispredicted branch": "the branch or its target was not foreseen",
    "cache miss": "the line is not in the cache",
}


class Why(NamedTuple):
    """One instruction of a stream. cycles == minimum + the sum of what `reasons` say, (reason, cycles) each, none of them 0.

    issue: cycle in which it issues, 0 where the stream begins. cycles: to the issue of the next one (0: they issue together).
    minimum: cycles that it takes when nothing interferes and all that can pipeline or pair does.
    """

    issue: int
    cycles: int
    minimum: int
    reasons: tuple[tuple[str, int], ...]


def sentence(reason: str) -> str:
    """What the reason says; of a pair that a unit of the core's table keeps apart (not paired: UNIT), what holds for all units."""
    return REASONS.get(reason) or REASONS[reason.partition(":")[0]]


class Account:
    """What an engine tells of one stream: of every instruction its minimum, and what held up what came behind it.

    spare: cycles of the instruction issued last that it takes only where the next one does not use them. alone: instructions that issued
    alone where two could have (the engine counts them).
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all: the engine begins again."""
        self._minimums: list[int] = []
        self._ahead: list[int] = []
        self._reasons: list[dict[str, int]] = [{}]
        self.spare = self.alone = 0

    @property
    def begun(self) -> bool:
        """Something has issued."""
        return bool(self._minimums)

    def issue(self, minimum: int) -> None:
        """The next instruction issues. What was blamed before the first one is its own."""
        if self._minimums:
            self._reasons.append({})
        self._ahead.append(0 if self._minimums else sum(self._reasons[0].values()))
        self._minimums.append(minimum)

    def blame(self, reason: str, cycles: int) -> None:
        """Cycles that pass behind the instruction issued last, beyond its minimum (0: nothing to tell)."""
        if cycles:
            self._reasons[-1][reason] = self._reasons[-1].get(reason, 0) + cycles

    def allow(self, cycles: int) -> None:
        """The minimum of the instruction issued last is that much more."""
        self._minimums[-1] += cycles

    def add(self, reason: str, cycles: Sequence[int], *, ahead: bool = False) -> None:
        """Cycles by instruction of a stream that was told whole. ahead: they pass before it issues, not behind."""
        for number, more in enumerate(cycles):
            if more:
                self._reasons[number][reason] = self._reasons[number].get(reason, 0) + more
                self._ahead[number] += more * ahead

    def correct(self, reason: str, cycles: int) -> None:
        """The last instruction takes that many more, or fewer: then first of what held it up, last of its minimum."""
        self.blame(reason, max(0, cycles))
        last, less = self._reasons[-1], max(0, -cycles)
        for held in reversed(list(last)):
            gone = min(less, last[held])
            last[held], less = last[held] - gone, less - gone
        self._minimums[-1] -= less

    def whys(self, cycles: Sequence[int]) -> list[Why]:
        """By instruction, of those cycles."""
        now, found = 0, []
        for number, taken in enumerate(cycles):
            reasons = tuple((reason, held) for reason, held in self._reasons[number].items() if held)
            found.append(Why(now + self._ahead[number], taken, self._minimums[number], reasons))
            now += taken
        return found
