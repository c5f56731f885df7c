"""How schedules are found: all of them where they are few, else a beam of the best beginnings, then simulated annealing.

Annealing also renames: a value moves into another register where that leaves the order legal, which makes other orders legal.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from emu.experiment.search.cost import Schedule
from emu.experiment.search.flow import Flow, bits

FEW = 4000  # orders that are all priced
BEAM = 12
REPRICED, KEPT = 32, 8  # of the best: in all streams, and handed over
HOT, COLD = 2.0, 0.05  # temperatures of annealing, in cycles an execution
RENAMINGS = 0.25  # share of moves that rename
STALE = 3000  # moves, one behind the other, that are not legal or not new: nothing is left to find


@dataclass
class Budget:
    """What a search may take: seconds, or schedules priced. spent: is told which share is used up."""

    seconds: float | None
    tries: int | None
    spent: Callable[[float], None] = lambda share: None
    priced: int = 0
    begun: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """The share that is left, 1 at first, 0 or less when all is used up."""
        by_tries = 1 - self.priced / self.tries if self.tries is not None else 1.0
        by_time = 1 - (time.monotonic() - self.begun) / self.seconds if self.seconds is not None else 1.0
        return min(by_tries, by_time)


@dataclass
class Found:
    """The best schedules, the cheapest first; how many there are in all (None: too many to count) and whether all were priced."""

    best: list[tuple[int, Schedule]]
    orders: int | None = None
    exhausted: bool = False


class Priced(Protocol):
    """What schedules cost. executions: that a cost is the sum of."""

    executions: int

    def __call__(self, schedule: Schedule) -> int:
        """Cycles."""

    def quick(self, schedule: Schedule) -> int:
        """Cycles of most executions."""

    def begun(self, schedule: Schedule) -> int:
        """Cycles up to the end of a schedule of some of the units."""


class Search:
    """One region's search. The same seed and number of tries find the same."""

    def __init__(self, flow: Flow, cost: Priced, budget: Budget, seed: int, targets: list[int]) -> None:
        """targets: by value, mask of the registers that it may be in (0: where it is)."""
        self._flow, self._cost, self._budget = flow, cost, budget
        self._random = random.Random(seed)
        self._targets = {value: bits(mask) for value, mask in enumerate(targets) if mask}
        self._known: dict[Schedule, int] = {}
        self._prices: Callable[[Schedule], int] = cost
        self._original = Schedule(tuple(range(len(flow.units))), flow.original)

    def run(self) -> Found:
        """The original is among what is found."""
        number = self._flow.count(self._flow.original, FEW)
        self._prices = self._cost if number <= FEW else self._cost.quick
        self._price(self._original)
        found = Found([], number if number <= FEW else None)
        if number <= FEW:
            found.exhausted = all(self._try(order) for order in self._flow.orders(self._flow.original))
        else:
            for order in self._beam():
                self._try(order)
        if not found.exhausted or self._targets:
            self._anneal()
        best = heapq.nsmallest(REPRICED, ((cycles, schedule) for schedule, cycles in self._known.items()), key=self._rank)
        found.best = sorted(((self._cost(schedule), schedule) for _, schedule in best), key=self._rank)[:KEPT]
        return found

    def _rank(self, priced: tuple[int, Schedule]) -> tuple[int, int, tuple[int, ...]]:
        """The cheapest first; of equals what renames least, then what stays nearest to the original."""
        cycles, (order, places) = priced
        return cycles, sum(new != old for new, old in zip(places, self._original.places, strict=True)), order

    def _try(self, order: tuple[int, ...]) -> bool:
        """Whether there was still time to price it."""
        if self._budget.left() <= 0:
            return False
        self._price(Schedule(order, self._flow.original))
        return True

    def _price(self, schedule: Schedule) -> int:
        cycles = self._known.get(schedule)
        if cycles is None:
            cycles = self._known[schedule] = self._prices(schedule)
            self._budget.priced += 1
            self._budget.spent(1 - self._budget.left())
        return cycles

    def _beam(self) -> Iterator[tuple[int, ...]]:
        """Orders that are cheap from their beginning on."""
        places = self._flow.original
        following = self._flow.following(places)
        beam: list[tuple[int, tuple[int, ...], int]] = [(0, (), 0)]
        for _ in self._flow.units:
            wider: dict[tuple[int, int], tuple[int, tuple[int, ...], int]] = {}
            for _, order, done in beam:
                for unit in following(done):
                    longer = (*order, unit)
                    cycles = self._cost.begun(Schedule(longer, places))
                    wider.setdefault((done | 1 << unit, cycles), (cycles, longer, done | 1 << unit))
            beam = sorted(wider.values())[:BEAM]
            if self._budget.left() < 2 / 3:
                return
        yield from (order for _, order, _ in beam)

    def _anneal(self) -> None:
        """From the best so far, and again from the best when it has cooled down."""
        executions, stale = max(1, self._cost.executions), 0
        while (left := self._budget.left()) > 0 and stale < STALE:
            now = min(self._known, key=lambda schedule: (self._known[schedule], schedule))
            ends = left / 2 if left > 0.1 else 0.0
            while (share := self._budget.left()) > ends and stale < STALE:
                moved = self._moved(now)
                stale = stale + 1 if moved is None or moved in self._known else 0
                if moved is None:
                    continue
                heat = COLD + (HOT - COLD) * (share - ends) / (left - ends)
                rise = (self._price(moved) - self._known[now]) / executions
                if rise <= 0 or self._random.random() < math.exp(-rise / heat):
                    now = moved

    def _moved(self, schedule: Schedule) -> Schedule | None:
        """A legal neighbour; None when the one that was drawn is not."""
        order, places = schedule
        if self._targets and self._random.random() < RENAMINGS:
            value = self._random.choice(list(self._targets))
            places = (*places[:value], self._random.choice(self._targets[value]), *places[value + 1:])
        else:
            order = self._reordered(order)
        neighbour = Schedule(order, places)
        return neighbour if neighbour != schedule and self._flow.legal(order, places) else None

    def _reordered(self, order: tuple[int, ...]) -> tuple[int, ...]:
        """One unit, somewhere between what it must stay behind and what must stay behind it."""
        at = self._random.randrange(len(order))
        unit, before = order[at], self._flow.before
        first = max((place + 1 for place in range(at) if before[unit] >> order[place] & 1), default=0)
        last = min((place - 1 for place in range(at + 1, len(order)) if before[order[place]] >> unit & 1), default=len(order) - 1)
        to = self._random.randint(first, last)
        rest = (*order[:at], *order[at + 1:])
        return (*rest[:to], unit, *rest[to:])
