"""Command lines as a user types them: a process, its exit status, what it printed."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.build.cache import REPOSITORY, cache_dir
from emu.cli import run_command

Run = Callable[..., subprocess.CompletedProcess[str]]


def run_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m ARGUMENTS` in `folder`, with the cache that all tests share."""
    variables = {**os.environ, "THUMBCYCLE_CACHE": str(cache_dir()), "NO_COLOR": "1", "COLUMNS": "200", **environment}
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def run() -> Run:
    """Runs a module of this repository."""
    return lambda *arguments, **environment: run_in(REPOSITORY, *arguments, **environment)


@pytest.fixture
def one_line_error(run: Run) -> Callable[..., str]:
    """Runs, expects that exit status and one line on standard error without a traceback, and returns the line."""

    def check(status: int, *arguments: str, folder: Path = REPOSITORY, **environment: str) -> str:
        done = run_in(folder, *arguments, **environment)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("error: ")
        return lines[0]

    return check


@dataclass(frozen=True)
class Done:
    """What a command line answered in this process."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`python -m MODULE ARGUMENTS` in a folder, without a process of its own, which costs half a second."""

    def done(folder: Path, module: str, *arguments: str) -> Done:
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        capfd.readouterr()
        status = run_command(importlib.import_module(f"{module}.__main__").main)
        return Done(status, *capfd.readouterr())

    return done


@pytest.fixture(scope="session")
def kernel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of kernels as `python -m emu.kernels new` writes it; not to be changed."""
    folder = tmp_path_factory.mktemp("new") / "mine"
    done = run_in(REPOSITORY, "emu.kernels", "new", str(folder), GITHUB_ACTIONS="", GITHUB_STEP_SUMMARY="")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project whose kernels a test may break."""
    for package in ("armsrc", "emu", "kwsq"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path
