"""What an instruction is there for, in a kernel: multiplication, unpacking, access, requantization, loop, call, or none of these.

Found in the code that ran, not in its sources, so assembly, C and code without debug information are treated alike. Most classes
follow from the instruction. Two follow from the data:

    requantize   what a product of 32 by 32 bits flows into until it is stored (fixed-point rescaling; SMMUL, SMMLA, SMULL, SMLAL and the
                 like, or a call that stands for them), what made that product's operands, saturation, and the arithmetic of functions and
                 source files that are called so; in code that has none of these, what is made of sums of products and stored as a byte
    loop         branches, and what set the flags that they ask for
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from emu.experiment.sums import lane_sums, long_sums, sums
from emu.experiment.target import Ran
from emu.isa.instruction import FLAGS_BIT, Flag, Instruction
from emu.timing import pricing
from emu.timing.roles import roles
from emu.timing.step import Step

CLASSES = {
    "MAC": "multiply-accumulates: SMLAD, MLA, VFMA; a multiply and the addition that takes its product",
    "unpack": "widening and packing: SXTB16, SXTB, PKHBT and the like; shifts of products that stand two in a word",
    "load": "loads, literals and LDM among them; moves out of the FPU's registers, where these stand for memory",
    "store": "stores; moves into the FPU's registers",
    "requantize": "from the accumulator to the output: high multiplies, rounding shifts, saturation, clamps",
    "loop": "branches with their refill, and what sets the flags that they ask for",
    "call": "BL, returns, PUSH, POP, moves of the stack pointer",
    "other": "addresses, counters, moves",
}
_SP, _FLAGS = 13, 1 << FLAGS_BIT
_RESULTS, _CLOBBERED = 0b0011, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 14  # of a call (AAPCS): r0, r1; r0-r3, r12, lr
_HIGH_MULTIPLY = re.compile(r"smm(ul|la|ls)r?|[su]mull|[su]mlal(\.w)? |umaal")
_RESCALES = re.compile(r"requant|__aeabi_lmul$", re.IGNORECASE)
_SATURATES = re.compile(r"[us]sat|q(add|sub|dadd|dsub)\b")
_UNPACKS = re.compile(r"([us]xta?(b16|b|h)|pkh(bt|tb))\b|([us]xta?(b16|b|h)|pkh(bt|tb))(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)")
_KEPT = {"fp_to_core": "load", "fp_pair_to_core": "load", "fp_from_core": "store", "fp_pair_from_core": "store"}
_ADDS = ("add", "shifted_operand", "fp_add")
_MULTIPLIES = frozenset({"multiply", "multiply_accumulate", "long_multiply_accumulate", "fp_multiply", "fp_multiply_accumulate"})


def classes(ran: Ran) -> dict[int, str]:
    """Address -> class, of every instruction that ran."""
    streams = [pricing.steps(ran.instructions, *key) for key in sorted({(s.start, s.end, s.events) for s in ran.counts.streams})]
    long = long_sums(streams) | lane_sums(streams)
    rescaled, products, shifts, flags = _rescaled(ran, streams, long), set(long), set(), set()
    for steps in streams:
        products |= _sums_of_products(steps)
        flags |= set(_flags_of_branches(steps))
    if not rescaled:
        found = sums(streams)
        rescaled, products, shifts = found.requantized, products | found.products, found.shifts
    executed = {step.instruction.address: step.instruction for steps in streams for step in steps}
    named = _named(ran, executed)
    return {address: _class(instruction, address in rescaled, address in products, address in flags, address in named, address in shifts)
            for address, instruction in executed.items()}


def _class(instruction: Instruction, rescaled: bool, product: bool, flags: bool, named: bool, shifted: bool) -> str:
    """The first that it is."""
    flag = instruction.flags
    if _calls(instruction):
        return "call"
    if flag & Flag.BRANCH:
        return "loop"
    if instruction.accesses:
        return "store" if flag & Flag.STORE else "load"
    if rescaled or _SATURATES.match(instruction.text) or (named and (product or instruction.kind in _MULTIPLIES)):
        return "requantize"
    if product or instruction.kind in _MULTIPLIES:
        return "MAC"
    if flags:
        return "loop"
    if named:
        return "requantize"
    if kept := _KEPT.get(roles(instruction).form):
        return kept
    return "unpack" if shifted or _UNPACKS.match(instruction.text) else "other"


def _calls(instruction: Instruction) -> bool:
    """Calls and returns, and what belongs to them: PUSH, POP, room on the stack."""
    if instruction.kind == "branch_link" or (instruction.kind == "branch_register" and ("blx" in instruction.text or instruction.reads >> 14 & 1)):
        return True
    return bool(instruction.writes >> _SP & 1) and (not instruction.accesses or instruction.base == _SP)


def _named(ran: Ran, addresses: Iterable[int]) -> set[int]:
    """Of functions or source files that are called for rescaling, by their own name or by that of what they were compiled from."""
    addresses = list(addresses)
    lines = ran.image.source_lines(addresses)
    return {address for address, line in zip(addresses, lines, strict=True)
            if _RESCALES.search(ran.numbering.names[ran.numbering.at(address)]) or (line and _RESCALES.search(line.rpartition("/")[2]))}


# --- data ---


def _rescaled(ran: Ran, streams: Sequence[Sequence[Step]], long: set[int]) -> set[int]:
    """Addresses of what high multiplies flow into, through registers, from stream to stream; and of what made their operands."""
    found: set[int] = set()
    entry: dict[int, int] = defaultdict(int)  # registers that hold such values where a stream begins
    by_start: dict[int, list[Sequence[Step]]] = defaultdict(list)
    for steps in streams:
        by_start[steps[0].instruction.address].append(steps)
    waiting = list(by_start)
    while waiting:
        start = waiting.pop()
        for steps in by_start[start]:
            mask = _flow(ran, steps, entry[start], found, long)
            target, mask = _next(ran, steps[-1].instruction, mask)
            if target in by_start and mask & ~entry[target]:
                entry[target] |= mask
                waiting.append(target)
    return found


def _flow(ran: Ran, steps: Sequence[Step], mask: int, found: set[int], long: set[int]) -> int:
    """Walk one stream: `mask` are registers that hold what a high multiply flowed into, before it, and returned, behind it. What arithmetic makes
    of a sum of 64 bits or of lanes (`long`: the addresses of what adds it up) flows on like a high multiply's product."""
    summed = 0
    makers: dict[int, int] = {}  # register -> address of what wrote it last, where that is plain arithmetic
    for instruction, skipped, _ in steps:
        if skipped:
            continue
        adds_up = instruction.address in long
        if adds_up:
            mask &= ~instruction.writes
        elif _HIGH_MULTIPLY.match(instruction.text) or (instruction.kind == "branch_link" and _rescaling_call(ran, instruction)):
            operands = 0b1111 if instruction.kind == "branch_link" else instruction.reads
            found |= {makers[register] for register in _registers(operands) if register in makers}
            found.add(instruction.address)
            mask |= instruction.writes
        elif instruction.reads & (mask | summed) and not (instruction.accesses or instruction.flags & Flag.BRANCH or instruction.kind in _MULTIPLIES):
            found.add(instruction.address)
            mask |= instruction.writes
        else:
            mask &= ~instruction.writes
        summed = summed & ~instruction.writes | (instruction.writes if adds_up else 0)
        plain = instruction.kind == "alu"
        for register in _registers(instruction.writes):
            makers.pop(register, None)
            if plain:
                makers[register] = instruction.address
    return mask


