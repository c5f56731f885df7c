"""What `python -m emu.run FILE.elf` does, behind its options."""

from __future__ import annotations

from pathlib import Path

import click

from emu.cli import notes
from emu.errors import TargetFault
from emu.experiment import target
from emu.firmware import Job, address, run, uart
from emu.machine.console import Console, on_stderr
from emu.machine.running import Ending
from emu.report import files, forms
from emu.report.firmware import FirmwareRun
from emu.report.shown import terminal
from emu.run import functions
from emu.run.forms import FIRMWARE, FORMS


def command(path: str, arguments: tuple[str, ...], cores: tuple[str, ...], *, idle_ok: bool, uarts: tuple[str, ...], peripherals: str,
            vectors: str | None, **options: object) -> int:
    """Run it, print what it printed, then the report; the exit status. The table goes to standard error, since standard output is the program's.

    `options` are those of forms, of functions, and Job's.
    """
    written = forms.taken_from(options, FORMS, FIRMWARE)
    wanted = functions.Wanted.taken_from(options)
    printed = forms.prints(written)
    job = Job(Path(path), cores[0], cores[1:], uarts=tuple(map(uart, uarts)), ignore_peripherals=peripherals == "ignore", arguments=arguments,
              vectors=None if vectors is None else address("--vectors", vectors), console=on_stderr if printed else Console, **options)
    following = functions.Following(wanted, forms.needs(written))
    result, system = run(job, following.marks if following else None)
    notes(result.notes)
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
