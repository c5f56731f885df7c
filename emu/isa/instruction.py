"""The record of one decoded instruction, as a NumPy row (so that a decoded image is one array in a cache file).

A room left of the probe and of the timing, because both need it: the probe to compute addresses, the timing to price.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

import numpy as np

# Kinds, named as the timing tables name them.
KINDS = (
    "undefined", "alu", "multiply", "long_multiply", "divide", "nop", "it", "hint", "barrier", "system",
    "load", "store", "load_multiple", "store_multiple", "load_exclusive", "store_exclusive",
    "branch", "branch_link", "branch_register", "compare_branch", "table_branch",
    "fp_load", "fp_store", "fp_load_multiple", "fp_store_multiple",
    "fp_arithmetic", "fp_multiply", "fp_multiply_accumulate", "fp_divide", "fp_move", "fp_move_pair", "fp_system",
    "multiply_accumulate", "long_multiply_accumulate",
)
KIND = {name: number for number, name in enumerate(KINDS)}


class Flag(IntFlag):
    """What the probe and the pipeline ask of an instruction."""

    BRANCH = 1 << 0  # can leave the straight line
    ALWAYS = 1 << 1  # leaves it whenever it executes
    LOADS_PC = 1 << 4
    TO_NEXT = 1 << 5  # conditional, and its target is the instruction behind it
    IN_IT = 1 << 6  # an IT block can skip it
    STORE = 1 << 7
    LITERAL = 1 << 8  # a PC-relative load
    INDEXED = 1 << 9  # register offset
    WRITEBACK = 1 << 10
    WRITES_SP = 1 << 11
    FP = 1 << 12  # faults while CPACR has the FPU off
    DIVIDE = 1 << 13
    SIGNED = 1 << 14  # SDIV
    V7M = 1 << 17  # Armv6-M does not have it
    DSP = 1 << 18  # in Armv7E-M, not in Armv7-M
    V8M = 1 << 19  # of Armv8-M
    FPV5 = 1 << 20  # of FPv5, not of FPv4
    FP64 = 1 << 21  # computes with double precision


# Registers are bits of a mask: r0-r15, then the flags, then s0-s31.
FLAGS_BIT = 16
S_BIT = 32

RECORD = np.dtype([
    ("address", "u4"), ("size", "u1"), ("kind", "u1"), ("flags", "u4"), ("reads", "u8"), ("writes", "u8"),
    ("addend", "u8"),  # the s register that a multiply-accumulate adds to; in `reads` only where it is a factor, too
    ("base", "i1"), ("index", "i1"), ("scale", "u1"),  # address = base + (index << scale) + offset
    ("offset", "i4"), ("access_size", "u1"), ("accesses", "u1"), ("align", "u1"),  # align: demanded by every core, or 1
    ("condition", "u1"), ("text", "S48"),
])


class Instruction(NamedTuple):
    """One row of a decoded image. Masks are ints; `base` and `index` are -1 where there is none."""

    address: int
    size: int
    kind: str
    flags: int
    reads: int
    writes: int
    addend: int
    base: int
    index: int
    scale: int
    offset: int
    access_size: int
    accesses: int
    align: int
    condition: int
    text: str

    @classmethod
    def from_record(cls, row: tuple) -> Instruction:
        """From a RECORD row's `.item()`."""
        return cls(row[0], row[1], KINDS[row[2]], *row[3:-1], row[-1].decode())

    @property
    def wide(self) -> bool:
        """True for a 32-bit encoding."""
        return self.size == 4
