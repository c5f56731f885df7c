"""Schedules of a marked region of assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from emu.cli import CC, EXIT_STATUS, INPUT, KERNELS, MEMORY, SETTINGS, progress
from emu.errors import InputError, UsageError
from emu.report import forms
from emu.report.forms import Form

if TYPE_CHECKING:
    from emu.experiment.search.marks import Region
    from emu.experiment.search.run import Result
    from emu.experiment.search.subject import Sources

FORMS = (
    Form("json", "Write all that was found as JSON (schema in docs/experiments.md); - prints it.", "emu.report.shown:json"),
    Form("markdown", "Write the tables for GitHub; - prints them.", "emu.report.shown:markdown"),
    Form("diff", "Write the change of the source as a patch; - prints it.", "emu.report.search:diff"),
)

EPILOG = """\b
A region is straight-line code between two comments:
  @ search: begin NAME [free: r11, flags] [live: r4, r5] [noalias]
  @ search: end
free: nobody needs these, before or behind. live: all that is needed behind (else that is found out). noalias: accesses off different
base registers never meet. Calls of macros are expanded; a region inside a macro is changed wherever that is expanded.

\b
Examples
  python -m emu.experiment search                          the regions that there are
  python -m emu.experiment search walk_pair                one region
  python -m emu.experiment search max_pool2d_s8            the region in that kernel, if it has one
  python -m emu.experiment search conv2d.S --region NAME   one of several in a kernel or a file, or in what that includes
  python -m emu.experiment search NAME --seconds 60 --seed 1
                                                           longer, and another way
  python -m emu.experiment search NAME --core cortex-m7 --core cortex-m4
                                                           faster on one of these cores, slower on none
  python -m emu.experiment search NAME --write             put it into the source
  python -m emu.experiment search NAME --diff - | git apply

""" + EXIT_STATUS


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.argument("target", required=False, metavar="[REGION|KERNEL|FILE]")
@click.option("--region", metavar="NAME", help="Of several regions, this one.")
@KERNELS
@click.option("--core", "cores", multiple=True, default=("cortex-m4",), show_default=True, metavar="NAME",
              help="Core whose cycles count. May be given again: all count, and none may get slower.")
@MEMORY
@INPUT
@CC
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True, metavar="S", help="How long to search.")
@click.option("--tries", type=click.IntRange(min=1), metavar="N", help="Price N schedules instead, however long that takes: the same find every time.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of chance.")
@click.option("--calls", type=click.IntRange(min=0), default=40, show_default=True, metavar="N", help="Calls at random that verify each kernel.")
@click.option("--write", is_flag=True, help="Put what was found into the source.")
@forms.options(FORMS)
def command(target: str | None, region: str | None, seconds: float, tries: int | None, seed: int, calls: int, write: bool, **options: object) -> None:
    """Try schedules of a marked region of assembly: legal orders of its instructions, and other registers for its values.

    An order is legal when every instruction finds the values that it found before. Each is priced by the model where it runs, in the
    streams of the keyword spotter that go through the region. The cheapest is put into a real image and run: the network, the network's layers
    at the ends of every range, and calls at random must be bit-exact, or it is not reported.
    """
    written = forms.taken_from(options, FORMS)
    from emu.experiment.search import choose, subject
    from emu.report import files
    from emu.report import search as report

    sources = subject.sources(options["kernels"])
    chosen = choose.regions(sources, target)
    if region or target:
        found = _searched(sources, choose.one(chosen, target, region), options, _Effort(seconds, tries, seed, calls))
        forms.write(report.Shown(found), written)
        if found.source and found.source.obstacle and (write or forms.asks_for(written, "diff")):
            raise InputError(f"{found.region.where}: the source cannot be changed: {found.source.obstacle}")
        if write and found.text:
            files.write(str(sources.root / found.region.file), found.text)
        return
    if write or written:
        raise UsageError(f"one region is wanted, of {', '.join(one.name for one in chosen)}")
    click.echo(report.listed(chosen), nl=False)


class _Effort(NamedTuple):
    """How much is searched and verified."""

    seconds: float
    tries: int | None
    seed: int
    calls: int


def _searched(sources: Sources, region: Region, options: dict[str, object], effort: _Effort) -> Result:
    from emu import kws
    from emu.experiment.search.run import search

    cores = tuple(dict.fromkeys(options["cores"]))
    job = kws.Job(kernels=options["kernels"], inputs=(options["word"],), core=cores[0], other_cores=tuple(cores[1:]),
                  memory=options["memory"], cc=options["cc"])
    with progress(f"searching {region.name}", 100, "%") as advance:
        shown = 0

        def spent(share: float) -> None:
            nonlocal shown
            if (now := min(100, int(100 * share))) > shown:
                advance(now - shown)
                shown = now

        return search(sources, region, job, seconds=None if effort.tries else effort.seconds, tries=effort.tries, seed=effort.seed,
                      calls=effort.calls, spent=spent)
