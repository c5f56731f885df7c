"""The command line of `python -m emu.run`."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from emu.cli import ALLOW_MISMATCH, CC, EXIT_STATUS, MEMORY, OPT, SETTINGS, run_command
from emu.errors import UsageError
from emu.report import forms
from emu.run import functions
from emu.run.forms import FORMS
from emu.stream.detect import Rule

TARGETS = {"kws": "the keyword spotter: one second of speech, six layers, ten words", "FILE.elf": "a bare-metal firmware, from its vector table"}
LIMITS = {"kws": 100_000_000, "firmware": 1_000_000_000}
# Options of one target alone; the others are for both.
KWS_OPTIONS = frozenset({"kernels", "inputs", "stream", "threshold", "opt", "cc", "allow_mismatch", "traffic"})
FIRMWARE_OPTIONS = frozenset({"board", "files", "uarts", "peripherals", "vectors", "from_entry", "idle_ok"})

EPILOG = """\b
Examples
  python -m emu.run kws                          the word yes through the hand-written kernels
  python -m emu.run kws --kernels c --opt Os     what gcc makes of portable C, optimized for size
  python -m emu.run kws --kernels ../mine        kernels in a folder of yours, where some are missing the rest from c
  python -m emu.run kws --input my.wav --mhz 80  your own recording, with milliseconds at 80 MHz
  python -m emu.run kws --input yes --input no   a line an input
  python -m emu.run kws --input long.wav --stream --mhz 80
                                                 a decision every 100 ms: words with times, and the share of the CPU
  python -m emu.run kws --core all               five cores side by side
  python -m emu.run kws --traffic --plot k.png   bytes by tensor; cycles and bytes by layer as a picture
  python -m emu.run kws --json - | jq .totals    everything that was measured, for a script
  python -m emu.run app.elf -- one two           a firmware, with arguments; its output is standard output, the table goes to standard error
  python -m emu.run app.elf --board stm32f407    with the board's memories, its UARTs printing, its registers' names in errors
  python -m emu.run app.elf --uart 0x4000C000 --files data --core cortex-m3
                                                 a UART's data register, a folder for semihosting, another core
  python -m emu.run app.elf --functions --lines  calls, cycles and bytes by function, and cycles by line of source
  python -m emu.run kws --kernels c --callgrind kws.callgrind --trace kws.trace.json
                                                 for KCachegrind, and for ui.perfetto.dev; any number of forms from one run
  python -m emu.run app.elf --json - | jq .totals.cycles
                                                 the figures as JSON; the program's output goes to standard error

""" + EXIT_STATUS + """
\b
A firmware's own exit code (semihosting, _exit, what main returns) is the exit status, modulo 256. Else it is 0 when the program reaches
firmware_done or asks for a reset, and 5 when it faults, sleeps or loops with nothing to wake it (--idle-ok: 0), or meets --limit.
"""


def _clock(_context: click.Context, _option: click.Parameter, mhz: float | None) -> float | None:
    if mhz is not None and not 0 < mhz < math.inf:
        raise click.BadParameter(f"{mhz} is no clock: a number of MHz above 0 is wanted")
    return mhz


def _cores(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name once, in the order in which it was given; `all` is every core, the default first."""
    from emu.isa import cpu

    return tuple(dict.fromkeys(core for name in names for core in (("cortex-m4", *cpu.names()) if name == "all" else (name,))))


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("target", required=False, metavar="[kws|FILE.elf]")
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS]")
@click.option("--kernels", default="thumb2", show_default=True, metavar="SET|DIR",
              help="Kernel set: thumb2 (hand-written assembly), fused (thumb2, and pairs of layers in one call), m0 (assembly for every core), "
                   "c (portable C), float (the same network in float, on the FPU), or a folder of yours "
                   "(python -m emu.kernels new DIR makes one).")
@ALLOW_MISMATCH
@click.option("--input", "inputs", multiple=True, default=("yes",), metavar="WORD|FILE",
              help="A word that comes with the project (yes no up down left right on off stop go), a sound file (.wav, .flac, ...; "
                   "resampled to 16 kHz, mixed down, padded or cut to one second), or FILE.npy with int8 features (20, 20, 1). "
                   "May be given again: several inputs are shown with a line each. Default: yes.")
@click.option("--stream", is_flag=True, help="Listen to the whole of one longer recording: a decision every 100 ms over the second before it.")
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True), metavar="P",
              help=f"With --stream: the smoothed confidence at which a word counts as detected. Default: {Rule().threshold}.")
