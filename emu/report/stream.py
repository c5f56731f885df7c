"""What was heard in a long recording, and when, as text, JSON and CSV. (`confidence` draws it.)"""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from emu.report import csv_form
from emu.report.table import UNTRAINED, built, modelled
from emu.stream.detect import STEP
from emu.stream.timeline import Timeline

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes


def parts(timeline: Timeline) -> list[Table | Text | str]:
    """The detections, and under them what was decided, checked and spent."""
    about = timeline.about
    head = (f"{about['network']} {modelled(timeline.profile)}, {about['kernels']} kernels, "
            f"{timeline.name}, {timeline.duration:.2f} s")
    return [Text(head, "italic"), *([_detections(timeline)] if timeline.detections else []), *_lines(timeline)]


def _detections(timeline: Timeline) -> Table:
    table = Table(header_style="bold")
    table.add_column("time", justify="right")
    table.add_column("word")
    table.add_column("confidence", justify="right")
    for detection in timeline.detections:
        table.add_row(f"{detection.time:.1f} s", detection.word, f"{detection.confidence:.1%}")
    return table


def _lines(timeline: Timeline) -> list[str | Text]:
    rule, count = timeline.rule, len(timeline.decisions)
    exact = timeline.bit_exact
    checked = f"largest |error| of all layers {timeline.max_abs_error:.1e}" if exact is None else f"{exact:,} bit-exact in all layers"
    quiet = sum(decision.quiet for decision in timeline.decisions)
    cost = f"cost       {timeline.cycles:,.0f} cycles a decision, mean"
    if timeline.mhz:
        cost += (f"; at {timeline.mhz:g} MHz {timeline.milliseconds:.3f} ms, {timeline.share:.2%} of the CPU at {1 / STEP:.0f} decisions a second")
    return [
        f"decisions  {count:,}, one every {STEP * 1000:.0f} ms; {quiet:,} of seconds below {rule.quiet:g} dBFS",
        Text(f"checked    {checked}", "bold red" if timeline.wrong else ""),
        f"detected   {len(timeline.detections):,}: mean of {rule.smooth} decisions at least {rule.threshold:g}, {rule.refractory:g} s apart"
        + ("" if timeline.trained else UNTRAINED),
        f"{cost} (the network; the front end runs on the host)",
        *built(timeline.about, len("decisions  ")),
    ]


def document(timeline: Timeline) -> dict[str, object]:
    """For JSON; the keys are listed in docs/reports.md."""
    return {
        "schema": SCHEMA, "core": timeline.profile.core, "memory": timeline.profile.memory, **timeline.about, "input": timeline.name, "trained": timeline.trained,
        "labels": list(timeline.labels), "seconds": timeline.duration, "step": STEP, "rule": asdict(timeline.rule),
        "detections": [detection._asdict() for detection in timeline.detections],
        "decisions": [{"time": decision.time, "heard": decision.heard, "confidence": max(decision.posteriors), "quiet": decision.quiet,
                       "level": decision.level, "bit_exact": decision.bit_exact} for decision in timeline.decisions],
        "bit_exact": timeline.bit_exact, "max_abs_error": timeline.max_abs_error,
        "not_bit_exact": [{"time": decision.time, "difference": decision.difference} for decision in timeline.wrong],
        "cycles_per_decision": timeline.cycles, "mhz": timeline.mhz, "milliseconds_per_decision": timeline.milliseconds,
        "cpu_share": timeline.share,
    }


def render_csv(timeline: Timeline) -> str:
    """One row a decision: posteriors and smoothed posteriors by word, and the word when one was detected then."""
    detected = {detection.time: detection.word for detection in timeline.detections}
    header = ("time", "heard", "detected", "level", "quiet", "bit_exact", *timeline.labels, *(f"smoothed_{label}" for label in timeline.labels))
    return csv_form.text(header, [
        (decision.time, decision.heard, detected.get(decision.time), round(decision.level, 2), decision.quiet, decision.bit_exact,
         *(round(value, 6) for value in (*decision.posteriors, *decision.smoothed))) for decision in timeline.decisions])
