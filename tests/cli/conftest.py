"""Command lines as a user types them: a process, its exit status, what it printed."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu import cli
from emu.build.cache import REPOSITORY, cache_dir

SHOWN = {"NO_COLOR": "1", "COLUMNS": "200"}
OF_GITHUB = ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY")


@dataclass(frozen=True)
class Done:
    """What a command line answered."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


def run_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ARGUMENTS` in `folder`, a process of its own, with the cache that all tests share."""
    variables = {**os.environ, "THUMBCYCLE_CACHE": str(cache_dir()), **SHOWN, **environment}
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


def called_in(folder: Path, module: str, *arguments: str, **environment: str) -> Done:
    """The same in this process, which saves the half second that a start takes: for what depends on this tree's code, and on no end of a process."""
    out, err, nothing = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(3))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in OF_GITHUB:
            patch.delenv(name, raising=False)
        for name, value in {"THUMBCYCLE_CACHE": str(cache_dir()), **SHOWN, **environment}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "stdin", nothing)
        patch.setattr(sys, "argv", [module, *arguments])
        patch.setattr(sys, "orig_argv", ["python", "-m", module, *arguments])
        patch.setattr(cli, "_discard_output", lambda: None)  # it is the tests' own
        status = cli.run_command(importlib.import_module(f"{module}.__main__").main)
    return Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


@pytest.fixture
def here() -> Run:
    """Runs a module in a folder, in this process."""
    return called_in


@pytest.fixture
def run() -> Run:
    """Runs a module of this repository, in this process."""
    return lambda *arguments, **environment: called_in(REPOSITORY, *arguments, **environment)


@pytest.fixture
def one_line_error() -> Callable[..., str]:
    """Runs, expects that exit status and one line on standard error without a traceback, and returns the line.

    A process of its own where code or environment are other ones.
    """

    def check(status: int, *arguments: str, folder: Path = REPOSITORY, **environment: str) -> str:
        done = (called_in if folder == REPOSITORY and not environment else run_in)(folder, *arguments, **environment)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("error: ")
        return lines[0]

    return check


@pytest.fixture(scope="session")
def kernel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of kernels as `python -m emu.kernels new` writes it; not to be changed."""
    folder = tmp_path_factory.mktemp("new") / "mine"
    done = run_in(REPOSITORY, "emu.kernels", "new", str(folder), GITHUB_ACTIONS="", GITHUB_STEP_SUMMARY="")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project whose kernels a test may break. With what Python compiled, which would take longer than most runs."""
    for package in ("armsrc", "emu", "kwsq"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("recordings", "html"))
    return tmp_path
