"""Firmware from C, C++ and assembly, built once a session and run in this process."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emu.build.toolchain import find
from emu.errors import BuildError
from emu.firmware import FirmwareResult, Job, run
from emu.machine.console import Console, Quota
from emu.machine.system import System

PROGRAMS = Path(__file__).parent / "programs"
BARE = ("-nostdlib", "-ffreestanding", "-T", str(PROGRAMS / "bare.ld"), str(PROGRAMS / "bare.c"), "-Wl,--no-warn-rwx-segments", "-lgcc")
HOSTED = ("--specs=rdimon.specs",)
FPU = ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


@dataclass(frozen=True)
class Done:
    """A run: its result, the machine, and what the program printed."""

    result: FirmwareResult
    system: System
    out: str
    err: str

    @property
    def code(self) -> int | None:
        return self.result.ending.code

    @property
    def cycles(self) -> int:
        return self.result.totals.cycles


class Builder:
    """Compiles into a folder, once what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gcc = str(find().path)

    def elf(self, source: str | Path, *flags: str, cpu: str = "cortex-m4", base: tuple[str, ...] = BARE, name: str = "program.c",
            compiler: str | None = None) -> Path:
        """An executable of C (or what `name` ends in) text, or of a file of programs/; skips where the compiler has no such library."""
        text = source.read_text() if isinstance(source, Path) else source
        name = source.name if isinstance(source, Path) else name
        command = [compiler or self.gcc, f"-mcpu={cpu}", "-mthumb", "-O1", "-g", "-Wall", "-Wno-unused-function", f"-I{PROGRAMS}", *flags]
        parts = [*command, *base, name, text, *(p.read_text() for p in sorted(PROGRAMS.iterdir()))]
        stem = self.folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        elf = stem.with_suffix(".elf")
        if not elf.exists():
            path = stem.with_suffix(Path(name).suffix)
            path.write_text(text)
            parts = (self._object(part, command) if part.endswith(".c") else part for part in base)
            done = subprocess.run([*command, str(path), *parts, "-o", str(elf)], capture_output=True, text=True, check=False)
            if "cannot read spec file" in done.stderr or "No such file or directory" in done.stderr and "--specs" in " ".join(command):
                pytest.skip(f"no such library here: {done.stderr.splitlines()[0]}")
            assert not done.returncode, done.stderr
        return elf

    def _object(self, source: str, command: list[str]) -> str:
        """Of start-up code, compiled once for the same options."""
        made = self.folder / f"{hashlib.sha256(chr(0).join([source, *command]).encode()).hexdigest()[:20]}.o"
        if not made.exists():
            subprocess.run([*command, "-ffreestanding", "-c", source, "-o", str(made)], capture_output=True, check=True)
        return str(made)


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    try:
        return Builder(tmp_path_factory.mktemp("firmware"))
    except BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def start(builder: Builder) -> Callable[..., Done]:
    """start(source, *flags, job options): build and run."""

    def go(source: str | Path, *flags: str, base: tuple[str, ...] = BARE, name: str = "program.c", cpu: str = "cortex-m4", stdin: bytes = b"",
           compiler: str | None = None, **options: object) -> Done:
        return ran(builder.elf(source, *flags, cpu=cpu, base=base, name=name, compiler=compiler), stdin=stdin, **{"core": cpu} | options)

    return go


def ran(elf: Path, *, stdin: bytes = b"", **options: object) -> Done:
    """Run a finished ELF; `options` are Job's."""
    out, err = io.BytesIO(), io.BytesIO()

    def console(quota: Quota) -> Console:
        return Console(quota, out, err, io.BytesIO(stdin))

    job = replace(Job(elf, limit=20_000_000), console=console, **options)
    result, system = run(job)
    return Done(result, system, out.getvalue().decode(errors="replace"), err.getvalue().decode(errors="replace"))


def needs(program: str) -> pytest.MarkDecorator:
    """Skips where a program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} here")
