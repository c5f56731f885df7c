"""What `python -m emu.run FILE.elf` does, behind its options."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from emu.build.elf import Image
from emu.errors import InputError, TargetFault, UsageError
from emu.firmware import Job, run
from emu.functions import FunctionProfile, Numbering
from emu.machine.board import Uart
from emu.machine.code import Instructions, Marks, decoded
from emu.machine.console import Console, Quota
from emu.machine.running import Ending
from emu.machine.system import System
from emu.report import files, firmware
from emu.run import functions
from emu.timing import core, memory, recording

UART = "ADDRESS[:STATUS[=READY]]"


def command(path: str, arguments: tuple[str, ...], cores: tuple[str, ...], json_file: str | None, csv_file: str | None, *, report: str | None,
            record: str | None, idle_ok: bool, uarts: tuple[str, ...], peripherals: str, vectors: str | None, **options: object) -> int:
    """Run it, print what it printed, then the report; the exit status. The table goes to standard error, since standard output is the program's.

    `options` are Job's.
    """
    wanted = functions.Wanted.taken_from(options)
    for target in (json_file, csv_file, report, record):
        if target is not None:
            files.check(target)
    if options["files"] is not None and not options["files"].is_dir():
        raise InputError(f"--files {options['files']}: no such folder")
    printed = "-" in (json_file, csv_file, report, record)
    job = Job(Path(path), cores[0], cores[1:], uarts=tuple(map(uart, uarts)), ignore_peripherals=peripherals == "ignore", arguments=arguments,
              vectors=None if vectors is None else _option("--vectors", vectors), console=_console_on_stderr if printed else Console, **options)
    followed = _Followed(wanted)
    result, system = run(job, followed.marks if wanted else None)
    by_function = followed.profile(system, job, lines=wanted.shows_lines or json_file is not None) if wanted else None
    for note in result.notes:
        click.echo(f"note: {note}".encode(errors="backslashreplace"), err=True)
    table = firmware.render(result, job.mhz) + functions.shown(by_function, wanted)
    rows = functions.csv(by_function) if by_function else firmware.render_csv(result, job.mhz)
    document = functions.with_functions(firmware.render_json(result, job.mhz), by_function)
    recorded = recording.save(recording.record(system.counts(), system.instructions)) if record is not None else b""
    written = ((json_file, document), (csv_file, rows), (report, table), (record, recorded))
    files.write_all([(target, form) for target, form in written if target is not None])
    if report is None and not printed:
        click.echo(table, err=True, nl=False)
    return _status(result.ending, idle_ok)


class _Followed:
    """What is asked about functions, for an image that is known when it has been loaded."""

    def __init__(self, wanted: functions.Wanted) -> None:
        self._wanted = wanted

    def marks(self, image: Image) -> Marks:
        """What the machine is to notice."""
        self._numbering = Numbering(image)
        self._region = self._wanted.bounds(image, Instructions(decoded(image)))
        return self._numbering.marks(self._region)

    def profile(self, system: System, job: Job, *, lines: bool) -> FunctionProfile:
        """Of the finished run; lines: with lines of source."""
        return functions.profile_of(system.counts(), system.image, system.instructions, self._numbering, core.load(job.core), memory.load(job.memory),
                                    self._region, lines=lines)


def _status(ending: Ending, idle_ok: bool) -> int:
    """The exit status. Raises TargetFault for what did not end well and has no code of its own."""
    if ending.fault is not None:
        raise ending.fault
    if ending.how != "idle":
        return ending.status
    if not idle_ok:
        raise TargetFault(ending.text)
    return 0


def _console_on_stderr(quota: Quota) -> Console:
    """Standard output is the report's."""
    return Console(quota, out=sys.stderr.buffer)


def uart(text: str) -> Uart:
    """A UART as the command line names it. UsageError for what is no address."""
    data, _, status = text.partition(":")
    at, _, ready = status.partition("=")
    try:
        return Uart("UART", _address(data), _address(at) if at else None, _address(ready or "0"))
    except ValueError:
        raise UsageError(f"--uart {text!r}: {UART} is wanted, in numbers as C writes them") from None


def _address(text: str) -> int:
    value = int(text, 0)
    if not 0 <= value < 1 << 32:
        raise ValueError(text)
    return value


def _option(name: str, text: str) -> int:
    try:
        return _address(text)
    except ValueError:
        raise UsageError(f"{name} {text!r}: an address is wanted, as C writes numbers") from None
