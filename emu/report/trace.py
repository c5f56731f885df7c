"""A run in the Trace Event Format, for Perfetto (ui.perfetto.dev) and chrome://tracing: layers in time, the call tree in each, traffic.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from emu.functions.costs import Cost
from emu.report.functions import FOLDED
from emu.report.walk import Step, walk

if TYPE_CHECKING:
    from emu.report.firmware import FirmwareRun
    from emu.report.run import KwsRun

AGGREGATED = ("Layers stand in the order in which they ran, first the code between them as one slice. Inside a layer, and in a firmware, "
              "functions do not stand in time: a slice is the sum of all calls from one stack, and slices in it follow each other in the "
              "order of first calls.")
COUNTERS = ("bytes_read", "bytes_written")  # of a slice on the outermost level, while it lasts


def render(run: KwsRun | FirmwareRun, _target: str = "-") -> str:
    """JSON text. Times are cycles at the run's clock; without one a cycle is a microsecond."""
    steps, clock = list(walk(run)), run.mhz or 1.0
    document = {
        "traceEvents": [*_named(run), *(_slice(step, clock) for step in steps), *_counters(steps, clock)],
        "displayTimeUnit": "ns" if run.mhz else "ms",
        "otherData": _about(run),
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _about(run: KwsRun | FirmwareRun) -> dict[str, object]:
    return {
        "creator": "thumbcycle", "run": run.title, "cycles": f"of a {run.modelled}",
        "time": f"cycles at {run.mhz:g} MHz" if run.mhz else "1 cycle is shown as 1 us (no --mhz)",
        "order": AGGREGATED,
        "counters": "bytes of the slice below which they stand, all of them, not a rate",
        "totals": run.tree.totals._asdict(),
        **({} if run.tree.complete else {"note": FOLDED}),
    }


def _named(run: KwsRun | FirmwareRun) -> Iterator[dict[str, object]]:
    for what, name in (("process_name", run.title), ("thread_name", f"{run.modelled}; functions are aggregated, not in time")):
        yield {"ph": "M", "pid": 1, "tid": 1, "name": what, "args": {"name": name}}


def _slice(step: Step, clock: float) -> dict[str, object]:
    event: dict[str, object] = {"ph": "B" if step.begins else "E", "pid": 1, "tid": 1, "ts": step.at.cycles / clock, "name": step.name}
    if not step.begins:
        return event
    if step.function is None:
        return event | {"cat": "layer", "args": step.total._asdict()}
    return event | {"cat": "function", "args": {**step.own._asdict(), "with callees": step.total._asdict()}}


def _counters(steps: list[Step], clock: float) -> Iterator[dict[str, object]]:
    """One value a slice of the outermost level, and 0 at the end."""
    depth = 0
    for step in steps:
        depth += 1 if step.begins else -1
        if step.begins and depth == 1:
            yield from _values(step.total, step.at.cycles / clock)
    if steps:
        yield from _values(Cost(), steps[-1].at.cycles / clock)


def _values(cost: Cost, at: float) -> Iterator[dict[str, object]]:
    for figure in COUNTERS:
        yield {"ph": "C", "pid": 1, "name": figure.replace("_", " "), "ts": at, "args": {"bytes": getattr(cost, figure)}}
