"""MACs a byte against MACs a cycle, under the core's roofs."""

from __future__ import annotations

import click

from emu.cli import ALLOW_MISMATCH, CC, EXIT_STATUS, INPUT, MEMORY, OPT, SETTINGS, refuse, status
from emu.report import forms
from emu.report.forms import Form

FORMS = (
    Form("json", "Write all that was found as JSON (schema in docs/experiments.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a core, kernel set and layer as CSV; - prints it.", "emu.report.shown:csv"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
    Form("plot", "Draw it, a panel a core (.png or .svg).", "emu.report.roofline:draw", suffixes=(".png", ".svg")),
)
EPILOG = """\b
Columns
  bytes moved    what loads and stores moved, each access counted; unique: the layer's input, weights, bias, requantization and
                 output, each byte counted once
  bound          MACs a cycle if the core issued nothing but the layer's MACs and accesses of that many bytes, as wide as it can
  limit          which of the two takes more of those cycles

\b
Examples
  python -m emu.experiment roofline                                the hand-written kernels on the Cortex-M4
  python -m emu.experiment roofline --kernels thumb2 --kernels c --plot roofline.png
                                                                   two kernel sets in one picture
  python -m emu.experiment roofline --kernels c --core all --plot roofline.svg
                                                                   a panel for each core
  python -m emu.experiment roofline --memory stm32f407-168mhz      waits of memories pull layers down; the roofs are the core's alone
  python -m emu.experiment roofline --json - | jq '.rooflines[0].layers[] | {name, share, limit}'

""" + EXIT_STATUS


def _cores(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """`all` is every core, from the smallest."""
    from emu.isa import cpu

    return tuple(cpu.names()) if "all" in names else names


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.option("--kernels", "sets", multiple=True, default=("thumb2",), show_default=True, metavar="SET|DIR", help="Kernel set, or a folder of kernels. May be given again.")
@click.option("--core", "cores", multiple=True, default=("cortex-m4",), show_default=True, callback=_cores, metavar="NAME|all",
              help="Core to model. May be given again, or all.")
@MEMORY
@INPUT
@OPT
@CC
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(sets: tuple[str, ...], cores: tuple[str, ...], memory: str, word: str, opt: str, cc: str | None, allow_mismatch: bool, **files: object) -> None:
    """MACs for each byte that moved against MACs a cycle, layer by layer, under what the core lets through at most.

    The bounds are found by pricing streams of nothing but multiplies, loads or stores with the core's own table, so they are the
    model's. A layer stays under them by what it issues besides: unpacking, requantization, loops, addresses (python -m emu.experiment
    mix says which), and by accesses that are narrower than the core's widest.
    """
    written = forms.taken_from(files, FORMS)
    from emu import kws
    from emu.experiment.roofline import rooflines
    from emu.report.roofline import Shown

    with status("reading the input") as say:
        found = rooflines(kws.Job(inputs=(word,), memory=memory, opt=opt, cc=cc), cores, sets, say)
    forms.write(Shown(found), written)
    refuse(found.problem, allow_mismatch)
