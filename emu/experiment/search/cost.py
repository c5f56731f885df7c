"""What a schedule of a region costs: the streams of a run that go through the region, priced with its instructions in another order.

The region keeps its size, so nothing behind it moves; inside it every instruction is priced where it comes to lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from emu.experiment.search.flow import Flow, Unit
from emu.experiment.search.marks import Place
from emu.experiment.search.renaming import renamed
from emu.isa.instruction import Instruction
from emu.probe import Counts
from emu.timing.pricing import Prices
from emu.timing.step import Step

LOSS = 2  # what a cycle that a core loses counts beside itself, while schedules are searched; none that loses one is taken
MOST = 0.75  # of all executions
Key = tuple[int, int, bool, bool, bytes]  # start, end, taken, entered, events of a stream


class Schedule(NamedTuple):
    """order: units as they follow each other. places: of every value, the register that it is in."""

    order: tuple[int, ...]
    places: tuple[int, ...]


class _Through(NamedTuple):
    """A stream that goes through expansions of the region. at: (number of an expansion, place in the stream of its first instruction)."""

    key: Key
    count: int
    walk: tuple[Step, ...]
    at: tuple[tuple[int, int], ...]


class Cost:
    """Prices schedules of one region in one run, on one core or several."""

    def __init__(self, flow: Flow, expansions: Sequence[tuple[Place, tuple[Unit, ...]]], counts: Counts, cores: Sequence[Prices]) -> None:
        """expansions: where the region stands in the run's image, with its units there; no stream begins or ends inside."""
        self._flow, self._expansions, self._cores = flow, expansions, cores
        self._made: dict[tuple[int, int, int, tuple[int, ...]], tuple[Instruction, ...]] = {}
        self._through: list[_Through] = []
        self.layers: Counter[int] = Counter()  # layer -> how often it goes through an expansion
        streams: Counter[Key] = Counter()
        for stream in counts.streams:
            inside = [place for place, _ in expansions if place.start <= stream.end and stream.start < place.end]
            if inside:
                streams[stream.start, stream.end, stream.taken, stream.entered, stream.events] += stream.count
                self.layers[stream.layer] += stream.count * len(inside)
        for key, count in streams.items():
            walk = tuple(cores[0].steps(key[0], key[1], key[4]))
            place = {step.instruction.address: at for at, step in enumerate(walk)}
            at = tuple((number, place[where.start]) for number, (where, _) in enumerate(expansions) if where.start in place)
            self._through.append(_Through(key, count, walk, at))
        self._through.sort(key=lambda one: -one.count)
        self.original = Schedule(tuple(range(len(flow.units))), flow.original)
        self._limits = self.by_core(self.original)
        self._hot_limits = self.by_core(self.original, self._hot)

    @property
    def executions(self) -> int:
        """How often the run goes through an expansion of the region."""
        return sum(one.count * len(one.at) for one in self._through)

    @property
    def hottest(self) -> tuple[Key, int]:
        """The stream that goes through the region most often, and the number of an expansion in it."""
        return self._through[0].key, self._through[0].at[0][0]

    @cached_property
    def _hot(self) -> tuple[_Through, ...]:
        """The fewest streams that make most of the executions."""
        made = list(accumulate(one.count * len(one.at) for one in self._through))
        return tuple(self._through[:1 + sum(count < MOST * self.executions for count in made)])

    def __call__(self, schedule: Schedule) -> int:
        """Cycles of all streams that go through the region, on all cores; what a core would lose counts again, and again."""
        return _with_losses(self.by_core(schedule), self._limits)

    def quick(self, schedule: Schedule) -> int:
        """The same of the hottest streams alone."""
        return _with_losses(self.by_core(schedule, self._hot), self._hot_limits)

    def betters(self, schedule: Schedule) -> bool:
        """Whether it is cheaper than the original on one core, and dearer on none."""
        pairs = list(zip(self.by_core(schedule), self._limits, strict=True))
        return all(cycles <= limit for cycles, limit in pairs) and any(cycles < limit for cycles, limit in pairs)

    def by_core(self, schedule: Schedule, streams: Sequence[_Through] | None = None) -> tuple[int, ...]:
        """Cycles of all streams that go through the region, or of some."""
        found = [0] * len(self._cores)
        for one in self._through if streams is None else streams:
            walk = self._walk(one, schedule, len(one.walk))
            for number, prices in enumerate(self._cores):
                found[number] += one.count * sum(prices.scheduled(walk, *one.key[2:]))
        return tuple(found)

    def inside(self, schedule: Schedule) -> int:
        """Cycles of the region's own instructions on the first core, all executions together."""
        size = sum(len(unit.instructions) for unit in self._flow.units)
        found = 0
        for one in self._through:
            cycles = self._cores[0].scheduled(self._walk(one, schedule, len(one.walk)), *one.key[2:])
            found += one.count * sum(sum(cycles[at:at + size]) for _, at in one.at)
        return found

    def begun(self, schedule: Schedule) -> int:
        """Cycles of the hottest stream up to the end of a schedule of some of the units, in its first expansion, on all cores."""
        one = self._through[0]
        length = one.at[0][1] + sum(len(self._flow.units[unit].instructions) for unit in schedule.order)
        walk = self._walk(one._replace(at=one.at[:1]), schedule, length)
        return sum(sum(prices.scheduled(walk, False, *one.key[3:])) for prices in self._cores)

    def _walk(self, one: _Through, schedule: Schedule, length: int) -> list[Step]:
        """A stream's first steps, with the schedule in all expansions that it goes through."""
        walk = list(one.walk)
        for number, at in one.at:
            self._placed(walk, number, at, schedule)
        return walk[:length]

    def _placed(self, walk: list[Step], number: int, at: int, schedule: Schedule) -> None:
        """Puts the schedule into a stream's steps."""
        place, units = self._expansions[number]
        before = walk[at:at + sum(len(unit.instructions) for unit in units)]
        address = place.start
        for unit in schedule.order:
            first = units[unit].first
            for offset, instruction in enumerate(self.instructions(number, unit, address, schedule.places)):
                was = before[first + offset]
                walk[at] = Step(instruction, was.skipped, was.memory)
                address += instruction.size
                at += 1

    def instructions(self, number: int, unit: int, address: int, places: Sequence[int]) -> tuple[Instruction, ...]:
        """A unit of an expansion, with its values in those places, at that address."""
        flow = self._flow
        key = number, unit, address, tuple(places[value] for value in (*flow.reads[unit], *flow.writes[unit]))
        if key not in self._made:
            made, at = [], address
            for instruction in renamed(self._expansions[number][1][unit], *flow.moves(unit, places)):
                made.append(instruction._replace(address=at))
                at += instruction.size
            self._made[key] = tuple(made)
        return self._made[key]


def _with_losses(found: Sequence[int], limits: Sequence[int]) -> int:
    return sum(found) + LOSS * sum(max(0, cycles - limit) for cycles, limit in zip(found, limits, strict=True))
