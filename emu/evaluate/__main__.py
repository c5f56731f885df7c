"""The command line of `python -m emu.evaluate`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from emu.cli import CC, CORE, KERNELS, MEMORY, OPT, SETTINGS, progress, run_command
from emu.errors import InputError, NotBitExact
from emu.host import cores
from emu.report import forms
from emu.report.forms import Form

FORMS = (
    Form("json", "Write all figures as JSON (keys in docs/reports.md); - prints it.", "emu.report.shown:json"),
    Form("csv", "Write one row a clip as CSV; - prints it.", "emu.report.shown:csv"),
    Form("parquet", "Write the same rows as Parquet.", "emu.report.shown:parquet"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
    Form("plot", "Draw the confusion matrix (.png or .svg).", "emu.report.shown:plot", suffixes=(".png", ".svg")),
)
EPILOG = """\b
Examples
  python -m emu.evaluate recordings                      every recording, on all cores
  python -m emu.evaluate recordings --limit 300          300 of them, as many of every word
  python -m emu.evaluate recordings --plot confusion.png --csv clips.csv
  python -m emu.evaluate recordings --kernels c --json - | jq .accuracy

\b
Exit status
  0    done, and every byte of every layer of every clip equals the reference's
  1    done, but a clip is not bit-exact (each is named, with its first difference)
  2    an option or a name that does not exist
  3    no recordings, or, all others being bit-exact, some that cannot be read (they are named); an output that cannot be written
  4    no compiler, or kernels that do not compile or link
  5    the program faulted on a clip, or did not end
  70   a bug in thumbcycle
  130  interrupted; what was done is reported
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("folder", metavar="DIR")
@KERNELS
@CORE
@MEMORY
@OPT
@CC
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Judge N recordings, chosen evenly over the words, the same ones every time.")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Threads, with an engine each. Default: as many as there are cores.")
@forms.options(FORMS)
def main(folder: str, limit: int | None, jobs: int | None, **options: str | None) -> None:
    """Hear every recording of a folder with the emulated machine code, and say how often it is right.

    DIR has a folder a word (yes no up down left right on off stop go), with sound files in it. One image is built and runs in every thread;
    every byte of every layer of every clip is held against the NumPy reference, and the float network hears the same features beside it.
    """
    written = forms.taken_from(options, FORMS)  # refused before minutes of work
    from emu.evaluate.evaluate import evaluate
    from emu.kws import Job

    with contextlib.ExitStack() as shown:
        evaluation = evaluate(Path(folder), Job(**options), limit=limit, threads=jobs or cores(),
                              progress=lambda total: shown.enter_context(progress("evaluating", total, "clips")))
    from emu.report.evaluation import Shown

    forms.write(Shown(evaluation), written)
    if evaluation.interrupted:
        raise KeyboardInterrupt
    if evaluation.wrong:
        first = evaluation.wrong[0]
        raise NotBitExact(f"{len(evaluation.wrong):,} of {len(evaluation.clips):,} clips are not bit-exact; "
                          f"the first is {first.file}: {first.difference}")
    if evaluation.unreadable:
        raise InputError(f"{len(evaluation.unreadable):,} of {evaluation.planned:,} recordings cannot be read: "
                         + ", ".join(file.file for file in evaluation.unreadable))


if __name__ == "__main__":
    sys.exit(run_command(main))
