"""The published figures of kernel sets, and what they are to reach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from emu.cli import ALLOW_MISMATCH, EXIT_STATUS, SETTINGS, progress, refuse
from emu.host import cores
from emu.report import forms
from emu.report.forms import Form

FILE = Path(__file__).parents[1] / "figures" / "figures.toml"

FORMS = (
    Form("json", "Write all lines as JSON; - prints it.", "emu.report.shown:json"),
    Form("markdown", "Write the document with all tables, docs/kernel-figures.md; - prints it.", "emu.report.figures:page"),
)
EPILOG = """\b
Examples
  python -m emu.experiment figures                                  the project's sets: the keyword spotter, kinds of layers, MLPerf Tiny's layers
  python -m emu.experiment figures ../mine                          a folder of kernels instead, beside c
  python -m emu.experiment figures ../mine --core cortex-m7
  python -m emu.experiment figures --markdown docs/kernel-figures.md
                                                                    write the page of the docs

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("kernels", nargs=-1, metavar="[SET|DIR]...")
@click.option("--file", default=str(FILE), metavar="FILE.toml", help="What to measure, and the goals; the project's own by default.")
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME", help="The core that SETs and DIRs run on.")
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(kernels: tuple[str, ...], file: str, core: str, allow_mismatch: bool, **options: object) -> int:
    """Measure kernel sets on the keyword spotter and on the layers that networks are made of.

    Cycles, cycles a MAC, percent of what the core's multiplier bounds, instructions, traffic, bytes of code, weights and stack of every
    line, and which of the goals it meets. Without arguments all is measured that emu/experiment/figures/figures.toml names; that file has the goals, too.
    """
    written = forms.taken_from(options, FORMS)
    from emu.experiment.figures import goals, measure
    from emu.experiment.sweep import run
    from emu.report.figures import Shown
    from emu.timing.core import load as load_core

    published = goals.load(Path(file))
    if kernels:
        load_core(core)
        asked = tuple(dict.fromkeys((*kernels, published.baseline)))
        published = replace(published, measures=(goals.Measure(core, asked),), goals=())
    with progress("measuring", measure.points(published), "lines") as advance:
        found = measure.figures(published, run.runner(cores(), None), advance)
    forms.write(Shown(found), written)
    refuse(found.problem, allow_mismatch)
    return 0