@click.option("--core", "cores", multiple=True, default=("cortex-m4",), callback=_cores, metavar="NAME|all",
              help="Core to model: cortex-m0plus, cortex-m3, cortex-m4, cortex-m7, cortex-m33. May be given again, or all (cortex-m4 first): the "
                   "cores side by side, from the first one's run where they can execute its image. Default: cortex-m4.")
@MEMORY
@OPT
@CC
@click.option("--mhz", type=float, callback=_clock, metavar="N", help="Clock, for milliseconds beside cycles.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N",
              help=f"Instructions after which a run counts as endless. Default: {LIMITS['kws']:,}, of a firmware {LIMITS['firmware']:,}.")
@forms.options(FORMS)
@click.option("--traffic", is_flag=True, help="Also show bytes by tensor: input, weights, bias, requantization, output, scratch, stack, literals, "
                                              "instruction fetch.")
@functions.options
@click.option("--board", default="generic", show_default=True, metavar="NAME",
              help="Firmware: the board, a file of emu/machine/boards: its memories, its UARTs, the names of its registers.")
@click.option("--files", type=click.Path(path_type=Path), metavar="DIR", help="Firmware: semihosting may use files below DIR. Default: none.")
@click.option("--uart", "uarts", multiple=True, metavar="ADDRESS[:STATUS[=READY]]",
              help="Firmware: bytes stored at ADDRESS are printed; the register at STATUS reads READY (0). May be given again.")
@click.option("--peripherals", type=click.Choice(["refuse", "ignore"]), default="refuse", show_default=True,
              help="Firmware: what a peripheral that is not there does: end the run, or read as zero.")
@click.option("--vectors", metavar="ADDRESS", help="Firmware: where the vector table is, when neither symbols nor the lowest segment tell.")
@click.option("--from-entry", is_flag=True, help="Firmware: start at the ELF's entry, without a vector table.")
@click.option("--idle-ok", is_flag=True, help="Firmware: a program that sleeps or loops for ever, with nothing to wake it, has ended well.")
@click.pass_context
def main(context: click.Context, target: str | None, arguments: tuple[str, ...], inputs: tuple[str, ...], cores: tuple[str, ...], stream: bool,
         threshold: float | None, traffic: bool, allow_mismatch: bool, **options: object) -> int | None:
    """Run a program as real Thumb-2 code in an emulated Cortex-M and show what it cost.

    `kws` builds the keyword spotter, runs it on one second of speech, checks every layer's output against NumPy bit for bit, and prints
    instructions, modelled cycles, memory traffic and stack, layer by layer. Instructions and bytes are exact; cycles are modelled for the named core
    and memories. With --stream, words are detected in a recording of any length, and their times and the CPU's share are shown.

    A firmware is any linked bare-metal ELF: it starts at its vector table (newlib's rdimon start-up at the ELF's entry), takes exceptions, and
    talks through semihosting, the ITM or a UART. Time is modelled cycles of the first core that is named; others price the same run.
    """
    if target is None:
        click.echo("python -m emu.run TARGET [options]; --help says all. What can be run:")
        for name, what in TARGETS.items():
            click.echo(f"  {name:<9} {what}")
        return 0
    is_kws = target == "kws"
    if not is_kws and not _is_file(target):
        raise UsageError(f"nothing to run is called {target!r}; there is {', '.join(TARGETS)}")
    _check_options(context, "kws" if is_kws else "a firmware", FIRMWARE_OPTIONS if is_kws else KWS_OPTIONS)
    options["limit"] = options["limit"] or LIMITS["kws" if is_kws else "firmware"]
    if is_kws:
        if arguments:
            raise UsageError(f"kws takes no arguments: {' '.join(arguments)}")
        from emu.run import kws  # not before the options are known to be right

        return kws.command(inputs, cores, stream, threshold, traffic, allow_mismatch,
                           **{name: value for name, value in options.items() if name not in FIRMWARE_OPTIONS})
    from emu.run import firmware

    return firmware.command(target, arguments, cores, **{name: value for name, value in options.items() if name not in KWS_OPTIONS})


def _is_file(target: str) -> bool:
    """A path, there or not: what has a folder or a suffix was meant as one."""
    return Path(target).exists() or len(Path(target).parts) > 1 or bool(Path(target).suffix)


def _check_options(context: click.Context, target: str, foreign: frozenset[str]) -> None:
    given = [parameter for parameter in context.command.params
             if parameter.name in foreign and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE]
    if given:
        raise UsageError(f"{given[0].opts[0]} is no option of {target}")


if __name__ == "__main__":
    sys.exit(run_command(main))
