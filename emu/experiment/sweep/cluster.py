"""Tasks on many machines: a Dask scheduler that is there gives them to its workers, each of which runs them in a process of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from emu.errors import InputError, UsageError
from emu.experiment.sweep.measure import Stale, Task, failure
from emu.experiment.sweep.worker import TRIES, Died, Figures, Worker, late, lost

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT = "20s"
PATIENCE = 60.0  # seconds without a scheduler, or without a worker, after which the sweep ends
_LOOK = 2.0  # seconds
_CANCELLED = (asyncio.CancelledError, concurrent.futures.CancelledError)
_KEPT = "what was done is kept: start the same command again to go on"
_mine = threading.local()  # in a Dask worker: a process a thread


def run(tasks: Sequence[Task], address: str) -> Generator[tuple[int, Figures]]:
    """(number of the task, its figures), in the order in which they end; what a dead worker had is done by others.

    Raises UsageError when no scheduler answers at `address`, InputError when it or all workers are gone for a minute, Stale.
    """
    from distributed import Client
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.comm.registry import get_backend

    if not tasks:
        return
    for name in ["asyncio", *(name for name in logging.root.manager.loggerDict if name.startswith("distributed"))]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what matters is said here
    try:  # else Client fails, and again, with a traceback, when it is collected
        scheme, where = parse_address(address)
        get_backend(scheme), parse_host_port(where)
    except ValueError as error:
        raise UsageError(f"--scheduler {address}: an address is wanted, as tcp://host:8786 ({error})") from None
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"--scheduler {address}: no Dask scheduler answers ({type(error).__name__})") from None
    try:
        yield from _run(client, tasks, address)
    finally:
        with contextlib.suppress(Exception, *_CANCELLED):  # a scheduler that is gone is no news by now
            client.close(timeout=5)


def _run(client: Client, tasks: Sequence[Task], address: str) -> Iterator[tuple[int, Figures]]:
    ended: queue.Queue[int] = queue.Queue()
    futures: dict[int, Future] = {}
    for number, task in enumerate(tasks):
        futures[number] = client.submit(remote, task, pure=False)
        futures[number].add_done_callback(lambda _, number=number: ended.put(number))
    seen = time.monotonic()
    while futures:
        number = None
        try:
            number = ended.get(timeout=_LOOK)
            figures = _figures(futures[number], tasks[number], address)
        except (queue.Empty, TimeoutError, OSError):
            if number is not None:  # its figures are gone with the worker that had them: it is run again
                ended.put(number)
            seen = _still_there(client, address, seen)
            continue
        seen = time.monotonic()
        del futures[number]
        yield number, figures


def _still_there(client: Client, address: str, seen: float) -> float:
    """When scheduler and workers were last seen. InputError when that is too long ago."""
    with contextlib.suppress(OSError, TimeoutError):
        if client.status == "running" and client.scheduler_info(n_workers=-1)["workers"]:
            return time.monotonic()
    if client.status == "closed" or time.monotonic() - seen > PATIENCE:
        raise InputError(f"--scheduler {address}: {'no worker is there' if client.status == 'running' else 'the scheduler is gone'}; {_KEPT}")
    return seen


def _figures(future: Future, task: Task, address: str) -> Figures:
    """Raises TimeoutError when they are not to be had now."""
    from distributed import KilledWorker

    try:
        error: Any = future.exception(timeout=_LOOK)
        if error is None:
            return future.result(timeout=_LOOK)
    except _CANCELLED as cancelled:
        error = cancelled
    if isinstance(error, _CANCELLED):
        raise InputError(f"--scheduler {address}: the scheduler is gone; {_KEPT}")
    if isinstance(error, KilledWorker):
        return lost(task)
    if isinstance(error, Stale):
        raise error
    if isinstance(error, ImportError):
        raise InputError(f"--scheduler {address}: a worker cannot import thumbcycle ({error}): start workers with its Python, in its folder")
    return [failure(error) for _ in task.targets]


def remote(task: Task) -> Figures:
    """In a Dask worker: the task in this thread's process, which is replaced when it dies or does not answer."""
    for _ in range(TRIES):
        worker = _mine.__dict__.pop("worker", None) or Worker()
        try:
            worker.submit(task)
            if not worker.connection.poll(worker.left):
                worker.end()
                return late(task)
            figures = worker.result()
        except Died:
            worker.end()
            continue
        except Stale:
            worker.end()
            raise
        _mine.worker = worker
        return figures
    return lost(task)
