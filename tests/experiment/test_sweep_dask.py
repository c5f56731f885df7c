"""A sweep on a real Dask scheduler and two workers on this machine's loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from emu.build.cache import REPOSITORY
from emu.errors import InputError, UsageError
from emu.experiment.sweep import cluster, plan, run, worker
from emu.experiment.sweep.measure import Stale, Task
from tests.experiment.test_sweep_run import facts, found, planned, swept

POINTS = '[grid]\nkernels = ["thumb2", "c"]\n[[shape]]\nkind = "dense"\nin_c = { from = 1, to = 24 }\nout_c = 4\n'


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}
    return subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler" if command[0] == "scheduler" else "distributed.cli.dask_worker",
                             *command[1:]], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


class Cluster:
    """A scheduler and two workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        host, port = "127.0.0.1", self.address.rpartition(":")[2]
        self.scheduler = start(folder, "scheduler", "--host", host, "--port", port, "--no-dashboard", "--no-show")
        self.workers = [start(folder, "worker", self.address, "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", host,
                              "--local-directory", str(folder / name)) for name in "ab"]
        until = time.monotonic() + 60
        while socket.socket().connect_ex((host, int(port))):
            assert self.scheduler.poll() is None and time.monotonic() < until
            time.sleep(0.1)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("dask"))
    yield made
    made.end()


def test_a_worker_killed_in_the_middle_loses_nothing(dask: Cluster, tmp_path: Path) -> None:
    victim = psutil.Process(dask.workers[0].pid)
    seen: list[int] = []
    theirs: list[psutil.Process] = []

    def runner(tasks: list[Task]) -> Iterator[tuple[int, worker.Figures]]:
        for number, figures in cluster.run(tasks, dask.address):
            seen.append(number)
            if not theirs and victim.children() and len(seen) >= 10:  # it is at work
                theirs.extend(victim.children())
                victim.kill()
            yield number, figures

    done = found(planned(POINTS), tmp_path / "dask.parquet", runner)
    assert theirs and sorted(seen) == list(range(48))
    assert done.ran == 48 and {row["status"] for row in done.rows} == {"ok"}
    assert facts(done.rows[::8]) == facts(swept(POINTS, tmp_path / "here.parquet").rows[::8])
    assert not psutil.wait_procs(theirs, 10)[1]


def test_what_a_point_does_wrong_is_a_row_there_too(dask: Cluster, tmp_path: Path) -> None:
    text = f'timeout = 20\n[grid]\ncc = ["{tmp_path}/gcc"]\n[[shape]]\nkind = "dense"\nin_c = 4\n'
    (tmp_path / "gcc").write_text('#!/bin/sh\ncase "$1" in --version) echo gcc 1;; -dumpmachine) echo arm-none-eabi;; *) kill -SEGV $$;; esac\n')
    (tmp_path / "gcc").chmod(0o755)
    done = found(planned(text), tmp_path / "x.parquet", run.runner(1, dask.address))
    assert [row["status"] for row in done.rows] == ["build error"]


def test_a_worker_with_other_sources_ends_the_sweep(dask: Cluster, tmp_path: Path) -> None:
    (task,) = plan.left(planned('[[shape]]\nkind = "dense"\nin_c = 4\n'), {}).tasks
    with pytest.raises(Stale, match="or a worker has others"):
        list(cluster.run([replace(task, sources="others")], dask.address))
    with pytest.raises(Stale, match="but the sweep began with gcc 1"):
        list(cluster.run([replace(task, compiler="gcc 1", opt="O1")], dask.address))


def test_no_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    for address, message in ((f"tcp://127.0.0.1:{free_port()}", "no Dask scheduler answers"), ("x", "missing port"), ("nonsense://x:3", "unknown address scheme")):
        with pytest.raises(UsageError, match=f"^--scheduler {address}: .*{message}"):
            found(planned(POINTS), tmp_path / "x.parquet", run.runner(1, address))


def test_no_worker_and_then_no_scheduler(dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    monkeypatch.setattr(cluster, "_LOOK", 0.3)
    for processes, gone in ((dask.workers, "no worker is there"), ([dask.scheduler], "the scheduler is gone")):
        def runner(tasks: list[Task], processes=processes) -> Iterator[tuple[int, worker.Figures]]:
            for victim in processes:
                threading.Timer(0.5, victim.kill).start()
            yield from cluster.run(tasks, dask.address)

        with pytest.raises(InputError, match=f"{gone}; what was done is kept"):
            found(planned(POINTS.replace("24", "300")), tmp_path / "x.parquet", runner)
