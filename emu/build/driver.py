"""Runs a compiler driver for a job, and says in one line what it did not like."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from emu.build.kernel_folder import ASSEMBLY
from emu.build.sources import Job
from emu.build.toolchain import CLANG
from emu.errors import BuildError

COMPILE_TIMEOUT = 120.0  # seconds a process
COMPILER_ERROR = re.compile(r"^[^:]+:\d+:(\d+:)? (fatal )?[Ee]rror: ")
IN_MACRO = re.compile(r"^<instantiation>:\d+:\d+: (?P<what>.*)$")
MACRO_CALL = re.compile(r"^(?P<place>[^<]\S*:\d+:\d+:) note: while in macro instantiation")
LINKER_ERROR = re.compile(r"undefined reference|multiple definition|not defined|will not fit|overflowed|cannot find|[Ee]rror:")


def run(job: Job, arguments: Sequence[str], what: str, renamed: Mapping[str, str]) -> None:
    """Run the compiler; when it refuses, raise BuildError with its own first line, in which names of the cache are `renamed`."""
    from emu.build import process

    command = [str(job.toolchain.path), *job.toolchain.flags, *arguments]
    try:
        result = process.run(command, cwd=job.root, timeout=COMPILE_TIMEOUT)
    except process.CompilerHangs as error:
        raise BuildError(f"{what}: {job.toolchain.path}: {error}, killed") from None
    except OSError as error:
        raise BuildError(f"{what}: {job.toolchain.path} does not run: {error.strerror}") from None
    if result.returncode:
        text = result.stderr
        for name, shown in renamed.items():
            text = text.replace(name, shown)
        line = f"{job.toolchain.path} crashed ({signal.strsignal(-result.returncode)})" if result.returncode < 0 else first_error(text)
        if what.endswith(ASSEMBLY) and COMPILER_ERROR.match(line):
            itself = "; clang assembles it itself; for GNU's assembler, --cc arm-none-eabi-gcc" * (job.toolchain.family is CLANG)
            line += f" (assembled for {job.cpu}{itself})"
        raise BuildError(line if COMPILER_ERROR.match(line) else f"{what}: {line}")


def first_error(stderr: str) -> str:
    """The line of a compiler's, assembler's or linker's output that says what is wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for pattern in (COMPILER_ERROR, LINKER_ERROR):
        for number, line in enumerate(lines):
            if pattern.search(line):
                return re.sub(r"^\S*\bld(\.bfd|\.lld)?: ", "", _outside_macro(line, lines[number + 1:]))
    return lines[-1] if lines else "the compiler failed without a word"


def _outside_macro(line: str, following: Sequence[str]) -> str:
    """clang's error in a macro with the place of the call that expands it."""
    inside = IN_MACRO.match(line)
    place = next((call["place"] for call in map(MACRO_CALL.match, following) if call), None) if inside else None
    return f"{place} {inside['what']}" if inside and place else line


def keep(job: Job, draft: Path, target: Path, what: str) -> None:
    """Put what the driver wrote in its place; BuildError when it wrote nothing."""
    if not draft.exists():
        raise BuildError(f"{what}: {job.toolchain.path} says that all went well, but writes no output")
    os.replace(draft, target)
