"""What each rule of a core's timing table is worth on a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli import SETTINGS, status
from emu.errors import UsageError
from emu.report import forms
from emu.report.forms import Form
from emu.timing import memory as memories

if TYPE_CHECKING:
    from emu.experiment.ablate import Ablation
    from emu.timing.core import Core
    from emu.timing.memory import Memory

FORMS = (
    Form("json", "Write what was found as JSON; - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a program and rule as CSV; - prints it.", "emu.report.shown:csv"),
    Form("parquet", "Write the same rows as Parquet.", "emu.report.shown:parquet"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
)
EPILOG = """\b
Examples
  python -m emu.experiment ablate                    the keyword spotter's kernels on the Cortex-M4
  python -m emu.experiment ablate --kernels c --core cortex-m3
  python -m emu.experiment ablate run.npz --memory stm32f407-24mhz --json -
                                                     any run that emu.run --record kept
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("target", default="kws", metavar="[kws|RECORDING.npz]")
@click.option("--kernels", "sets", multiple=True, default=("thumb2", "c"), show_default=True, metavar="SET",
              help="Of kws: kernel sets; may be given again.")
@click.option("--core", default="cortex-m4", show_default=True, metavar="NAME",
              help="Core whose rules are taken away: a table of emu/timing/cores.")
@click.option("--memory", default=memories.DEFAULT, show_default=True, metavar="NAME", help="Memories: a table of emu/timing/memories.")
@forms.options(FORMS)
def command(target: str, sets: tuple[str, ...], core: str, memory: str, **files: object) -> None:
    """What each rule of a core's timing table is worth on a program.

    The program's streams are priced again without one rule after the other: the cycles that come out, the difference to the whole table's,
    and that in percent. Rules overlap, so the differences do not add up.
    """
    written = forms.taken_from(files, FORMS)
    from emu.report.ablation import Shown
    from emu.timing.core import load

    table, board = load(core), memories.load(memory)
    with status("running and pricing"):
        found = [_spotter(kernels, table, board) for kernels in sets] if target == "kws" else [_recorded(target, table, board)]
    forms.write(Shown(found), written)


def _spotter(kernels: str, core: Core, memory: Memory) -> Ablation:
    """The keyword spotter on the word yes."""
    from emu import measure
    from emu.experiment.ablate import ablate
    from emu.kws import Job, load, prepared, read

    job = Job(kernels=kernels, core=core.name, memory=memory.name)
    ready = prepared(job, load(job), kernels)
    run = measure.infer(ready.image, ready.program, ready.network.input_array(read("yes").features), core, memory=memory)
    return ablate(f"kws, {kernels}", run.counts, run.instructions, core, memory)


def _recorded(target: str, core: Core, memory: Memory) -> Ablation:
    from emu.experiment.ablate import ablate
    from emu.timing import recording

    if not target.endswith(".npz") and not Path(target).exists():
        raise UsageError(f"nothing to run is called {target!r}: kws, or a recording (FILE.npz)")
    run = recording.load(target)
    return ablate(Path(target).name, run.counts, run.instructions, core, memory)
