"""Options that say which run is looked at; the same for every command that looks into one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from emu.cli import CC, CORE, INPUT, KERNELS, MEMORY, OPT
from emu.errors import UsageError

if TYPE_CHECKING:
    from emu import firmware, kws
    from emu.experiment.target import Ran

_SHARED = (
    CORE,
    MEMORY,
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Instructions after which a run counts as endless."),
)
_KWS = (
    KERNELS,
    INPUT,
    OPT,
    CC,
)
_FIRMWARE = (
    click.option("--elf", metavar="FILE", help="Look at this bare-metal firmware instead of the keyword spotter; what it prints goes to standard error."),
    click.option("--argument", "arguments", multiple=True, metavar="TEXT", help="With --elf: an argument of the program. May be given again."),
    click.option("--board", default="generic", show_default=True, metavar="NAME", help="With --elf: the board, a file of emu/machine/boards."),
    click.option("--files", type=click.Path(path_type=Path), metavar="DIR", help="With --elf: semihosting may use files below DIR. Default: none."),
    click.option("--uart", "uarts", multiple=True, metavar="ADDRESS[:STATUS[=READY]]", help="With --elf: a UART, as for emu.run."),
    click.option("--ignore-peripherals", is_flag=True, help="With --elf: peripherals that are not there read as zero instead of ending the run."),
    click.option("--from-entry", is_flag=True, help="With --elf: start at the ELF's entry, without a vector table."),
)
_SHARED_NAMES, _KWS_NAMES = ("core", "memory", "limit"), ("kernels", "word", "opt", "cc")
_FIRMWARE_NAMES = ("arguments", "board", "files", "uarts", "ignore_peripherals", "from_entry")


def options(command: Callable) -> Callable:
    """Adds the options to a click command."""
    for option in reversed((*_KWS, *_SHARED, *_FIRMWARE)):
        command = option(command)
    return command


def ran(options: dict[str, object], *, touches: bool = False) -> Ran:
    """Makes the run that the options ask for, and takes them out of all of a command's options. touches: accesses are counted by instruction.

    Raises what emu.run does for what cannot be built, loaded or run, and UsageError for options of the other kind of run.
    """
    wanted = job(options)
    from emu.experiment import target

    return target.of(wanted, touches=touches)


def job(options: dict[str, object]) -> kws.Job | firmware.Job:
    """The run that the options ask for; takes them out of all of a command's options. UsageError for options of the other kind of run."""
    elf = options.pop("elf")
    shared, of_kws, of_firmware = ({name: options.pop(name) for name in names} for names in (_SHARED_NAMES, _KWS_NAMES, _FIRMWARE_NAMES))
    check_given("without --elf" if elf is None else "with --elf", _FIRMWARE_NAMES if elf is None else (*_KWS_NAMES, "allow_mismatch"))
    shared = {name: value for name, value in shared.items() if value is not None}
    if elf is None:
        from emu import kws

        word = of_kws.pop("word")
        return kws.Job(inputs=(word,), **of_kws, **shared)
    from emu.firmware import Job, uart

    uarts = tuple(map(uart, of_firmware.pop("uarts")))
    return Job(Path(elf), uarts=uarts, **of_firmware, **shared)


def check_given(where: str, foreign: tuple[str, ...]) -> None:
    """UsageError for an option of the running command that was given, and that is foreign there."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in foreign and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"{parameter.opts[0]} means nothing {where}")
