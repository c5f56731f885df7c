"""The command line of `python -m emu.run`."""

from __future__ import annotations

import math
import sys

import click

from emu.cli import EXIT_STATUS, run_command, status
from emu.errors import NotBitExact, UsageError
from emu.report import csv_form, files, json_form, plot
from emu.report.result import Result

TARGETS = {"kws": "the keyword spotter: one second of speech, six layers, ten words"}

EPILOG = """\b
Examples
  python -m emu.run kws                          the word yes through the hand-written kernels
  python -m emu.run kws --kernels c --opt Os     what gcc makes of portable C, optimized for size
  python -m emu.run kws --input my.wav --mhz 80  your own recording, with milliseconds at 80 MHz
  python -m emu.run kws --traffic --plot k.png   bytes by tensor; cycles and bytes by layer as a picture
  python -m emu.run kws --json - | jq .totals    everything that was measured, for a script

""" + EXIT_STATUS


def _clock(_context: click.Context, _option: click.Parameter, mhz: float | None) -> float | None:
    if mhz is not None and not 0 < mhz < math.inf:
        raise click.BadParameter(f"{mhz} is no clock: a number of MHz above 0 is wanted")
    return mhz


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("target", required=False, metavar="[kws]")
@click.option("--kernels", default="thumb2", show_default=True, metavar="SET",
              help="Kernel set: a folder of armsrc/kernels. thumb2: hand-written assembly; c: portable C; float: the same network in float, on the FPU.")
@click.option("--input", "input_", default="yes", show_default=True, metavar="WORD|FILE",
              help="A word that comes with the project (yes no up down left right on off stop go), a sound file (.wav, .flac, ...; "
                   "resampled to 16 kHz, mixed down, padded or cut to one second), or FILE.npy with int8 features (20, 20, 1).")
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME", help="Core to model: a table of emu/timing/cores.")
@click.option("--opt", default="O3", show_default=True, metavar="LEVEL", help="Optimization of C: O0 O1 O2 O3 Os Ofast Og.")
@click.option("--cc", metavar="PATH", help="Cross compiler. Default: arm-none-eabi-gcc from PATH, else the one from PyPI.")
@click.option("--mhz", type=float, callback=_clock, metavar="N", help="Clock, for milliseconds beside cycles.")
@click.option("--limit", type=click.IntRange(min=1), default=100_000_000, show_default=True, metavar="N",
              help="Instructions after which a run counts as endless.")
@click.option("--json", "json_file", metavar="FILE", help="Write all that was measured as JSON (schema in docs/reports.md); - prints it.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write one row a layer as CSV, TinyMind's four columns first; - prints it.")
@click.option("--plot", "plot_file", metavar="FILE", help="Draw cycles and bytes by layer (.png or .svg).")
@click.option("--traffic", is_flag=True, help="Also show bytes by tensor: input, weights, bias, requantization, output, scratch, stack, literals, "
                                              "instruction fetch.")
def main(target: str | None, json_file: str | None, csv_file: str | None, plot_file: str | None, traffic: bool, input_: str, **options: object) -> None:
    """Run a program as real Thumb-2 code in an emulated Cortex-M and show what it cost, layer by layer.

    `kws` builds the keyword spotter, runs it on one second of speech, checks every layer's output against NumPy bit for bit, and prints
    instructions, modelled cycles, memory traffic and stack. Instructions and bytes are exact; cycles are modelled for the named core
    at zero wait states.
    """
    if target is None:
        click.echo("python -m emu.run TARGET [options]; --help says all. What can be run:")
        for name, what in TARGETS.items():
            click.echo(f"  {name}  {what}")
        return
    if target not in TARGETS:
        raise UsageError(f"nothing to run is called {target!r}; there is {', '.join(TARGETS)}")
    if [json_file, csv_file].count("-") == 2:
        raise UsageError("--json - and --csv -: only one of them can be printed")
    if plot_file:
        plot.check_suffix(plot_file)
    from emu.kws import Job, run  # not before the options are known to be right

    with status(f"building and running {target}"):
        outcome = run(Job(input=input_, **options))
    for remark in outcome.remarks:
        click.echo(f"note: {remark}", err=True)
    _write(outcome.result, json_file, csv_file, plot_file, traffic)
    if outcome.difference:
        raise NotBitExact(str(outcome.difference))


def _write(result: Result, json_file: str | None, csv_file: str | None, plot_file: str | None, traffic: bool) -> None:
    """Every form is drawn before the first is written, so that nothing is written when one cannot be."""
    forms: list[tuple[str, str | bytes]] = []
    if json_file:
        forms.append((json_file, json_form.render(result)))
    if csv_file:
        forms.append((csv_file, csv_form.render(result)))
    if plot_file:
        forms.append((plot_file, plot.render(result, plot_file)))
    if "-" not in (json_file, csv_file):
        from emu.report import table

        forms.append(("-", table.render(result, traffic)))
    for name, _ in forms:
        files.check(name)
    for name, form in forms:
        files.write(name, form)


if __name__ == "__main__":
    sys.exit(run_command(main))
