"""Compiles the native probe (`python -m emu.probe.build`) into the cache, keyed by its source and Unicorn's headers."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from emu.build import cache
from emu.errors import BuildError, ThumbcycleError

HERE = Path(__file__).parent
SOURCES = (HERE / "probe.c", HERE / "tables.c")
HEADERS = (HERE / "probe.h", HERE / "tables.h")
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-shared", "-fPIC")


@functools.cache
def library() -> Path:
    """Path of the compiled probe; compiles it when it is not in the cache. Raises BuildError without a host compiler."""
    key = cache.key((*FLAGS, sysconfig.get_platform(), *(source.read_bytes() for source in (*SOURCES, *HEADERS))))
    path = cache.cache_dir() / "probe" / f"probe-{key[:16]}.so"
    if not path.exists():
        _compile(path)
    return path


def _compile(path: Path) -> None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise BuildError("no host C compiler for the native probe: install gcc and libc6-dev, or run `make setup`")
    import unicorn  # its wheel carries the headers; only needed to compile

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
