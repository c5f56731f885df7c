"""The command line of `python -m emu.run`."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from emu.cli import EXIT_STATUS, progress, run_command, status
from emu.errors import NotBitExact, UsageError
from emu.report import csv_form, files, json_form, plot
from emu.report.result import Result
from emu.stream.detect import Rule

if TYPE_CHECKING:
    from emu.kws import Job

TARGETS = {"kws": "the keyword spotter: one second of speech, six layers, ten words"}

EPILOG = """\b
Examples
  python -m emu.run kws                          the word yes through the hand-written kernels
  python -m emu.run kws --kernels c --opt Os     what gcc makes of portable C, optimized for size
  python -m emu.run kws --input my.wav --mhz 80  your own recording, with milliseconds at 80 MHz
  python -m emu.run kws --input yes --input no   a line an input
  python -m emu.run kws --input long.wav --stream --mhz 80
                                                 a decision every 100 ms: words with times, and the share of the CPU
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
@click.option("--input", "inputs", multiple=True, default=("yes",), metavar="WORD|FILE",
              help="A word that comes with the project (yes no up down left right on off stop go), a sound file (.wav, .flac, ...; "
                   "resampled to 16 kHz, mixed down, padded or cut to one second), or FILE.npy with int8 features (20, 20, 1). "
                   "May be given again: several inputs are shown with a line each. Default: yes.")
@click.option("--stream", is_flag=True, help="Listen to the whole of one longer recording: a decision every 100 ms over the second before it.")
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True), metavar="P",
              help=f"With --stream: the smoothed confidence at which a word counts as detected. Default: {Rule().threshold}.")
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME", help="Core to model: a table of emu/timing/cores.")
@click.option("--opt", default="O3", show_default=True, metavar="LEVEL", help="Optimization of C: O0 O1 O2 O3 Os Ofast Og.")
@click.option("--cc", metavar="PATH", help="Cross compiler. Default: arm-none-eabi-gcc from PATH, else the one from PyPI.")
@click.option("--mhz", type=float, callback=_clock, metavar="N", help="Clock, for milliseconds beside cycles.")
@click.option("--limit", type=click.IntRange(min=1), default=100_000_000, show_default=True, metavar="N",
              help="Instructions after which a run counts as endless.")
@click.option("--json", "json_file", metavar="FILE", help="Write all that was measured as JSON (schema in docs/reports.md); - prints it.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write one row a layer (with --stream, a decision) as CSV, TinyMind's four columns first; - prints it.")
@click.option("--plot", "plot_file", metavar="FILE", help="Draw cycles and bytes by layer of the first input, or with --stream confidence over time (.png or .svg).")
@click.option("--traffic", is_flag=True, help="Also show bytes by tensor: input, weights, bias, requantization, output, scratch, stack, literals, "
                                              "instruction fetch.")
def main(target: str | None, inputs: tuple[str, ...], stream: bool, threshold: float | None, json_file: str | None, csv_file: str | None,
         plot_file: str | None, traffic: bool, **options: object) -> None:
    """Run a program as real Thumb-2 code in an emulated Cortex-M and show what it cost, layer by layer.

    `kws` builds the keyword spotter, runs it on one second of speech, checks every layer's output against NumPy bit for bit, and prints
    instructions, modelled cycles, memory traffic and stack. Instructions and bytes are exact; cycles are modelled for the named core
    at zero wait states. With --stream, words are detected in a recording of any length, and their times and the CPU's share are shown.
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
    from emu.kws import Job  # not before the options are known to be right

    job = Job(inputs=inputs, **options)
    if stream:
        _listen(job, Rule() if threshold is None else Rule(threshold=threshold), traffic, json_file, csv_file, plot_file)
    elif threshold is not None:
        raise UsageError("--threshold belongs to --stream")
    else:
        _run(job, traffic, json_file, csv_file, plot_file)


def _run(job: Job, traffic: bool, json_file: str | None, csv_file: str | None, plot_file: str | None) -> None:
    from emu.kws import run
    from emu.report import table

    with status("building and running kws"):
        outcome = run(job)
    _remark(outcome.remarks)
    _write(outcome.result, (json_file, json_form.render), (csv_file, csv_form.render),
           (plot_file, lambda result: plot.render(result, plot_file)), shown=lambda result: table.render(result, traffic))
    if outcome.difference:
        raise NotBitExact(outcome.difference)


def _listen(job: Job, rule: Rule, traffic: bool, json_file: str | None, csv_file: str | None, plot_file: str | None) -> None:
    if len(job.inputs) > 1 or traffic:
        raise UsageError("--stream takes one --input, and no --traffic")
    from emu.report import confidence, timeline
    from emu.stream.listen import listen

    with contextlib.ExitStack() as bar:
        result, remarks = listen(job, rule, progress=lambda total: bar.enter_context(progress("listening", total, "decisions")))
    _remark(remarks)
    _write(result, (json_file, timeline.render_json), (csv_file, timeline.render_csv),
           (plot_file, lambda result: confidence.render(result, plot_file)), shown=timeline.render)
    if result.wrong:
        raise NotBitExact(f"{len(result.wrong):,} of {len(result.decisions):,} decisions are not bit-exact; the first is at "
                          f"{result.wrong[0].time:.1f} s: {result.wrong[0].difference}")


def _remark(remarks: Sequence[str]) -> None:
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)


def _write(result: Result, *forms: tuple[str | None, Callable[[Result], str | bytes]], shown: Callable[[Result], str]) -> None:
    """Every form is drawn before the first is written, so that nothing is written when one cannot be; `shown` when none is printed."""
    wanted = [(target, render) for target, render in forms if target is not None]
    if "-" not in [target for target, _ in wanted]:
        wanted.append(("-", shown))
    files.write_all([(target, render(result)) for target, render in wanted])


if __name__ == "__main__":
    sys.exit(run_command(main))
