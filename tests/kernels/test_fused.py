"""Kernels that take two layers in one call, of every set that has them, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from unicorn import arm_const

from armsrc import abi
from emu.machine.call import KernelCall, call
from kwsq import model, reference
from tests.kernels.structs import fused_cases
from tests.kernels.test_kernels import FUSED_SETS, kernel_set, library

PAIRS = [(kernels, kernel) for kernels in FUSED_SETS for kernel in abi.FUSED if kernel in library(kernels).symbols]
SAVED = [getattr(arm_const, f"UC_ARM_REG_R{number}") for number in range(4, 12)]


def expected(kernel: str, structs: tuple[dict[str, Any], dict[str, Any]], x: np.ndarray) -> np.ndarray:
    """One layer after the other."""
    for part, params in zip(abi.FUSED[kernel], structs, strict=True):
        x = reference.run_kernel(part, params, x).reshape(abi.output_shape(part, params))
    return x


def checked(kernels: str, kernel: str, structs: tuple[dict[str, Any], dict[str, Any]], x: np.ndarray, **how: Any) -> KernelCall:
    """The call; fails unless its output is the reference's."""
    done = call(library(kernels), kernel, structs[0], x, second=structs[1], kernel_set=kernel_set(kernels), **how)
    np.testing.assert_array_equal(done.output, expected(kernel, structs, x))
    return done


@pytest.mark.parametrize(("kernels", "kernel"), PAIRS)
def test_equals_the_reference_and_touches_nothing_else(kernels: str, kernel: str) -> None:
    taken = []

    def fill(machine) -> None:
        for number, register in enumerate(SAVED):
            machine.engine.reg_write(register, 0xC0DE0000 + number)

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(fused_cases(kernel))
    def check(case) -> None:
        structs, x, offsets = case
        taken.append(kernel_set(kernels).fuses(kernel, *structs))
        if not taken[-1]:
            return
        done = checked(kernels, kernel, structs, x, offsets=offsets, before=fill)
        touched = {name: accesses for name, accesses in zip(done.counts.objects, done.counts.traffic[1], strict=True) if accesses.any()}
        written = {name for name, accesses in touched.items() if accesses[1].any()}
        assert written <= {"output", "scratch", "stack"} and "other" not in touched, f"accesses outside its tensors: {touched}"
        assert [done.machine.engine.reg_read(register) for register in SAVED] == [0xC0DE0000 + number for number in range(len(SAVED))]
        assert done.machine.engine.reg_read(arm_const.UC_ARM_REG_SP) == done.machine.stack[1]

    check()
    assert np.mean(taken) > 0.4, "too few of the drawn pairs are taken for the test to say much"


@pytest.mark.parametrize(("kernels", "kernel"), PAIRS)
def test_pipeline_shapes_on_extreme_values(kernels: str, kernel: str) -> None:
    """The keyword spotter's own pair, which is taken, at the ends of the range."""
    layers, parts = model.load()["int8"], abi.FUSED[kernel]
    at = next(at for at in range(len(layers)) if tuple(layer.kernel for layer in layers[at:at + 2]) == parts)
    structs = tuple(layer.params() for layer in layers[at:at + 2])
    assert kernel_set(kernels).fuses(kernel, *structs)
    for value in (-128, 127, 0):
        checked(kernels, kernel, structs, np.full(abi.input_shape(parts[0], structs[0]), value, np.int8))
