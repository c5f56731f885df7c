"""What issues in which cycle, for one iteration of a loop."""

from __future__ import annotations

import click

from emu.cli import ALLOW_MISMATCH, EXIT_STATUS, SETTINGS, notes, refuse, status
from emu.experiment.commands import target
from emu.report import forms
from emu.report.forms import Form

FORMS = (
    Form("json", "Write all of it as JSON (schema in docs/experiments.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row an instruction as CSV; - prints it.", "emu.report.shown:csv"),
    Form("plot", "Draw it: a bar an instruction (.png or .svg).", "emu.report.timeline_plot:draw", suffixes=(".png", ".svg")),
)
EPILOG = """\b
The picture
  a row an instruction, a column a cycle; two marks in one column issue together
  ●  it issues     ━  a cycle that it takes itself     letters: cycles until the next one issues that are lost; the legend says to what
  ○  it issues, and that cycle is lost: alone where two could have issued, or for nothing

\b
Examples
  python -m emu.experiment timeline                                the hottest loop of the keyword spotter
  python -m emu.experiment timeline max_pool2d_s8                  the hottest loop of a function
  python -m emu.experiment timeline max_pool2d_s8 --core cortex-m7
                                                                   on a core that issues two at once
  python -m emu.experiment timeline max_pool2d_s8 --iteration 3    the third iteration, as it ran
  python -m emu.experiment timeline conv2d_s8 --kernels c --loop conv2d_s8+0x1c4
                                                                   the loop there, instead of the hottest one
  python -m emu.experiment timeline --elf app.elf fir --plot fir.svg
                                                                   a firmware's, as a picture

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("function", required=False, metavar="[FUNCTION]")
@click.option("--loop", "place", metavar="PLACE", help="The loop at this address, SYMBOL+OFFSET or FILE:LINE. Default: the one with most cycles of its own.")
@click.option("--iteration", "number", type=click.IntRange(min=1), metavar="N", help="The N-th time that the run came to the loop's head, as it ran.")
@click.option("--rows", type=click.IntRange(min=1), default=400, show_default=True, metavar="N", help="Instructions that are drawn.")
@target.options
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(function: str | None, place: str | None, number: int | None, rows: int, allow_mismatch: bool, **options: object) -> None:
    """What issues in which cycle on one way round a loop of FUNCTION, and what the cycles between are lost to.

    Without --iteration it is the loop's dearest way from its head back to it, when it is a single stream (no taken branch inside) that most iterations
    are; otherwise an iteration that took the dearest way, as it ran. A function without a loop shows its dearest straight piece.
    """
    written = forms.taken_from(options, FORMS)
    job = target.job(options)
    from emu.experiment import target as runs
    from emu.experiment.timeline import timeline
    from emu.report.timeline import Shown

    with status("building and running"):
        ran = runs.of(job)
        shown = Shown(timeline(ran, lambda iteration: runs.record(job, iteration), function, place, number), rows)
    notes(ran.remarks)
    forms.write_long(shown, written)
    refuse(ran.problem, allow_mismatch)
