"""Searches a region: schedules, their prices, the verified best."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emu import kws
from emu.experiment.search import rewrite
from emu.experiment.search import subject as subjects
from emu.experiment.search.cost import Schedule
from emu.experiment.search.marks import Region
from emu.experiment.search.renaming import plain, targets
from emu.experiment.search.strategy import Budget, Found, Search
from emu.experiment.search.subject import Measured, Sources, Subject
from emu.experiment.search.verify import Verifier

MOST_REJECTED = 3  # cheaper schedules that do not hold in the machine, before none is tried any more


class Line(NamedTuple):
    """One instruction of a region. unit: what it moves with, numbered from 1 in the order of the original; moved: it comes behind one
    that it stood before, or names other registers; cycles and reasons: in the stream that goes through the region most often."""

    text: str
    source: int
    unit: int
    moved: bool
    cycles: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Side:
    """The region before or behind the search. cycles: of its own instructions, all executions; layers: (name, cycles) of those that it
    runs in; totals: (core, cycles) of the whole run. All measured, on the first core but for `totals`."""

    cycles: int
    layers: tuple[tuple[str, int], ...]
    totals: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]

    @property
    def total(self) -> int:
        """Cycles of the whole run on the first core."""
        return self.totals[0][1]


@dataclass(frozen=True)
class Result:
    """What a search found.

    executions: of the region in the run; expansions: that were searched together, others: that stay as they are. priced: schedules;
    orders: legal ones without renaming (None: too many to count); exhausted: all of them were priced. after: None when nothing cheaper
    held; predicted: its totals before it ran. calls: structs that verified it. rejected: why cheaper ones did not hold.
    source: the region's lines; text: the whole file with them, "" when they cannot be written; diff: against what stands there.
    """

    region: Region
    about: dict[str, object]
    executions: int
    expansions: int
    others: int
    priced: int
    orders: int | None
    exhausted: bool
    before: Side
    after: Side | None
    predicted: tuple[int, ...]
    calls: int
    rejected: tuple[str, ...]
    source: rewrite.Rewritten | None
    text: str
    diff: str

    @property
    def gained(self) -> int:
        """Cycles of the whole run."""
        return self.before.total - self.after.total if self.after else 0


class _Held(NamedTuple):
    """A schedule that is cheaper and right."""

    schedule: Schedule
    measured: Measured
    predicted: tuple[int, ...]


def search(found: Sources, region: Region, job: kws.Job, *, seconds: float | None = 10.0, tries: int | None = None, seed: int = 0,
           calls: int = 40, spent: Callable[[float], None] = lambda share: None) -> Result:
    """Search one region of a kernel set, on the job's cores and first input: none of them may get slower. calls: structs at random that
    verify each kernel.

    Raises what subject.subject does. Nothing is written.
    """
    subject = subjects.subject(found, region, job)
    budget = Budget(seconds, tries, spent)
    schedules = Search(subject.flow, subject.cost, budget, seed, targets(subject.flow)).run()
    held, calls, rejected = _verified(subject, job, schedules, calls, seed)
    source = rewrite.lines(subject, held.schedule) if held else None
    text = rewrite.written(subject, source) if source and not source.obstacle else ""
    if text and not _as_verified(subject, job, held, text):
        source, text = source._replace(obstacle="rewritten, it assembles to other code than was verified"), ""
    about = {"kernels": subject.measured.ready.about["kernels"], "cores": [job.core, *job.other_cores], "memory": job.memory, "input": job.inputs[0], "seed": seed,
             "toolchain": subject.measured.ready.about["toolchain"]}
    return Result(
        region, about, subject.cost.executions, len(subject.expansions), subject.others, budget.priced, schedules.orders, schedules.exhausted,
        _side(subject, subject.measured, subject.cost.original), _side(subject, held.measured, held.schedule) if held else None,
        held.predicted if held else (), calls, tuple(rejected), source, text, _diff(subject, text) if text else "")


def _verified(subject: Subject, job: kws.Job, found: Found, calls: int, seed: int) -> tuple[_Held | None, int, list[str]]:
    """(the cheapest that holds, structs that it was called with, why cheaper ones did not hold)."""
    cost, before = subject.cost, _totals(subject.measured)
    rejected: list[str] = []
    cheaper = [schedule for _, schedule in found.best if cost.betters(schedule)]
    verifier = Verifier(subject, job, calls, seed) if cheaper else None
    for schedule in cheaper[:MOST_REJECTED]:
        verdict = verifier.check(schedule)
        wrong = verdict.wrong or _dearer(before, _totals(verdict.measured))
        if not wrong:
            predicted = tuple(total - old + new for total, old, new in zip(before, cost.by_core(cost.original), cost.by_core(schedule), strict=True))
            return _Held(schedule, verdict.measured, predicted), verdict.calls, rejected
        rejected.append(wrong)
    return None, 0, rejected


def _totals(measured: Measured) -> tuple[int, ...]:
    """Cycles of the whole run, by core."""
    return tuple(profile.totals.cycles for profile in measured.profiles)


def _dearer(before: Sequence[int], after: Sequence[int]) -> str:
    """That a run is not cheaper, in words, where what a cache did was not foreseen; "" when it is."""
    pairs = list(zip(before, after, strict=True))
    cheaper = all(new <= old for old, new in pairs) and any(new < old for old, new in pairs)
    return "" if cheaper else f"{', '.join(f'{new:,}' for new in after)} cycles were measured, after {', '.join(f'{old:,}' for old in before)}"


def _as_verified(subject: Subject, job: kws.Job, held: _Held, text: str) -> bool:
    """Whether the rewritten source, built, is the image that was verified."""
    with subjects.overlay(subject.sources, {subject.region.file: text}) as root:
        built = subjects.prepared(subject.sources.job(job, root)).image
    return [segment.data for segment in built.segments] == [segment.data for segment in held.measured.ready.image.segments]


def _side(subject: Subject, measured: Measured, schedule: Schedule) -> Side:
    profile = measured.run.profile
    layers = tuple((row.name, row.cycles) for number, row in enumerate(profile.layers, 1) if number in subject.cost.layers)
    totals = tuple((one.core, one.totals.cycles) for one in measured.profiles)
    return Side(subject.cost.inside(schedule), layers, totals, _lines(subject, measured, schedule))


def _lines(subject: Subject, measured: Measured, schedule: Schedule) -> tuple[Line, ...]:
    """The instructions of the first expansion in the hottest stream, as the run has them."""
    run = measured.run
    key, number = subject.cost.hottest
    stream = max((one for one in run.counts.streams if (one.start, one.end, one.taken, one.entered) == key[:4]), key=lambda one: one.count)
    prices = measured.prices()[0]
    facts = stream.start, stream.end, stream.taken, stream.entered, stream.events
    why = {step.instruction.address: reason for step, reason in zip(prices.steps(stream.start, stream.end, stream.events), prices.explain(*facts), strict=True)}
    place, units = subject.expansions[number]
    found, at, last = [], place.start, -1
    for unit in schedule.order:
        source = subject.region.items[place.item_at(units[unit].instructions[0].address)].first
        moved, last = unit < last or rewrite.renamed(subject, unit, schedule), max(last, unit)
        for _ in units[unit].instructions:
            instruction, reason = run.instructions[at], why[at]
            found.append(Line(plain(instruction.text), source, unit + 1, moved, reason.cycles, reason.reasons))
            at += instruction.size
    return tuple(found)


def _diff(subject: Subject, text: str) -> str:
    """Unified, as patch -p1 takes it."""
    file = subject.region.file
    old: Sequence[str] = (subject.sources.root / file).read_text(errors="replace").splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, text.splitlines(keepends=True), f"a/{file}", f"b/{file}"))
