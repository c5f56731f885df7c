"""What `python -m emu.run kws` does, behind its options."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from emu.cli import notes, progress, refuse, status
from emu.errors import UsageError
from emu.experiment import target
from emu.kws import Job, run
from emu.report import forms
from emu.report.forms import Asked
from emu.report.run import KwsRun, StreamRun
from emu.run import functions
from emu.run.forms import FORMS, KWS, STREAM
from emu.stream.detect import Rule


def command(inputs: tuple[str, ...], cores: tuple[str, ...], stream: bool, threshold: float | None, traffic: bool, allow_mismatch: bool,
            **options: object) -> None:
    """The keyword spotter on recordings, or listening to one long one. `options` are those of forms, of functions, and Job's."""
    written = forms.taken_from(options, FORMS, STREAM if stream else KWS)
    wanted = functions.Wanted.taken_from(options)
    job = Job(inputs=inputs, core=cores[0], other_cores=cores[1:], **options)
    if stream and wanted:
        raise UsageError("--stream shows no functions")
    if stream:
        wrong = _listen(job, Rule() if threshold is None else Rule(threshold=threshold), traffic, written)
    elif threshold is not None:
        raise UsageError("--threshold belongs to --stream")
    else:
        wrong = _run(job, wanted, traffic, written)
    refuse(wrong, allow_mismatch)


def _run(job: Job, wanted: functions.Wanted, traffic: bool, written: Sequence[Asked]) -> str | None:
    """Shows one run or several; the first byte that is not the reference's."""
    following = functions.Following(wanted, forms.needs(written))
    with status("building and running kws"):
        outcome = run(job, following.in_layers if following else None)
        ran = following.bounded(job, outcome.ready, target.of_inference(outcome.ready, outcome.first))
        by_function = following.profile(ran, lines=forms.asks_for(written, "json"))
    notes(outcome.remarks)
    forms.write(KwsRun(outcome.result, traffic, ran=ran, region=following.region, functions=by_function, view=wanted.view), written)
    return outcome.difference


def _listen(job: Job, rule: Rule, traffic: bool, written: Sequence[Asked]) -> str | None:
    """Shows what was heard when; what is not bit-exact."""
    if len(job.inputs) > 1 or job.other_cores or traffic:
        raise UsageError("--stream takes one --input and one --core, and no --traffic")
    from emu.stream.listen import listen

    with contextlib.ExitStack() as bar:
        result, remarks = listen(job, rule, progress=lambda total: bar.enter_context(progress("listening", total, "decisions")))
    notes(remarks)
    forms.write(StreamRun(result), written)
    if not result.wrong:
        return None
    return (f"{len(result.wrong):,} of {len(result.decisions):,} decisions are not bit-exact; the first is at {result.wrong[0].time:.1f} s: "
            f"{result.wrong[0].difference}")
