"""What a stream is made of, for the engines that price it."""

from __future__ import annotations

from typing import NamedTuple

from emu.isa.instruction import Instruction


class Step(NamedTuple):
    """One instruction of a stream: issued, perhaps skipped by its IT block; `memory` is where it accesses (-1: nowhere)."""

    instruction: Instruction
    skipped: bool
    memory: int
