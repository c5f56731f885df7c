"""Which orders of a region's instructions, and which registers for their values, leave what it computes as it was.

A value is what one instruction writes into one register (or a flag), or what was there before the region. An order is legal when
every instruction finds the values that it found in the original order, when every value that is needed behind the region is there
at its end, and when accesses to memory that may meet keep their order. That is checked by following the values through the order,
so it holds whatever registers the values are in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from emu.experiment.search.effects import CORE, REGISTERS, Access, effects, stem
from emu.isa.instruction import Instruction


@dataclass(frozen=True)
class Unit:
    """What moves as one: an instruction, or an IT block. first: the place of its first instruction in the region."""

    first: int
    instructions: tuple[Instruction, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(instruction.size for instruction in self.instructions)


@dataclass
class Value:
    """place: the register (bit of a mask) that it is in, in the original; producer: a unit, -1 before the region; users: mask of the units
    that read it; kept: needed behind the region."""

    place: int
    producer: int
    users: int = 0
    kept: bool = False


@dataclass
class Flow:
    """reads, writes: values by unit; before: mask of the units that a unit must stay behind, for values or memory."""

    units: Sequence[Unit]
    values: list[Value] = field(default_factory=list)
    reads: list[tuple[int, ...]] = field(default_factory=list)
    writes: list[tuple[int, ...]] = field(default_factory=list)
    before: list[int] = field(default_factory=list)

    @property
    def original(self) -> tuple[int, ...]:
        """The places of all values."""
        return tuple(value.place for value in self.values)

    def legal(self, order: Sequence[int], places: Sequence[int]) -> bool:
        """Whether the units in that order, with the values in those places, do what they did."""
        holds, done = dict(self._at_first), 0
        for unit in order:
            if self.before[unit] & ~done or any(holds.get(places[number]) != number for number in self.reads[unit]):
                return False
            done |= 1 << unit
            written = self.writes[unit]
            for number in written:
                holds[places[number]] = number
            if any(holds[places[number]] != number for number in written):
                return False
        return all(holds[places[number]] == number for number in self._at_last)

    @cached_property
    def _at_first(self) -> dict[int, int]:
        return {value.place: number for number, value in enumerate(self.values) if value.producer < 0}

    @cached_property
    def _at_last(self) -> list[int]:
        return [number for number, value in enumerate(self.values) if value.kept]

    def orders(self, places: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Every legal order, depth first; the original comes first."""
        following = self.following(places)
        order: list[int] = []

        def extend(done: int) -> Iterator[tuple[int, ...]]:
            if len(order) == len(self.units):
                yield tuple(order)
            for unit in following(done):
                order.append(unit)
                yield from extend(done | 1 << unit)
                order.pop()

        return extend(0)

    def count(self, places: Sequence[int], most: int) -> int:
        """How many legal orders there are, or `most` + 1 when there are more, or too many to be counted."""
        following, whole = self.following(places), (1 << len(self.units)) - 1
        ways = {0: 1}
        for _ in self.units:
            wider: defaultdict[int, int] = defaultdict(int)
            for done, number in ways.items():
                for unit in following(done):
                    wider[done | 1 << unit] += number
            if len(wider) > most:
                return most + 1
            ways = wider
        return min(ways.get(whole, 0), most + 1)

    def moves(self, unit: int, places: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
        """Old place -> new one, of what a unit reads and of what it writes."""
        return tuple({self.values[value].place: places[value] for value in values} for values in (self.reads[unit], self.writes[unit]))

    def following(self, places: Sequence[int]) -> _Following:
        """What may come next behind a set of units."""
        return _Following(self, places)


class _Following:
    """Called with a mask of units that were done in a legal order: the units that may be the next one."""

    def __init__(self, flow: Flow, places: Sequence[int]) -> None:
        at: defaultdict[int, list[int]] = defaultdict(list)
        for number, place in enumerate(places):
            at[place].append(number)
        behind = 1 << len(flow.units)
        # of each value: what must be done before it is there, and what must be done before it may go
        there = [1 << value.producer if value.producer >= 0 else 0 for value in flow.values]
        needed = [value.users | behind * value.kept for value in flow.values]
        self._before, self._all = flow.before, range(len(flow.units))
        self._lost = [[(there[other], needed[other] & ~(1 << unit)) for number in flow.writes[unit] for other in at[places[number]]
                       if other != number] for unit in self._all]

    def __call__(self, done: int) -> list[int]:
        return [unit for unit in self._all if not done >> unit & 1 and not self._before[unit] & ~done and not any(
            there & done == there and needed & ~done for there, needed in self._lost[unit])]


def flow(expansions: Sequence[Sequence[Unit]], kept: int, *, noalias: bool = False) -> Flow:
    """Of a region whose expansions have the same instructions with different constants. kept: mask of what is needed behind it."""
    found = _values(expansions[0], kept)
    for units in expansions:
        for unit, earlier in enumerate(_meets(units, noalias)):
            found.before[unit] |= earlier
    return found


def _values(units: Sequence[Unit], kept: int) -> Flow:
    found = Flow(units)
    now: dict[int, int] = {}
    for place in bits(REGISTERS):
        now[place] = len(found.values)
        found.values.append(Value(place, -1))
    for number, unit in enumerate(units):
        reads, writes = masks(unit)
        taken = tuple(now[place] for place in bits(reads))
        for value in taken:
            found.values[value].users |= 1 << number
        found.reads.append(taken)
        found.before.append(sum({1 << producer for value in taken if (producer := found.values[value].producer) >= 0}))
        made = []
        for place in bits(writes):
            now[place] = len(found.values)
            made.append(now[place])
            found.values.append(Value(place, number))
        found.writes.append(tuple(made))
    for place in bits(kept):
        found.values[now[place]].kept = True
    return found


def masks(unit: Unit) -> tuple[int, int]:
    """What a unit reads that was there before it, and what it writes."""
    reads = writes = 0
    for instruction in unit.instructions:
        done = effects(instruction)
        reads |= done.reads & ~writes
        writes |= done.writes
    return reads, writes


def bits(mask: int) -> list[int]:
    """Numbers of the bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _meets(units: Sequence[Unit], noalias: bool) -> list[int]:
    """By unit: mask of the earlier ones whose accesses it may not pass."""
    bases: dict[int, tuple[object, int]] = {}  # register -> what its value began as, and what was added to that
    accesses: list[tuple[int, object, int, Access]] = []
    found = [0] * len(units)
    for number, unit in enumerate(units):
        for instruction in unit.instructions:
            done = effects(instruction)
            if done.access:
                root, added = bases.get(done.access.base, (done.access.base, 0))
                for other, base, offset, access in accesses:
                    if other != number and (access.stores or done.access.stores) and _may_meet(
                            (base, offset, access.size), (root, added + done.access.offset, done.access.size), noalias):
                        found[number] |= 1 << other
                accesses.append((number, root, added + done.access.offset, done.access))
            moved = {target: (root, added + constant) for target, source, constant in done.steps
                     for root, added in [bases.get(source, (source, 0))]}
            for register in bits(done.writes & CORE):
                bases[register] = moved.get(register, ((number, register, instruction.address), 0))
    return found


def _may_meet(one: tuple[object, int, int | None], other: tuple[object, int, int | None], noalias: bool) -> bool:
    """Whether two accesses (base, offset, bytes) can touch the same byte."""
    if one[0] != other[0]:
        return not noalias
    if one[2] is None or other[2] is None:
        return True
    return one[1] < other[1] + other[2] and other[1] < one[1] + one[2]


def units_of(instructions: Sequence[Instruction]) -> tuple[Unit, ...]:
    """Instructions one by one, IT blocks whole."""
    units: list[Unit] = []
    at = 0
    while at < len(instructions):
        block = len(stem(instructions[at])) if instructions[at].kind == "it" else 1
        units.append(Unit(at, tuple(instructions[at:at + block])))
        at += block
    return tuple(units)
