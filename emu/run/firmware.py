"""What `python -m emu.run FILE.elf` does, behind its options."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from emu import forms
from emu.errors import InputError, TargetFault, UsageError
from emu.experiment import target
from emu.firmware import Job, run
from emu.machine.board import Uart
from emu.machine.console import Console, Quota
from emu.machine.running import Ending
from emu.report import files
from emu.report.firmware import FirmwareRun
from emu.report.shown import terminal
from emu.run import functions
from emu.run.forms import FIRMWARE, FORMS

UART = "ADDRESS[:STATUS[=READY]]"


def command(path: str, arguments: tuple[str, ...], cores: tuple[str, ...], *, idle_ok: bool, uarts: tuple[str, ...], peripherals: str,
            vectors: str | None, **options: object) -> int:
    """Run it, print what it printed, then the report; the exit status. The table goes to standard error, since standard output is the program's.

    `options` are those of forms, of functions, and Job's.
    """
    written = forms.taken_from(options, FORMS, FIRMWARE)
    wanted = functions.Wanted.taken_from(options)
    if options["files"] is not None and not options["files"].is_dir():
        raise InputError(f"--files {options['files']}: no such folder")
    printed = forms.prints(written)
    job = Job(Path(path), cores[0], cores[1:], uarts=tuple(map(uart, uarts)), ignore_peripherals=peripherals == "ignore", arguments=arguments,
              vectors=None if vectors is None else _option("--vectors", vectors), console=_console_on_stderr if printed else Console, **options)
    following = functions.Following(wanted, forms.needs(written))
    result, system = run(job, following.marks if following else None)
    for note in result.notes:
        click.echo(f"note: {note}".encode(errors="backslashreplace"), err=True)
    ran = target.of_system(job, result, system)
    shown = FirmwareRun(result, job.mhz, ran=ran, region=following.region, view=wanted.view,
                        functions=following.profile(ran, lines=forms.asks_for(written, "json")))
    files.write_all(forms.drawn(shown, written))
    if not printed and not forms.asks_for(written, "report"):
        click.echo(terminal(shown), err=True, nl=False)
    return _status(result.ending, idle_ok)


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
