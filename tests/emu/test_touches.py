"""Accesses by instruction and object, against the tracer; they add up to the traffic."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from emu import measure
from emu.functions import Numbering
from emu.isa.instruction import Flag
from emu.machine import Machine
from emu.machine.code import Marks
from emu.probe import Counts
from emu.timing import core
from tests.emu.tracer import Decoded, Tally, Tracer


class TouchTracer(Tracer):
    """Also keeps (layer, instruction, object) -> accesses."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.touches: Counter[tuple[int, int, str]] = Counter()

    def _count(self, address: int) -> None:
        self.address = address
        super()._count(address)

    def _traffic(self, tally: Tally, instruction: Decoded) -> None:
        before = tally.traffic.total()
        names = ["literals" if instruction.literal else self._object(at) for at, _ in instruction.accesses(self._read)]
        super()._traffic(tally, instruction)
        assert tally.traffic.total() - before == len(names)
        self.touches.update((self.layer, self.address, name) for name in names)


def touches(counts: Counts) -> Counter[tuple[int, int, str]]:
    """(layer, instruction, object) -> accesses, over all contexts."""
    found: Counter[tuple[int, int, str]] = Counter()
    for touch in counts.touches:
        found[touch.layer, touch.pc, counts.objects[touch.object]] += touch.count
    return found


def added_up(machine: Machine) -> np.ndarray:
    """The touches in the form of Counts.traffic."""
    counts = machine.counts()
    total = np.zeros_like(counts.traffic)
    for touch in counts.touches:
        instruction = machine.instructions[touch.pc]
        total[touch.layer, touch.object, int(bool(instruction.flags & Flag.STORE)), instruction.access_size >> 1] += touch.count
    return total


@pytest.mark.parametrize("follow", [False, True])
def test_equal_the_tracer(spotter, follow: bool) -> None:
    image, program, _, x = spotter("thumb2")
    marks = Numbering(image).marks(touches=True) if follow else Marks(touches=True)
    machine = measure.prepare(image, program, core.load("cortex-m4"), marks=marks)
    measure.write_input(machine, program, x)
    machine.reset_and_run()

    tracer = TouchTracer(image.path, kernels=tuple(layer.kernel for layer in program.layers), layers=len(program.layers))
    tracer.engine.mem_write(tracer.symbols[program.input.symbol], x.tobytes())
    tracer.reset_and_run()

    assert touches(machine.counts()) == tracer.touches
    assert (added_up(machine) == machine.counts().traffic).all()


def test_are_counted_only_when_they_are_asked_for(spotter) -> None:
    image, program, _, x = spotter("c")
    counted = []
    for asked in (False, True):
        machine = measure.prepare(image, program, core.load("cortex-m4"), marks=Marks(touches=asked))
        measure.write_input(machine, program, x)
        machine.reset_and_run()
        counted.append(machine.counts())
    without, with_touches = counted
    assert not without.touches and with_touches.touches
    assert replace(with_touches, touches=(), traffic=None) == replace(without, traffic=None)
    assert (with_touches.traffic == without.traffic).all()
