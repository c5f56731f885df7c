"""Runs a compiler: a clean environment, a time limit, and no child left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What would change the output without being part of the cache's key is kept from the compiler.
KEPT_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SYSTEMROOT")


class CompilerHangs(Exception):
    """The time limit passed; everything that was started has been killed."""


_running: set[subprocess.Popen] = set()


def end_all() -> None:
    """Kill every compiler that runs in another thread, with its children; their `run` calls return what was there."""
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Result:
    """What a process answered: its exit status and its two outputs as text."""

    returncode: int
    stdout: str
    stderr: str


def run(command: Sequence[str], *, cwd: Path, timeout: float) -> Result:
    """Run `command` in `cwd`. Raises CompilerHangs after `timeout` seconds, OSError when it cannot be started."""
    environment = {key: os.environ[key] for key in KEPT_ENVIRONMENT if key in os.environ} | {"LC_ALL": "C"}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
    _running.add(process)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException as error:  # an interrupt too must not leave cc1 running
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CompilerHangs(f"no answer in {timeout:g} s") from None
        raise
    finally:
        _running.discard(process)
    return Result(process.returncode, stdout, stderr)
