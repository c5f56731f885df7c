"""Tasks on this machine: as many processes as are wanted, each replaced when it dies or does not answer."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import wait

from emu.experiment.sweep import measure
from emu.experiment.sweep.measure import Stale, Task
from emu.experiment.sweep.worker import TRIES, Died, Figures, Worker, late, lost


def run(tasks: Sequence[Task], jobs: int) -> Generator[tuple[int, Figures]]:
    """(number of the task, its figures), in the order in which they end. Raises Stale; ends its processes however it is left."""
    pool = _Pool(tasks)
    try:
        for _ in range(min(jobs, len(tasks))):
            pool.start()
        while pool.busy:
            yield from pool.ended()
    finally:
        for worker in pool.busy.values():
            worker[0].end()


def alone(tasks: Sequence[Task]) -> Generator[tuple[int, Figures]]:
    """The same in this process, one after the other; nothing ends a task that takes too long."""
    for number, task in enumerate(tasks):
        yield number, measure.run(task)


class _Pool:
    """busy: a worker's connection -> the worker and the number of its task."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._waiting = deque(range(len(tasks)))
        self._tries = [0] * len(tasks)
        self.busy: dict[object, tuple[Worker, int]] = {}

    def start(self, worker: Worker | None = None) -> None:
        """Gives the next task to a worker that is free, or to a new one; ends it when there is none."""
        if self._waiting:
            worker = worker or Worker()
            number = self._waiting.popleft()
            self._tries[number] += 1
            self.busy[worker.connection] = worker, number
            with contextlib.suppress(Died):  # noticed again when the answer is read
                worker.submit(self._tasks[number])
        elif worker:
            worker.end()

    def ended(self) -> Iterator[tuple[int, Figures]]:
        """Waits for an answer, or for the end of a task's time."""
        ready = wait(list(self.busy), min(worker.left for worker, _ in self.busy.values()))
        for connection in ready:
            worker, number = self.busy.pop(connection)
            try:
                figures = worker.result()
            except Died:
                yield from self._died(worker, number)
            except Stale:
                worker.end()
                raise
            else:
                self.start(worker)
                yield number, figures
        for connection in [key for key, (worker, _) in self.busy.items() if not worker.left]:
            worker, number = self.busy.pop(connection)
            worker.end()
            self.start()
            yield number, late(self._tasks[number])

    def _died(self, worker: Worker, number: int) -> Iterator[tuple[int, Figures]]:
        """The task is tried again, but not for ever."""
        worker.end()
        again = self._tries[number] < TRIES
        if again:
            self._waiting.appendleft(number)
        self.start()
        if not again:
            yield number, lost(self._tasks[number])
