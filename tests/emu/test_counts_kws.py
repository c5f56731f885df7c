"""The keyword spotter's counts, layer by layer, against the tracer: instruction for instruction and byte for byte."""

from __future__ import annotations

import pytest

from emu import measure
from emu.timing import core
from tests.emu.compare import tallies
from tests.emu.tracer import Tracer


@pytest.mark.parametrize("kernels", ["c", "float", "thumb2"])
def test_equals_the_tracer(spotter, kernels):
    image, program, _, x = spotter(kernels)
    machine = measure.prepare(image, program, core.load("cortex-m4"))
    measure.write_input(machine, program, x)
    machine.reset_and_run()

    tracer = Tracer(image.path, kernels=tuple(layer.kernel for layer in program.layers), layers=len(program.layers))
    tracer.engine.mem_write(tracer.symbols[program.input.symbol], x.tobytes())
    tracer.reset_and_run()

    for name, counted, traced in zip(("outside", *(layer.name for layer in program.layers)), tallies(machine), tracer.tallies, strict=True):
        assert counted == traced, name
    assert machine.counts().calls[1:] == [1] * len(program.layers)
    size = image.symbols["__ram_size"].address
    assert machine.read(image.symbols["__ram_start"].address, size) == bytes(tracer.engine.mem_read(tracer.symbols["__ram_start"], size))
