"""A run in speedscope's file format (speedscope.app): the call tree, once by cycles, once by instructions.

https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from emu.report import sources
from emu.report.walk import Step, walk

if TYPE_CHECKING:
    from emu.report.run import LookedInto

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
FIGURES = ("cycles", "instructions")


def render(run: LookedInto, _target: str = "-") -> str:
    """JSON text. Frames are as wide as what they cost; they stand in the tree's order, which inside a layer is not that of time."""
    steps = list(walk(run))
    keys = dict.fromkeys((step.name, step.function) for step in steps)
    numbers = {key: number for number, key in enumerate(keys)}
    profiles = [{"type": "evented", "name": f"{figure}, {run.modelled}" if figure == "cycles" else figure, "unit": "none", "startValue": 0,
                 "endValue": getattr(run.tree.totals, figure), "events": list(_events(steps, numbers, figure))} for figure in FIGURES]
    return json.dumps({"$schema": SCHEMA, "exporter": "thumbcycle", "name": run.title, "activeProfileIndex": 0, "profiles": profiles,
                       "shared": {"frames": [_frame(run, *key) for key in keys]}}, separators=(",", ":")) + "\n"


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
