"""What is needed behind a region: registers and flags that some way through the function reads before it writes them."""

from __future__ import annotations

from collections.abc import Mapping

from emu.build.elf import Symbol
from emu.experiment.search.effects import CORE, REGISTERS, effects, unmovable
from emu.isa.instruction import Flag, Instruction
from emu.timing.roles import roles

_LATER = {"branch", "compare_branch"}  # whose targets are known


def needed_at(address: int, instructions: Mapping[int, Instruction], function: Symbol) -> int:
    """Mask of what may be read behind `address`, inside the function; all where a way leaves it, or goes where only the run knows."""
    reached: dict[int, int] = {}  # address -> what was written on every way to it
    needed, waiting = 0, [(address, 0)]
    while waiting:
        at, written = waiting.pop()
        known = reached.get(at)
        if known is not None and known & written == known:
            continue
        reached[at] = written = written if known is None else known & written
        instruction = instructions.get(at)
        if instruction is None or not function.address <= at < function.end:
            needed |= REGISTERS & ~written
            continue
        reads, writes, targets = _step(instruction)
        needed |= reads & ~written
        waiting += [(target, written | writes) for target in targets]
    return needed


def _step(instruction: Instruction) -> tuple[int, int, tuple[int, ...]]:
    """(reads, writes, addresses of what may come next) of one instruction; of what is not understood, all is read."""
    behind = instruction.address + instruction.size
    if not instruction.flags & Flag.BRANCH:
        if instruction.flags & Flag.LITERAL or instruction.kind == "nop":
            return instruction.reads & CORE, instruction.writes & CORE, (behind,)
        if unmovable(instruction):
            return REGISTERS, 0, ()
        done = effects(instruction)
        return done.reads, done.writes, (behind,)
    if instruction.kind not in _LATER:
        return REGISTERS & ~(instruction.writes & CORE) | instruction.reads & CORE, 0, ()
    target = roles(instruction).target
    reads = instruction.reads & CORE if instruction.kind == "compare_branch" else effects(instruction).reads
    always = instruction.flags & Flag.ALWAYS and not instruction.flags & Flag.IN_IT
    return reads, 0, (target,) if always else (target, behind)


