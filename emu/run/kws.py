"""What `python -m emu.run kws` does, behind its options."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import click

from emu.cli import progress, status
from emu.errors import NotBitExact, UsageError
from emu.kws import Job, run
from emu.report import csv_form, files, json_form, plot
from emu.run import functions
from emu.stream.detect import Rule


def command(inputs: tuple[str, ...], cores: tuple[str, ...], stream: bool, threshold: float | None, json_file: str | None,
            csv_file: str | None, plot_file: str | None, traffic: bool, **options: object) -> None:
    """The keyword spotter on recordings, or listening to one long one. `options` are Job's."""
    wanted = functions.Wanted.taken_from(options)
    job = Job(inputs=inputs, core=cores[0], other_cores=cores[1:], **options)
    if stream and wanted:
        raise UsageError("--stream shows no functions")
    if stream:
        _listen(job, Rule() if threshold is None else Rule(threshold=threshold), traffic, json_file, csv_file, plot_file)
    elif threshold is not None:
        raise UsageError("--threshold belongs to --stream")
    else:
        _run(job, wanted, traffic, json_file, csv_file, plot_file)


def _run(job: Job, wanted: functions.Wanted, traffic: bool, json_file: str | None, csv_file: str | None, plot_file: str | None) -> None:
    from emu.report import table

    with status("building and running kws"):
        outcome = run(job)
        by_function = functions.of_kws(job, wanted, for_json=json_file is not None) if wanted else None
    _remark(outcome.remarks)
    files.write_forms(outcome.result, (json_file, lambda result: functions.with_functions(json_form.render(result), by_function)),
                      (csv_file, lambda result: functions.csv(by_function) if by_function else csv_form.render(result)),
                      (plot_file, lambda result: plot.render(result, plot_file)),
                      shown=lambda result: table.render(result, traffic) + functions.shown(by_function, wanted))
    if outcome.difference:
        raise NotBitExact(outcome.difference)


def _listen(job: Job, rule: Rule, traffic: bool, json_file: str | None, csv_file: str | None, plot_file: str | None) -> None:
    if len(job.inputs) > 1 or job.other_cores or traffic:
        raise UsageError("--stream takes one --input and one --core, and no --traffic")
    from emu.report import confidence, timeline
    from emu.stream.listen import listen

    with contextlib.ExitStack() as bar:
        result, remarks = listen(job, rule, progress=lambda total: bar.enter_context(progress("listening", total, "decisions")))
    _remark(remarks)
    files.write_forms(result, (json_file, timeline.render_json), (csv_file, timeline.render_csv),
                      (plot_file, lambda result: confidence.render(result, plot_file)), shown=timeline.render)
    if result.wrong:
        raise NotBitExact(f"{len(result.wrong):,} of {len(result.decisions):,} decisions are not bit-exact; the first is at "
                          f"{result.wrong[0].time:.1f} s: {result.wrong[0].difference}")


def _remark(remarks: Sequence[str]) -> None:
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)
