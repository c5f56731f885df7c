"""Kernel sets, compilers, options, cores, memories or git revisions side by side."""

from __future__ import annotations

import click

from emu.cli import ALLOW_MISMATCH, EXIT_STATUS, INPUT, SETTINGS, notes, refuse, status
from emu.report import forms
from emu.report.forms import Form
from emu.timing import memory as memories

FORMS = (
    Form("json", "Write all that was compared as JSON (schema in docs/reports.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a layer and side as CSV; - prints it.", "emu.report.shown:csv"),
    Form("parquet", "Write the same rows with what made each side as Parquet.", "emu.report.shown:parquet"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
    Form("html", "Write a page that needs no other file, with a chart a figure; - prints it.", "emu.report.html:of_comparison"),
)
EPILOG = """\b
A side is SET[@REVISION][:PART,PART...]
  SET            a kernel set (thumb2, c, float), or the path of a folder of kernels
  @REVISION      armsrc as git has it there: a branch, a tag, a commit, HEAD~3; without it, the files as they lie there
  core=NAME      another core than --core's        memory=NAME    other memories than --memory's
  cc=PATH        another compiler                  -Os            another level of optimization than -O3
  -f... -m... -D... -U... --param=...              more options of the compiler's, behind the level

\b
Examples
  python -m emu.experiment compare thumb2@HEAD thumb2              what an edited kernel gained, and where
  python -m emu.experiment compare thumb2 c                        assembly against what gcc makes of C
  python -m emu.experiment compare c:-Os c:-O2 c:-O3,-funroll-loops
                                                                   options of the compiler
  python -m emu.experiment compare c c:cc=/opt/gcc-14/bin/arm-none-eabi-gcc
                                                                   two compilers
  python -m emu.experiment compare thumb2 thumb2:core=cortex-m33 thumb2:memory=stm32f407-168mhz
                                                                   cores and memories
  python -m emu.experiment compare thumb2@v1.0:core=cortex-m7 thumb2:core=cortex-m7 --markdown - >> $GITHUB_STEP_SUMMARY
                                                                   for a pull request

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("texts", nargs=-1, metavar="SIDE SIDE [SIDE]...")
@INPUT
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME", help="Core of sides that name none.")
@click.option("--memory", default=memories.DEFAULT, show_default=True, metavar="NAME", help="Memories of sides that name none.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Functions that tables show.")
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(texts: tuple[str, ...], word: str, core: str, memory: str, top: int, allow_mismatch: bool, **files: object) -> None:
    """Kernel sets, compilers, options, cores, memories or git revisions side by side, for the keyword spotter.

    Every side is built, run once and held against the reference. By layer: instructions, cycles, bytes read and written, stack, and
    the bytes of the functions that ran, each with its difference against the first side in percent; then the functions that the
    differences come from.
    """
    from emu.experiment.sides import parse_all

    sides = parse_all(texts, core, memory)
    written = forms.taken_from(files, FORMS)
    from emu import kws
    from emu.experiment import compare as comparison
    from emu.report.compare import Shown

    with status("reading the input") as say:
        entry = kws.read(word)
        found = comparison.compare(sides, entry, say)
    notes(entry.remarks)
    forms.write(Shown(found, top), written)
    refuse(found.difference, allow_mismatch)
