"""Compiles the native probe (`python -m emu.probe.build`) into the cache, keyed by its source, the flags and Unicorn's version."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import unicorn  # its wheel carries the headers

from emu.build import cache
from emu.errors import BuildError, ThumbcycleError
from emu.isa.instruction import Flag
from emu.probe import layout

HERE = Path(__file__).parent
SOURCES = tuple(HERE / f"{name}.c" for name in ("probe", "control", "calls", "paths", "follow", "tables"))
HEADERS = tuple(HERE / f"{name}.h" for name in ("probe", "state", "calls", "paths", "follow", "tables"))
# Bits of an entry's flags: isa numbers them, the probe is told.
BITS = {flag.name: flag.value for flag in (Flag.BRANCH, Flag.ALWAYS, Flag.TO_NEXT, Flag.IN_IT, Flag.STORE, Flag.LITERAL, Flag.WRITES_SP,
                                           Flag.FP, Flag.DIVIDE, Flag.SIGNED)} | layout.FLAGS
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC", *(f"-D{name}={value}u" for name, value in BITS.items()))


@functools.cache
def library() -> Path:
    """Path of the compiled probe; compiles it when it is not in the cache. Raises BuildError without a host compiler."""
    key = cache.key((*FLAGS, sysconfig.get_platform(), unicorn.__version__, *(source.read_bytes() for source in (*SOURCES, *HEADERS))))
    path = cache.cache_dir() / "probe" / f"probe-{key[:16]}.so"
    if not path.exists():
        _compile(path)
    return path


def _compile(path: Path) -> None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise BuildError("no host C compiler for the native probe: install gcc and libc6-dev, or run `make setup`")
    headers = Path(unicorn.__file__).with_name("include")
    draft = cache.temporary(path)
    try:
        done = subprocess.run([compiler, *FLAGS, f"-I{headers}", *map(str, SOURCES), "-o", str(draft)],
                              check=False, capture_output=True, text=True, timeout=120)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
            raise BuildError(f"the native probe does not compile: {first}")
        os.replace(draft, path)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"the host compiler {compiler} does not make the native probe: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        print(library())
    except ThumbcycleError as problem:
        sys.exit(f"error: {problem}")
