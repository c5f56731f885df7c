"""What an in-order dual-issue pipeline asks of an instruction: its form, and what part each register that it reads plays.

Forms are finer than kinds: two additions may issue together, two additions with a shifted operand may not. A register is read as

    operand     of the arithmetic
    shifted     by the instruction's own shift, rotation or extraction
    accumulate  added to a product, or to an extended value
    address     base or index of an access
    data        what is stored
    flags       the condition or the carry
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from emu.isa.instruction import FLAGS_BIT, S_BIT, Flag, Instruction

ROLES = ("operand", "shifted", "accumulate", "address", "data", "flags")
FORMS = (
    "add", "move", "logic", "shift", "shifted_operand", "shifted_constant", "extend", "extend_add", "extract", "insert", "pack", "reverse",
    "simd", "saturate", "multiply", "multiply_add", "divide", "nop", "it", "system",
    "load", "load_narrow", "load_multiple", "store", "store_narrow", "store_multiple", "exclusive",
    "branch", "branch_register", "table_branch",
    "fp_load", "fp_store", "fp_load_multiple", "fp_store_multiple", "fp_add", "fp_multiply", "fp_fused", "fp_chained", "fp_divide",
    "fp_double", "fp_double_multiply", "fp_double_fused", "fp_double_divide",
    "fp_to_core", "fp_from_core", "fp_constant", "fp_copy", "fp_pair_to_core", "fp_pair_from_core", "fp_flags",
)

_NAMES = {f"r{n}": n for n in range(13)} | {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
_BY_KIND = {
    "undefined": "system", "hint": "system", "barrier": "system", "system": "system", "it": "it", "nop": "nop", "divide": "divide",
    "load_multiple": "load_multiple", "store_multiple": "store_multiple", "load_exclusive": "exclusive", "store_exclusive": "exclusive",
    "branch": "branch", "branch_link": "branch", "compare_branch": "branch", "branch_register": "branch_register",
    "table_branch": "table_branch",
    "fp_load": "fp_load", "fp_store": "fp_store", "fp_load_multiple": "fp_load_multiple", "fp_store_multiple": "fp_store_multiple",
    "fp_divide": "fp_divide", "fp_system": "fp_flags", "fp_arithmetic": "fp_add", "fp_multiply": "fp_multiply"
}
# Mnemonic (without condition, width and the S that sets flags) -> form of a data-processing instruction; the first that matches counts.
_ALU = [(re.compile(pattern), form) for pattern, form in (
    (r"(add|addw|sub|subw|adr)$", "add"), (r"(mov|movw)$", "move"), (r"(lsl|lsr|asr|ror|rrx)$", "shift"),
    (r"[su]xta(b|h|b16)$", "extend_add"), (r"[su]xt(b|h|b16)$", "extend"), (r"[su]bfx$", "extract"), (r"bf[ic]$", "insert"),
    (r"pkh(bt|tb)$", "pack"), (r"(rev|rev16|revsh|rbit)$", "reverse"),
    (r"(and|orr|eor|bic|orn|mvn|mvns|tst|teq|cmp|cmn|adc|sbc|rsb|movt)$", "logic"), (r"([us]sat|u?q|usad)", "saturate"), (r"", "simd"))]
_SHIFTED = re.compile(r"(\w+), (lsl|lsr|asr|ror) (#\w+|\w+)$")
_LAST_CONSTANT = re.compile(r"#(-?\w+)$")
_DOUBLES = {"fp_add": "fp_double", "fp_multiply": "fp_double_multiply", "fp_fused": "fp_double_fused", "fp_chained": "fp_double_fused",
            "fp_divide": "fp_double_divide"}


class Roles(NamedTuple):
    """reads: (role, mask of registers) pairs; target: where a direct branch goes, or -1; offset: of an access from its base."""

    form: str
    reads: tuple[tuple[str, int], ...]
    target: int
    offset: int


@functools.lru_cache(maxsize=1 << 16)
def roles(instruction: Instruction) -> Roles:
    """The form of an instruction and the parts that its registers play; from its text, or the notation that stands there instead."""
    if instruction.text.startswith("="):
        return _read(instruction.text)
    stem, operands = _stem(instruction), instruction.text.partition(" ")[2]
    form = _form(instruction, stem, operands)
    masks = dict.fromkeys(ROLES, 0)
    rest = instruction.reads
    masks["flags"] = rest & 1 << FLAGS_BIT if form != "it" else 0
    addressed = {instruction.base, instruction.index} if form != "divide" else ()
    masks["address"] = rest & sum(1 << number for number in addressed if number >= 0)
    masks["accumulate"], masks["shifted"] = _accumulated(instruction, form, operands), _shifted(form, stem, operands)
    if instruction.flags & Flag.STORE:
        masks["data"] = _stored(instruction, operands)
    accumulated = masks["accumulate"] & ~_factors(instruction, form, operands)
    used = masks["flags"] | masks["address"] | accumulated | masks["shifted"] | masks["data"]
    masks["operand"] = 0 if form == "it" else rest & ~used & ~(1 << 15)
    target = -1
    if form == "branch" and "#" in operands:
        target = int(operands.rpartition("#")[2], 0) & 0xFFFFFFFF
    return Roles(form, tuple((role, mask) for role, mask in masks.items() if mask), target, instruction.offset)


def notation(instruction: Instruction) -> str:
    """What roles() finds, short, to be kept in place of the text: neither operation nor constants, but for offsets and targets."""
    form, reads, target, offset = roles(instruction)
    numbers = [f"{FORMS.index(form):x}", f"{target:x}", f"{offset:x}"]
    return "=" + " ".join([*numbers, *(f"{ROLES.index(role)}{mask:x}" for role, mask in reads)])


def _read(text: str) -> Roles:
    form, target, offset, *reads = text[1:].split(" ")
    return Roles(FORMS[int(form, 16)], tuple((ROLES[int(part[0])], int(part[1:], 16)) for part in reads), int(target, 16), int(offset, 16))


def _stem(instruction: Instruction) -> str:
    """The mnemonic without width, type and condition; an S that sets flags goes, too."""
    stem = instruction.text.partition(" ")[0].split(".")[0]
    if instruction.condition < 14 and instruction.kind != "it":
        stem = stem.removesuffix(_CONDITIONS[instruction.condition])
    if instruction.writes >> FLAGS_BIT & 1 and len(stem) > 3:
        stem = stem.removesuffix("s")
    return stem


def _form(instruction: Instruction, stem: str, operands: str) -> str:
    kind = instruction.kind
    if kind == "alu":
        return _alu(instruction, stem, operands)
    if kind in ("fp_load", "fp_store") and instruction.accesses > 1:
        return f"{kind}_multiple"
    if kind in ("load", "store"):
        return kind if instruction.access_size == 4 else f"{kind}_narrow"
    if "multiply" in kind and not kind.startswith("fp"):
        return "multiply_add" if _accumulated(instruction, "multiply_add", operands) else "multiply"
    if kind == "fp_move":
        return _moved(instruction)
    if kind == "fp_move_pair":
        return "fp_pair_to_core" if instruction.writes & 0xFFFF else "fp_pair_from_core" if instruction.reads & 0xFFFF else "fp_double"
    form = _BY_KIND.get(kind) or ("fp_chained" if re.match(r"vn?ml[as]", stem) else "fp_fused")
    return _DOUBLES.get(form, form) if ".f64" in instruction.text.partition(" ")[0] else form


def _alu(instruction: Instruction, stem: str, operands: str) -> str:
    form = next(form for pattern, form in _ALU if pattern.match(stem))
    if form in ("add", "move", "logic"):
        if _SHIFTED.search(operands):
            return "shifted_operand"
        constant = _LAST_CONSTANT.search(operands)
        if constant and instruction.wide and stem not in ("addw", "subw", "movw", "movt", "adr") and _is_shifted(int(constant[1], 0)):
            return "shifted_constant"
    return form


def _is_shifted(value: int) -> bool:
    """A modified immediate that is neither a byte nor a pattern of bytes (Armv7-M ARM, A5.3.2)."""
    value &= 0xFFFFFFFF
    low, second = value & 0xFF, value >> 8 & 0xFF
    return value not in (low, low | low << 16, second << 8 | second << 24, low * 0x01010101)


def _moved(instruction: Instruction) -> str:
    """VMOV of one single: from or to a core register, of a constant, or between singles."""
    if instruction.writes & 0xFFFF:
        return "fp_to_core"
    if instruction.reads & 0xFFFF:
        return "fp_from_core"
    return "fp_copy" if instruction.reads >> S_BIT else "fp_constant"


def _registers(operands: str) -> list[int]:
    return [_NAMES[name] for name in re.split(r"[\s,\[\]{}!]+", operands) if name in _NAMES]


def _accumulated(instruction: Instruction, form: str, operands: str) -> int:
    """Registers that are added to: the accumulator of a multiply, Rn of SXTAB and the like."""
    if instruction.addend:
        return instruction.addend
    if form == "extend_add":
        return 1 << _registers(operands)[1]
    if form != "multiply_add":
        return 0
    if instruction.kind.startswith("long_multiply"):
        return instruction.reads & instruction.writes if instruction.text.startswith(("smlal", "umlal", "umaal", "smlsld")) else 0
    named = _registers(operands)
    return 1 << named[3] if len(named) == 4 else 0


def _factors(instruction: Instruction, form: str, operands: str) -> int:
    """Registers that are multiplied or extended, which may be the accumulator, too."""
    if form.startswith("fp"):
        return instruction.reads
    named = _registers(operands) if form in ("multiply_add", "extend_add") else []
    factors = named[-2:] if instruction.kind.startswith("long_multiply") else named[1:3] if len(named) == 4 else named[2:]
    return sum(1 << number for number in set(factors))


def _shifted(form: str, stem: str, operands: str) -> int:
    """Registers that go through the shifter ahead of the arithmetic."""
    named = _registers(operands)
    if form == "shifted_operand":
        shift = _SHIFTED.search(operands)
        return sum(1 << _NAMES[name] for name in {shift[1], shift[3]} if name in _NAMES)
    if form == "pack":
        return sum(1 << number for number in set(named[1:] if stem == "pkhtb" else named[-1:]))
    return 1 << named[-1] if form in ("extend_add", "extract", "reverse") or form == "insert" and len(named) == 2 else 0


def _stored(instruction: Instruction, operands: str) -> int:
    """Registers whose values are stored."""
    if instruction.kind == "store":
        return 1 << _registers(operands)[0]
    address = sum(1 << number for number in {instruction.base, instruction.index} if number >= 0)
    return instruction.reads & ~address & ~(1 << FLAGS_BIT)
