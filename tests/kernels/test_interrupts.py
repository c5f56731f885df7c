"""Kernels whose SP walks through their frame: whatever an interrupt writes below SP, at any instruction, changes no output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import unicorn
from unicorn import arm_const

from armsrc import abi
from emu.machine.call import call
from emu.machine.machine import Machine
from kwsq import model, reference
from tests.kernels.test_fused import expected
from tests.kernels.test_kernels import kernel_set, library

LAYERS = model.load()["int8"]
FRAME = 8 * 4 + 18 * 4  # what an exception stacks, the FPU's registers among it
EVERY = 3


def interrupts(machine: Machine) -> list[int]:
    """Stack an exception's frame of nonsense below SP at every third instruction; returns the stack pointers that were met."""
    met: list[int] = []
    count = 0

    def stack(engine: unicorn.Uc, *_: Any) -> None:
        nonlocal count
        count += 1
        if count % EVERY == 0:
            sp = engine.reg_read(arm_const.UC_ARM_REG_SP) & ~7
            engine.mem_write(sp - FRAME, bytes([0xA5]) * FRAME)
            met.append(sp)

    machine.engine.hook_add(unicorn.UC_HOOK_CODE, stack)
    return met


def run(kernels: str, kernel: str, structs: tuple[dict[str, Any], ...]) -> None:
    x = np.random.default_rng(8).integers(-128, 128, abi.input_shape(abi.parts_of(kernel)[0], structs[0])).astype(np.int8)
    met: list[list[int]] = []
    done = call(library(kernels), kernel, structs[0], x, second=structs[1] if len(structs) > 1 else None, kernel_set=kernel_set(kernels),
                before=lambda machine: met.append(interrupts(machine)))
    wanted = expected(kernel, structs, x) if len(structs) > 1 else reference.run_kernel(kernel, structs[0], x)
    np.testing.assert_array_equal(done.output, wanted.reshape(done.output.shape))
    assert len(met[0]) > 70


@pytest.mark.parametrize("number", range(len(LAYERS)), ids=[layer.kernel for layer in LAYERS])
def test_layers(number: int) -> None:
    run("thumb2", LAYERS[number].kernel, (LAYERS[number].params(),))


@pytest.mark.parametrize(("kernel", "number"), [("conv2d_max_pool2d_s8", 0), ("depthwise_pointwise_conv2d_s8", 2), ("global_avg_pool2d_dense_s8", 4)])
def test_pairs(kernel: str, number: int) -> None:
    run("fused", kernel, tuple(layer.params() for layer in LAYERS[number:number + 2]))


def test_large_filters() -> None:
    """The way of filters whose sums are no lanes."""
    conv, pool = (layer.params() for layer in LAYERS[:2])
    weights = np.where(np.asarray(conv["weights"]) < 0, -110, 110).astype(np.int8)
    run("fused", "conv2d_max_pool2d_s8", (conv | {"weights": weights}, pool))
