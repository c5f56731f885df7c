"""What an instruction does to registers, flags and memory, as finely as reordering must know it.

Registers are bits of a mask: r0-r14, then N and Z together, C, V, GE, then s0-s31 from S_BIT on. Q is left out: instructions only
add to it, and what reads it is never moved.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from emu.isa.instruction import FLAGS_BIT, S_BIT, Flag, Instruction

NZ, C, V, GE = (1 << bit for bit in range(FLAGS_BIT, FLAGS_BIT + 4))
ALL_FLAGS = NZ | C | V
PC, SP, LR = 15, 13, 14
CORE = (1 << PC) - 1
REGISTERS = CORE | ALL_FLAGS | GE | 0xFFFFFFFF << S_BIT

ALWAYS = 14  # the condition of an instruction that has none; 15 of some that cannot have one
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_NEEDS = (NZ, NZ, C, C, NZ, NZ, V, V, C | NZ, C | NZ, NZ | V, NZ | V, NZ | V, NZ | V)  # by condition
_FLAGS_WRITTEN = (  # by the mnemonic alone
    (re.compile(r"(cmp|cmn|adds|subs|rsbs|adcs|sbcs)$"), ALL_FLAGS), (re.compile(r"muls$"), NZ),
    (re.compile(r"(movs|mvns|ands|bics|orrs|orns|eors|tst|teq|lsls|lsrs|asrs|rors|rrxs)$"), NZ | C))
_READS_C = re.compile(r"(adcs?|sbcs?|rrxs?)$")
_SHIFTS = re.compile(r"(lsls|lsrs|asrs|rors)$")
_SETS_GE = re.compile(r"[su](add8|add16|sub8|sub16|asx|sax)$")  # not the saturating and the halving ones
_CONSTANT = re.compile(r"#(-?\w+)$")
_UNMOVABLE = {
    "undefined": "it is no instruction", "hint": "it waits for events", "barrier": "it is a barrier", "system": "it reads or writes system registers",
    "load_exclusive": "it is exclusive", "store_exclusive": "it is exclusive", "fp_system": "it reads or writes FPSCR"}
_FPSCR = re.compile(r"(vcmp|vsel)")


class Access(NamedTuple):
    """Bytes from `offset` on behind the value of register `base`; size None: at an index that is not known."""

    base: int
    offset: int
    size: int | None
    stores: bool


class Effects(NamedTuple):
    """reads, writes: masks; a register that is only written under a condition is read, too. steps: register -> constant that is added
    to a register's value to make it (register, constant)."""

    reads: int
    writes: int
    access: Access | None
    steps: tuple[tuple[int, int, int], ...]


def unmovable(instruction: Instruction) -> str:
    """Why an instruction cannot be part of a schedule, in words; "" when it can."""
    if instruction.flags & Flag.BRANCH:
        return "it branches, and a region is straight-line code"
    if instruction.flags & Flag.LITERAL or instruction.reads >> PC & 1:
        return "what it reads lies at a distance from it; put it before the region"
    if _FPSCR.match(instruction.text):
        return "it reads or writes flags of floating point"
    return _UNMOVABLE.get(instruction.kind, "")


def stem(instruction: Instruction) -> str:
    """The mnemonic without width and condition; an S that sets flags stays."""
    name = instruction.text.partition(" ")[0].split(".")[0]
    conditional = instruction.condition < ALWAYS and instruction.kind != "it"
    return name.removesuffix(_CONDITIONS[instruction.condition]) if conditional else name


def effects(instruction: Instruction) -> Effects:
    """Of one instruction that is not `unmovable`."""
    reads, writes = instruction.reads & REGISTERS & ~ALL_FLAGS & ~GE, instruction.writes & REGISTERS & ~ALL_FLAGS & ~GE
    reads |= instruction.addend
    name, conditional = stem(instruction), instruction.condition < ALWAYS and instruction.kind != "it"
    writes |= (written := next((mask for pattern, mask in _FLAGS_WRITTEN if pattern.match(name)), 0))
    if written == NZ | C and not (_SHIFTS.match(name) and _CONSTANT.search(instruction.text)):
        reads |= C  # which stays as it was where nothing is shifted
    if _READS_C.match(name):
        reads |= C
    if _SETS_GE.match(name):
        writes |= GE
    if name == "sel":
        reads |= GE
    if conditional:
        reads |= _NEEDS[instruction.condition] | writes
    return Effects(reads, writes, _access(instruction), _steps(instruction, name, conditional))


def _access(instruction: Instruction) -> Access | None:
    if not instruction.accesses:
        return None
    size = None if instruction.index >= 0 else instruction.access_size * instruction.accesses
    return Access(instruction.base, instruction.offset, size, bool(instruction.flags & Flag.STORE))


def _steps(instruction: Instruction, name: str, conditional: bool) -> tuple[tuple[int, int, int], ...]:
    """(register, register that it is made of, constant): write-back, and additions of constants."""
    if conditional:
        return ()
    if instruction.flags & Flag.WRITEBACK and instruction.index < 0:
        step = _written_back(instruction, name)
        return () if step is None else ((instruction.base, instruction.base, step),)
    constant = _CONSTANT.search(instruction.text)
    sources, targets = instruction.reads & CORE, instruction.writes & CORE
    if name not in ("add", "adds", "addw", "sub", "subs", "subw") or not constant or sources.bit_count() != 1 or targets.bit_count() != 1:
        return ()
    if re.search(r"(lsl|lsr|asr|ror) #", instruction.text):
        return ()
    value = int(constant[1], 0) * (-1 if name.startswith("sub") else 1)
    return ((targets.bit_length() - 1, sources.bit_length() - 1, value),)


def _written_back(instruction: Instruction, name: str) -> int | None:
    """What write-back adds to the base."""
    if name.startswith(("ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop")):
        size = 4 * instruction.accesses
        return -size if instruction.offset < 0 else size
    if instruction.text.endswith("!"):
        return instruction.offset
    constant = _CONSTANT.search(instruction.text)
    return int(constant[1], 0) if constant else None
