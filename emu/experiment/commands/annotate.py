"""The listing as it ran: instructions, cycles and why, data, loops."""

from __future__ import annotations

import click

from emu.cli import ALLOW_MISMATCH, EXIT_STATUS, SETTINGS, notes, refuse, status
from emu.experiment.commands import target
from emu.report import forms
from emu.report.forms import Form

FORMS = (
    Form("json", "Write all of it as JSON (schema in docs/experiments.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row an instruction as CSV; - prints it.", "emu.report.shown:csv"),
    Form("markdown", "Write it for GitHub, each function folded; - prints it.", "emu.report.annotate:markdown_form"),
    Form("html", "Write a page that needs no other file, the dearest function unfolded, with a search; - prints it.", "emu.report.html:of_listing"),
)

EPILOG = """\b
Examples
  python -m emu.experiment annotate                                everything that the keyword spotter ran, the dearest function first
  python -m emu.experiment annotate qconv2d_3x3_8                  what ran in that layer
  python -m emu.experiment annotate max_pool2d_s8                  one function
  python -m emu.experiment annotate widen --layer qdense_16x10 --kernels m0 --core cortex-m0plus
                                                                   one function, as it ran in one layer
  python -m emu.experiment annotate --kernels c --opt Os dense_s8  what gcc made of C, its lines beside it
  python -m emu.experiment annotate --core cortex-m7 --memory stm32h743-400mhz
                                                                   another core, a board's memories
  python -m emu.experiment annotate --elf app.elf main             a firmware
  python -m emu.experiment annotate --json - | jq '.functions[0].rows | max_by(.cycles)'
                                                                   for a script

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("what", required=False, metavar="[LAYER|FUNCTION]")
@click.option("--layer", metavar="NAME", help="With a function: as it ran in this layer.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Functions that are listed.")
@click.option("--all", "all_rows", is_flag=True, help="Also list instructions that did not run.")
@click.option("--source/--no-source", default=True, show_default=True, help="Lines of source between the instructions.")
@target.options
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(what: str | None, layer: str | None, top: int, all_rows: bool, source: bool, allow_mismatch: bool, **options: object) -> None:
    """The listing as it ran: of every instruction how often it executed, its cycles and what they are above the minimum for, and the data
    that it touched; loops outlined, lines of source between.

    Of the keyword spotter, or with --elf of a firmware. LAYER: what ran in that layer; FUNCTION: one function. The rows add up exactly to what
    emu.run reports. In a terminal it goes through a pager (PAGER, else less); NO_COLOR turns colours off.
    """
    written = forms.taken_from(options, FORMS)
    from emu.experiment import annotate
    from emu.report.annotate import Shown
    from emu.report.listing import View
    from emu.report.sources import Sources

    with status("building and running"):
        ran = target.ran(options, touches=True)
    notes(ran.remarks)
    listing = annotate.annotate(ran, annotate.scope(ran, what, layer))
    built = None if ran.layers else ran.image.path.stat().st_mtime  # what the cache holds belongs to its sources
    shown = Shown(listing, View(top, all_rows, Sources([ran.image.path.parent], built) if source else None))
    forms.write_long(shown, written)
    refuse(ran.problem, allow_mismatch)
