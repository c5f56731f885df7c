"""A run of the keyword spotter, made once."""

from __future__ import annotations

import numpy as np
import pytest

from emu import measure
from emu.build import compile as images
from emu.build import toolchain
from emu.build.elf import Image
from emu.build.program import Program
from emu.timing import core as cores
from kwsq import export, features, model


@pytest.fixture(scope="session")
def kws_run() -> tuple:
    """(counts, instructions) of the spotter's thumb2 kernels."""
    network = model.load()["int8"]
    image = Image.load(images.build("thumb2", generated={"network.c": export.source(network)}, float_abi=False, toolchain=toolchain.find()))
    program = Program.from_manifest(export.manifest(network))
    machine = measure.prepare(image, program, cores.load("cortex-m4"))
    measure.write_input(machine, program, np.asarray(features.load_input("yes")[0]))
    machine.reset_and_run()
    return machine.counts(), machine.instructions
