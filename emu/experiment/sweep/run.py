"""A plan, a place for results, and something that runs tasks: every point becomes a row, once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emu.errors import BuildError, InputError, TargetFault
from emu.experiment.sweep import cluster, local
from emu.experiment.sweep.columns import TYPES
from emu.experiment.sweep.measure import CANNOT, ILLEGAL, NOT_BUILT, OK, WRONG, Task
from emu.experiment.sweep.plan import Plan, Work, left
from emu.experiment.sweep.store import Store
from emu.experiment.sweep.worker import Figures

Row = dict[str, Any]
_ERRORS = {NOT_BUILT: BuildError, CANNOT: BuildError, ILLEGAL: InputError}  # of others a fault
Runner = Callable[[Sequence[Task]], Generator[tuple[int, Figures]]]


@dataclass(frozen=True)
class Outcome:
    """rows: of the plan's points, in its order, of those that are done. ran: how many were done now. others: rows that the results hold besides.

    interrupted: Ctrl-C ended it.
    """

    plan: Plan
    rows: tuple[Row, ...]
    ran: int
    others: int
    interrupted: bool


def runner(jobs: int, scheduler: str | None) -> Runner:
    """Processes here, or a Dask scheduler's workers."""
    return functools.partial(cluster.run, address=scheduler) if scheduler else functools.partial(local.run, jobs=jobs)


def sweep(planned: Plan, store: Store, run: Runner, *, work: Work, advance: Callable[[int], None] = lambda number: None) -> Outcome:
    """Run what is left of the plan. The store is closed in any case. Raises what the runner and the store do; rows are kept by then.

    advance: is told how many more points are done.
    """
    ran, interrupted = 0, False
    order = [point.row["point"] for point in planned.points]
    try:
        with contextlib.closing(_rows(work, run)) as answers:
            for rows in answers:
                store.add(rows)
                advance(len(rows))
                ran += len(rows)
    except KeyboardInterrupt:
        interrupted = True
    except BaseException:
        _keep(store, order)
        raise
    store.close(order)
    rows = tuple(store.rows[point] for point in order if point in store.rows)
    return Outcome(planned, rows, ran, len(store.rows.keys() - set(order)), interrupted)


def measured(planned: Plan, run: Runner, advance: Callable[[int], None] = lambda number: None) -> list[Row]:
    """A row of every point, in the plan's order, kept nowhere. Raises what the runner does."""
    found: dict[str, Row] = {}
    with contextlib.closing(_rows(left(planned, {}), run)) as answers:
        for rows in answers:
            found |= {row["point"]: row for row in rows}
            advance(len(rows))
    return [found[point.row["point"]] for point in planned.points]


def check(rows: Sequence[Row]) -> None:
    """BuildError, InputError, TargetFault for the first row without figures."""
    for row in rows:
        if row["status"] not in (OK, WRONG):
            raise _ERRORS.get(row["status"], TargetFault)(f"{row['shape']}, {row['kernels']} on {row['core']}: {row['error']}")


def _rows(work: Work, run: Runner) -> Generator[list[Row]]:
    """As they end: those that need no run first."""
    yield [_finished(row) for row in work.ready]
    with contextlib.closing(run(work.tasks)) as answers:
        for number, figures in answers:
            yield [_finished({**point.row, **found}) for point, found in zip(work.served[number], figures, strict=True)]


def _keep(store: Store, order: Sequence[str]) -> None:
    """Closes the store after an error, which is the one to be told; where it cannot be closed well, the journal stays."""
    with contextlib.suppress(InputError):
        store.close(order)


def _finished(row: Row) -> Row:
    """With all columns, null where nothing is known."""
    return {**dict.fromkeys(TYPES), **row, "finished": datetime.now(UTC).isoformat(timespec="seconds")}
