"""A schedule as source text: the region's lines in another order, with other registers.

A line that is one instruction (or an IT block) moves with its comment and keeps what macros put into it. A call of a macro stays a
call where its instructions stay together as they were; else they are written out, which needs them to be the same wherever the region
is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from emu.experiment.search.cost import Schedule
from emu.experiment.search.marks import statement
from emu.experiment.search.renaming import names, plain, substituted
from emu.experiment.search.subject import Subject
from emu.isa.instruction import Instruction

INDENT = "    "
# What 16-bit encodings there are of: with low registers the assembler would take them.
_NARROW = re.compile(r"(adc|add|and|asr|bic|cmn|cmp|eor|ldr(s?[bh])?|ls[lr]|mov|mul|mvn|orr|rev(16|sh)?|ror|rsb|sbc|str[bh]?|sub|[su]xt[bh]|tst)s?$")


class Rewritten(NamedTuple):
    """lines: what stands between the marks, without line ends; obstacle: why they cannot be written into the source, "" when they can."""

    lines: tuple[str, ...]
    obstacle: str = ""


def lines(subject: Subject, schedule: Schedule) -> Rewritten:
    """The region's source in that order."""
    source = (subject.sources.root / subject.region.file).read_text(errors="replace").splitlines()
    owners = _owners(subject)
    obstacle = f"{subject.others} of its expansions have other instructions" if subject.others else ""
    found: list[str] = []
    order, met = list(schedule.order), set()
    while order:
        item = subject.region.items[owners[order[0]]]
        units = [unit for unit, owner in enumerate(owners) if owner == owners[order[0]]]
        text = source[item.first - 1:item.last]
        if item not in met:
            found += source[item.comments - 1:item.first - 1]
        met.add(item)
        if order[:len(units)] == units and not any(renamed(subject, unit, schedule) for unit in units):
            found += text
        elif len(units) == 1 and (line := _with_registers(subject, units[0], schedule, text[0])):
            found.append(line)
        else:
            units = order[:1]
            if _differs(subject, units[0], text):
                obstacle = obstacle or f"line {item.first} calls a macro whose instructions differ from expansion to expansion; write it out"
            found += [INDENT + _columns(line) for line in _texts(subject.cost.instructions(0, units[0], 0, schedule.places))]
        del order[:len(units)]
    return Rewritten((*found, *source[subject.region.items[-1].last:subject.region.end - 1]), obstacle)


def written(subject: Subject, rewritten: Rewritten) -> str:
    """The whole file with the region rewritten."""
    text = (subject.sources.root / subject.region.file).read_text(errors="replace")
    old = text.splitlines(keepends=True)
    end = "\r\n" if old[0].endswith("\r\n") else "\n"
    new = [line + end for line in rewritten.lines]
    return "".join([*old[:subject.region.begin], *new, *old[subject.region.end - 1:]])


def _owners(subject: Subject) -> list[int]:
    """By unit the number of the region's item that it comes from."""
    place, units = subject.expansions[0]
    return [place.item_at(unit.instructions[0].address) for unit in units]


def renamed(subject: Subject, unit: int, schedule: Schedule) -> bool:
    """Whether a unit has other registers than in the original."""
    flow = subject.flow
    return any(schedule.places[value] != flow.values[value].place for value in (*flow.reads[unit], *flow.writes[unit]))


def _with_registers(subject: Subject, unit: int, schedule: Schedule, line: str) -> str:
    """The one line of a unit with other registers; "" where it does not name the instruction's registers one by one."""
    instruction, words = subject.units[unit].instructions[0], statement(line)
    if names(words) != names(instruction.text):
        return ""
    at = line.index(words)
    mnemonic, operands = words.split(None, 1)
    wide = ".w" if instruction.wide and _NARROW.match(mnemonic) else ""
    new = substituted(instruction, f"{mnemonic}{wide} {operands}", *subject.flow.moves(unit, schedule.places))
    return line[:at] + _columns(new) + line[at + len(words):]


def _differs(subject: Subject, unit: int, text: Sequence[str]) -> bool:
    """Whether an instruction is not the same in all expansions, or a macro's parameter stands there, so that others could differ."""
    return len({_texts(units[unit].instructions) for _, units in subject.expansions}) > 1 or any("\\" in statement(line) for line in text)


def _texts(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    return tuple(plain(instruction.text) for instruction in instructions)


def _columns(text: str) -> str:
    """Mnemonic and operands as the kernels set them."""
    head, _, operands = text.partition(" ")
    return f"{head:<7} {operands}" if operands else head
