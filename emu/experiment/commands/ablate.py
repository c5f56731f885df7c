"""What each rule of a core's timing table is worth on a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.cli import ALLOW_MISMATCH, CC, CORE, EXIT_STATUS, INPUT, MEMORY, OPT, SETTINGS, notes, refuse, status
from emu.errors import UsageError
from emu.experiment.commands.target import check_given
from emu.report import forms
from emu.report.forms import Form

if TYPE_CHECKING:
    from emu.experiment.ablate import Ablation

FORMS = (
    Form("json", "Write what was found as JSON; - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a program and rule as CSV; - prints it.", "emu.report.shown:csv"),
    Form("parquet", "Write the same rows as Parquet.", "emu.report.shown:parquet"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
)
_OF_KWS = ("sets", "word", "opt", "cc", "allow_mismatch")  # names of options
EPILOG = """\b
Examples
  python -m emu.experiment ablate                    the keyword spotter's kernels on the Cortex-M4
  python -m emu.experiment ablate --kernels c --core cortex-m3
  python -m emu.experiment ablate run.npz --memory stm32f407-24mhz --json -
                                                     any run that emu.run --record kept

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("target", default="kws", metavar="[kws|RECORDING.npz]")
@click.option("--kernels", "sets", multiple=True, default=("thumb2", "c"), show_default=True, metavar="SET|DIR",
              help="Of kws: kernel sets, or folders of kernels; may be given again.")
@CORE
@MEMORY
@INPUT
@OPT
@CC
@ALLOW_MISMATCH
@forms.options(FORMS)
def command(target: str, sets: tuple[str, ...], core: str, memory: str, word: str, opt: str, cc: str | None, allow_mismatch: bool, **files: object) -> None:
    """What each rule of a core's timing table is worth on a program.

    The program's streams are priced again without one rule after the other: the cycles that come out, the difference to the whole table's,
    and that in percent. Rules overlap, so the differences do not add up.
    """
    written = forms.taken_from(files, FORMS)
    from emu.report.ablation import Shown

    if target != "kws":
        check_given("with a recording", _OF_KWS)
        with status("pricing"):
            found = [_recorded(target, core, memory)]
        forms.write(Shown(found), written)
        return
    from emu.experiment import target as targets
    from emu.experiment.ablate import ablate
    from emu.kws import Job

    with status("running and pricing"):
        ran = [targets.of(Job(kernels=kernels, core=core, memory=memory, inputs=(word,), opt=opt, cc=cc)) for kernels in sets]
        found = [ablate(f"kws, {kernels}", run.counts, run.instructions, run.core, run.memory) for kernels, run in zip(sets, ran, strict=True)]
    notes(dict.fromkeys(remark for run in ran for remark in run.remarks))
    forms.write(Shown(found), written)
    refuse(next((run.problem for run in ran if run.problem), None), allow_mismatch)


def _recorded(target: str, core: str, memory: str) -> Ablation:
    from emu.experiment.ablate import ablate
    from emu.timing import memory as memories
    from emu.timing import recording
    from emu.timing.core import load

    if not target.endswith(".npz") and not Path(target).exists():
        raise UsageError(f"nothing to run is called {target!r}: kws, or a recording (FILE.npz)")
    run = recording.load(target)
    return ablate(Path(target).name, run.counts, run.instructions, load(core), memories.load(memory))
