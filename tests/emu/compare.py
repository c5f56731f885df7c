"""Native counts in the tracer's form, so that the two can be compared with ==."""

from __future__ import annotations

from collections import Counter

from emu.machine import Machine
from emu.probe import Counts
from emu.timing import pricing
from tests.emu.tracer import Tally

SIZES = (1, 2, 4)


def tallies(machine: Machine) -> list[Tally]:
    """One a layer, [0] between layers."""
    counts = machine.counts()
    fetched = pricing.fetch_bytes(counts, machine.instructions)
    return [
        Tally(
            int(counts.instructions()[layer]),
            int(counts.skipped()[layer]),
            sum(s.count for s in counts.streams if s.layer == layer and s.taken),
            int(fetched[layer]),
            counts.stack[layer],
            _traffic(counts, layer),
        )
        for layer in range(counts.layers + 1)
    ]


def _traffic(counts: Counts, layer: int) -> Counter:
    found: Counter = Counter()
    for name, accesses in zip(counts.objects, counts.traffic[layer].tolist(), strict=True):
        for kind, row in zip(("read", "write"), accesses, strict=True):
            for size, count in zip(SIZES, row, strict=True):
                if count:
                    found[name, kind, size] += count
    return found
