"""A run's call tree in one line: what stands on it one after the other, for forms that draw calls beside or above each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from emu.functions.costs import Cost, summed
from emu.functions.tree import NOTHING

if TYPE_CHECKING:
    from emu.report.run import LookedInto


class Step(NamedTuple):
    """A layer (function is None) or a function begins or ends. at: what has passed by then; own, total: alone, with all that is inside."""

    name: str
    function: int | None
    begins: bool
    at: Cost
    own: Cost
    total: Cost


def walk(run: LookedInto) -> Iterator[Step]:
    """Layers that ran, where there are any, in their order, first the code between them; inside one the call tree, depth first, calls of a
    function from the same stack together."""
    at, layers = NOTHING, bool(run.ran.layers)
    for title, layer in run.sections:
        total = run.tree.total(layer)
        if not any(total):
            continue
        after = summed((at, total))
        if layers:
            yield Step(title, None, True, at, NOTHING, total)
        yield from (Step(run.tree.names[visit.function], *visit) for visit in run.tree.walk(layer, at))
        if layers:
            yield Step(title, None, False, after, NOTHING, total)
        at = after
