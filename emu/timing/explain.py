"""Why a stream's instructions cost what they cost: the cycles that `pricing` schedules, each above the minimum with its reason."""

from __future__ import annotations

from typing import NamedTuple

# Reason -> one sentence for people, in the order in which legends show them. Of streams, then of sites.
REASONS = {
    "unpaired load": "a load's second cycle: what is behind it is no load, store or NOP that pipelines",
    "load-use": "the next instruction needs what this one loads, which is not there yet",
    "address dependency": "the next instruction's address was only just computed or written back",
    "operand": "the next instruction needs a result that is not there yet",
    "load behind store": "a load does not pipeline behind a store",
    "memory change": "a load does not pipeline with the next access, which goes to another memory",
    "not paired": "the next instruction needs a unit, a port or a slot that this one takes, so they do not issue together",
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
