"""A process that runs tasks: what it starts, and what its parent holds of it.

The parent sends tasks and receives their figures through a pipe. A point that takes too long is interrupted by the process itself, and
when it does not answer even then, by its parent, which kills it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection, Pipe
from typing import Any

from emu.build.cache import REPOSITORY
from emu.experiment.sweep import measure
from emu.experiment.sweep.measure import LATE, LOST, Stale, Task, TimeUp

Figures = list[dict[str, Any]]
GRACE = 10.0  # seconds beyond a task's own after which its process is killed
TRIES = 3  # of a task whose process dies
_END = 3.0  # seconds in which a process has to end


class Died(Exception):
    """The process ended before it answered."""


class Worker:
    """The parent's side of one process, which runs one task at a time."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Linear algebra in one thread: the processes share the machine.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())], env=environment, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._busy = False
        self._deadline = 0.0

    def submit(self, task: Task) -> None:
        """Raises Died."""
        self._busy, self._deadline = True, time.monotonic() + task.seconds + GRACE
        try:
            self.connection.send(task)
        except OSError:
            raise Died from None

    @property
    def left(self) -> float:
        """Seconds in which the answer has to come."""
        return max(self._deadline - time.monotonic(), 0)

    def result(self) -> Figures:
        """The figures of the task, when there are some to read. Raises Died; Stale."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise Died from None
        self._busy = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """Its compilers end with it."""
        self.connection.close()  # which an idle process takes for the end
        if self._busy:
            self._process.terminate()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def late(task: Task) -> Figures:
    """Of a task that did not end in time."""
    return [{"status": LATE, "error": f"no result within {task.seconds:g} s", "seconds": task.seconds} for _ in task.targets]


def lost(task: Task) -> Figures:
    """Of a task whose process died every time."""
    return [{"status": LOST, "error": f"the process that ran it died {TRIES} times"} for _ in task.targets]


# --- in the process ---


def main(descriptor: int) -> None:
    """Answers tasks until the parent is gone."""
    for number, handler in ((signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, _leave), (signal.SIGALRM, _time_up)):
        signal.signal(number, handler)
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_answer(connection.recv()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _answer(task: Task) -> Figures | Stale:
    try:
        signal.setitimer(signal.ITIMER_REAL, task.seconds)
        try:
            figures = measure.run(task)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeUp:
        figures = late(task)
    except Stale as error:
        return error
    return [{**row, "host": socket.gethostname()} for row in figures]


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(1)


def _time_up(_signal: int, _frame: object) -> None:
    raise TimeUp


if __name__ == "__main__":
    main(int(sys.argv[1]))
