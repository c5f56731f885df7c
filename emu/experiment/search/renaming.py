"""Other registers for the values of a region: which values may move where, and instructions with other registers.

A register can be another one where the instruction names it by itself. What an instruction both reads and writes by one name (a base
that is written back, the accumulator of UMLAL, BFI's target), registers of lists and pairs, and all of an IT block stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from emu.experiment.search.effects import ALWAYS, CORE, LR, SP
from emu.experiment.search.flow import Flow, Unit, bits
from emu.isa.instruction import Flag, Instruction

NAMES = {**{f"r{n}": n for n in range(13)}, "sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": SP, "lr": LR, "pc": 15}
_NAME = re.compile(r"\b(" + "|".join(sorted(NAMES, key=len, reverse=True)) + r")\b", re.IGNORECASE)
LOW, HIGH = 0xFF, 0x1FFF | 1 << LR  # what 16-bit encodings and 32-bit encodings can name
_PINNED = frozenset({"load_multiple", "store_multiple", "long_multiply", "long_multiply_accumulate", "it"})


class Fields(NamedTuple):
    """Masks of the registers that an instruction can read, and write, under another name."""

    reads: int
    writes: int


def fields(instruction: Instruction) -> Fields:
    """What of an instruction can be renamed."""
    if instruction.kind in _PINNED or instruction.condition < ALWAYS or instruction.flags & Flag.FP:
        return Fields(0, 0)
    named = names(instruction.text)
    reads, writes = instruction.reads & CORE, instruction.writes & CORE
    if instruction.flags & Flag.WRITEBACK:
        writes &= ~(1 << instruction.base)
        reads &= ~(1 << instruction.base)
    if not writes:
        return Fields(reads & ~(1 << SP), 0)
    target = 1 << named[0]
    tied = target & reads and (named[0] not in named[1:] or instruction.kind == "multiply" and not instruction.wide)
    if writes != target or tied:
        return Fields(reads & ~target & ~(1 << SP), 0)
    return Fields(reads & ~(1 << SP), writes & ~(1 << SP))


def names(text: str) -> list[int]:
    """The core registers that an instruction's operands name, in their order."""
    return [NAMES[name.lower()] for name in _NAME.findall(text.partition(" ")[2])]


def targets(flow: Flow) -> list[int]:
    """By value: mask of the registers that it may be in; 0 for one that stays where it is."""
    free = [fields(unit.instructions[0]) if len(unit.instructions) == 1 else Fields(0, 0) for unit in flow.units]
    found = []
    for value in flow.values:
        named = 1 << value.place
        movable = value.producer >= 0 and not value.kept and free[value.producer].writes & named
        users = bits(value.users) if movable else []
        if not movable or any(not free[user].reads & named for user in users):
            found.append(0)
            continue
        narrow = any(not flow.units[unit].instructions[0].wide for unit in (value.producer, *users))
        found.append(LOW if narrow else HIGH)
    return found


def renamed(unit: Unit, reads: Mapping[int, int], writes: Mapping[int, int]) -> tuple[Instruction, ...]:
    """The unit's instructions with other registers (old -> new; what is missing stays)."""
    if all(old == new for old, new in (*reads.items(), *writes.items())):
        return unit.instructions
    (instruction,) = unit.instructions
    return (instruction._replace(
        text=substituted(instruction, instruction.text, reads, writes), reads=_moved(instruction.reads, reads), writes=_moved(instruction.writes, writes),
        base=reads.get(instruction.base, instruction.base), index=reads.get(instruction.index, instruction.index)),)


def substituted(instruction: Instruction, text: str, reads: Mapping[int, int], writes: Mapping[int, int]) -> str:
    """`text`, which names the same registers as the instruction's own, with others."""
    head, space, operands = text.partition(" ")
    number = iter(range(len(operands)))
    writes_first = bool(fields(instruction).writes)

    def other(match: re.Match[str]) -> str:
        old = NAMES[match[0].lower()]
        new = (writes if next(number) == 0 and writes_first else reads).get(old, old)
        return match[0] if new == old else "lr" if new == LR else f"r{new}"

    return head + space + _NAME.sub(other, operands)


def _moved(mask: int, names: Mapping[int, int]) -> int:
    kept = mask & ~CORE
    for register in bits(mask & CORE):
        kept |= 1 << names.get(register, register)
    return kept


def plain(text: str) -> str:
    """An instruction's text with registers by number, and numbers in decimal where they are small."""
    text = _NAME.sub(lambda match: match[0] if match[0] in ("sp", "lr", "pc") else f"r{NAMES[match[0].lower()]}", text)
    return re.sub(r"#(-?)0x([0-9a-f]{1,3})\b", lambda match: f"#{match[1]}{int(match[2], 16)}", text)


