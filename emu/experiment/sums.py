"""Sums of products, where an instruction alone does not say that it makes one.

`long_sums`: in 64 bits, SMULL and SMLAL, which elsewhere rescale. `lane_sums`: in lanes of a word, SMMLA and the like, which elsewhere rescale, too.

`sums`: on a core that has no product of 32 by 32 bits requantization is shifts, halves and tables. A product is multiplied from what was loaded;
it may be shifted, and two may be added and shifted, as where channels share a word. A product and anything else make a sum. What arithmetic
makes of a sum, other multiplies among it, is requantization where it is stored as a byte in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from emu.isa.instruction import FLAGS_BIT, Flag, Instruction
from emu.timing.roles import roles
from emu.timing.step import Step

_HIGH = re.compile(r"smml[as]")
_LONG = re.compile(r"[su]m(ull|lal)(\.w)? ")
_ADDS = re.compile(r"ad[cd]s?[ .]")
_FLAGS = 1 << FLAGS_BIT


class Sums(NamedTuple):
    """Addresses: of multiplies and the additions that take their products, of shifts of products, and of what is made of sums."""

    products: set[int]
    shifts: set[int]
    requantized: set[int]


def _issued(steps: Sequence[Step]) -> list[Instruction]:
    """Those of the stream that an IT block did not skip."""
    return [step.instruction for step in steps if not step.skipped]


def long_sums(streams: Iterable[Sequence[Step]]) -> set[int]:
    """Addresses of SMULL and SMLAL that add up products in 64 bits: one adds to what another left; or it leaves, at the end of its stream, what
    others elsewhere add to."""
    found, added, last = set(), set(), []
    for steps in streams:
        left: dict[int, int] = {}  # pair of registers, as a mask -> address of what wrote it
        for instruction in _issued(steps):
            pair = instruction.writes & ~_FLAGS
            if _LONG.match(instruction.text) and pair in left and instruction.reads & pair == pair:
                found |= {left[pair], instruction.address}
                added.add(pair)
            left = {other: address for other, address in left.items() if not other & pair}
            if _LONG.match(instruction.text):
                left[pair] = instruction.address
        last += left.items()
    return found | {address for pair, address in last if pair in added}


def lane_sums(streams: Iterable[Sequence[Step]]) -> set[int]:
    """Addresses of SMMLA and the like that add up products, lanes of a word, and of the multiplies beside them. One that rescales takes no
    product but as a factor, and nothing adds to what it leaves but multiples of its own sign."""
    found: set[int] = set()
    for steps in streams:
        left: dict[int, list[Instruction]] = {}  # register, as a mask -> the products that it is the sum of
        made = 0  # registers that arithmetic made of such sums
        for instruction in _issued(steps):
            role, writes = roles(instruction), instruction.writes & ~_FLAGS
            parts = dict(role.reads)
            added, factors = parts.get("accumulate", 0), parts.get("operand", 0)
            product = [instruction] if role.form in ("multiply", "multiply_add") and not factors & made else []
            if product and added in left and not added & factors:
                product += left[added]
                if any(_HIGH.match(part.text) for part in product):
                    found.update(part.address for part in product)
            made = made & ~writes | (writes if instruction.kind == "alu" and any(instruction.reads & register for register in left) else 0)
            left = {register: products for register, products in left.items() if not register & writes}
            if product:
                left[writes] = product
    return found


def sums(streams: Iterable[Sequence[Step]]) -> Sums:
    """Stream by stream: a sum is known from its last addition on."""
    found = Sums(set(), set(), set())
    for steps in streams:
        issued = _issued(steps)
        made = _made(issued, found)
        found.requantized.update(instruction.address for instruction in _stored(issued) if instruction.address in made)
    return found


def _made(issued: Sequence[Instruction], found: Sums) -> set[int]:
    """Addresses of what is made of sums. Fills in products and shifts."""
    made, products, summed = set(), 0, 0  # masks of registers
    for instruction in issued:
        reads, writes, form = instruction.reads & ~_FLAGS, instruction.writes & ~_FLAGS, roles(instruction).form
        product = addition = False
        if instruction.kind == "multiply" and not reads & summed:
            product = True
        elif reads & products and _ADDS.match(instruction.text):
            product, addition = not reads & ~products, bool(reads & ~products)
        elif reads & products and form in ("shift", "move"):
            product = True
        elif reads & summed and instruction.kind in ("alu", "multiply"):
            made.add(instruction.address)
        if (product or addition) and form != "move":
            (found.shifts if form == "shift" else found.products).add(instruction.address)
        products = products & ~writes | (writes if product else 0)
        summed = summed & ~writes | (writes if addition or instruction.address in made else 0)
    return made


def _stored(issued: Sequence[Instruction]) -> Iterator[Instruction]:
    """The arithmetic whose results end in a byte that is stored."""
    wanted = 0
    for instruction in reversed(issued):
        if instruction.flags & Flag.STORE and instruction.access_size == 1:
            wanted |= dict(roles(instruction).reads).get("data", 0)
        elif instruction.writes & wanted:
            wanted &= ~instruction.writes
            if not instruction.accesses:
                wanted |= instruction.reads
                yield instruction
