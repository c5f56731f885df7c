"""A run in speedscope's file format (speedscope.app): the call tree, once by cycles, once by instructions.

https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from emu.report import sources
from emu.report.functions import FOLDED
from emu.report.walk import Step, walk

if TYPE_CHECKING:
    from emu.report.run import LookedInto

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
PROFILES = {"cycles": "cycles, {run.modelled}", "instructions": "instructions issued"}


def render(run: LookedInto, _target: str = "-") -> str:
    """JSON text. Frames are as wide as what they cost; they stand in the tree's order, which inside a layer is not that of time."""
    steps = list(walk(run))
    keys = dict.fromkeys((step.name, step.function) for step in steps)
    numbers = {key: number for number, key in enumerate(keys)}
    document = {
        "$schema": SCHEMA,
        "exporter": "thumbcycle",
        "name": run.title if run.tree.complete else f"{run.title}: {FOLDED}",
        "activeProfileIndex": 0,
        "profiles": [{"type": "evented", "name": name.format(run=run), "unit": "none", "startValue": 0,
                      "endValue": getattr(run.tree.totals, figure), "events": list(_events(steps, numbers, figure))}
                     for figure, name in PROFILES.items()],
        "shared": {"frames": [_frame(run, *key) for key in keys]},
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _events(steps: Sequence[Step], numbers: Mapping[tuple[str, int | None], int], figure: str) -> Iterator[dict[str, object]]:
    for step in steps:
        if getattr(step.total, figure):
            yield {"type": "O" if step.begins else "C", "frame": numbers[step.name, step.function], "at": getattr(step.at, figure)}


def _frame(run: LookedInto, name: str, function: int | None) -> dict[str, object]:
    """A function's with where its source begins, where that is known."""
    line = run.ran.image.source_line(run.tree.addresses[function]) if function else None
    if line is None:
        return {"name": name}
    file, _, number = line.rpartition(":")
    return {"name": name, "file": sources.absolute(file), "line": int(number)}