def _next(ran: Ran, last: Instruction, mask: int) -> tuple[int, int]:
    """Where a stream that ends in this branch leads within its function (-1: nobody knows), and the registers there."""
    if last.kind != "branch_link":
        return roles(last).target, mask
    return last.address + last.size, mask & ~_CLOBBERED | (_RESULTS if _rescaling_call(ran, last) else 0)


def _rescaling_call(ran: Ran, call: Instruction) -> bool:
    return bool(_RESCALES.search(ran.numbering.names[ran.numbering.at(roles(call).target)]))


def _sums_of_products(steps: Sequence[Step]) -> set[int]:
    """Additions that take what a multiply left: together they are the MAC of a core or a data type that has no single instruction for it."""
    found, products = set(), 0
    for instruction, skipped, _ in steps:
        if skipped:
            continue
        adds = instruction.reads & products and roles(instruction).form in _ADDS
        if adds:
            found.add(instruction.address)
        products &= ~(instruction.writes | (instruction.reads if adds else 0))
        if instruction.kind in ("multiply", "fp_multiply") and not _HIGH_MULTIPLY.match(instruction.text):
            products |= instruction.writes & ~_FLAGS
    return found


def _flags_of_branches(steps: Sequence[Step]) -> Iterator[int]:
    """Addresses of what set the flags of the stream's conditional branches."""
    setter = -1
    for instruction, skipped, _ in steps:
        if instruction.kind == "branch" and instruction.reads & _FLAGS and setter >= 0:
            yield setter
        if instruction.writes & _FLAGS and not skipped:
            setter = instruction.address


def _registers(mask: int) -> Iterator[int]:
    return (number for number in range(mask.bit_length()) if mask >> number & 1 and number != FLAGS_BIT)
