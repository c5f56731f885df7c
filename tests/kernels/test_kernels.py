"""Every kernel of every set against the reference, on random legal structs and extreme values, in the machine that counts."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from unicorn import arm_const

from armsrc import abi, kernelset
from armsrc.kernelset import KernelSet
from emu import kws
from emu.build import compile as images
from emu.build import kernel_folder, toolchain
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.errors import InputError
from emu.machine import Machine
from emu.machine.call import KernelCall, call
from emu.timing import core as cores
from emu.timing import pricing
from kwsq import float_reference, reference
from tests.kernels.structs import FLOAT_KERNELS, INT8_KERNELS, cases

FLOAT_SETS = ("float",)
INT8_SETS = tuple(name for name in kernel_folder.names() if name not in FLOAT_SETS and not kernel_folder.find(name).base)
FUSED_SETS = tuple(name for name in kernel_folder.names() if kernel_folder.find(name).base)  # what else they run is their base's
PACKING_SETS = ("thumb2", "m0")
M4, M0PLUS = "cortex-m4", "cortex-m0plus"
PAIRS = [(kernels, kernel) for kernels in INT8_SETS for kernel in INT8_KERNELS] + [
    (kernels, kernel) for kernels in FLOAT_SETS for kernel in FLOAT_KERNELS]
_IMAGES: dict[tuple[str, str], Image] = {}


def library(kernels: str, cpu: str = M4) -> Image:
    """The set's kernels, without a program."""
    if (kernels, cpu) not in _IMAGES:
        path = images.build(kernels, generated={}, float_abi=kernels in FLOAT_SETS, toolchain=toolchain.find(), script="library", cpu=cpu)
        _IMAGES[kernels, cpu] = Image.load(path)
    return _IMAGES[kernels, cpu]


def cycles_of(done: KernelCall, name: str = M4) -> int:
    """Modelled cycles of a call on that core at zero wait states."""
    return int(pricing.price(done.counts, done.machine.instructions, cores.load(name))[1])


@functools.cache
def kernel_set(kernels: str) -> KernelSet:
    """What the set packs."""
    return kernelset.load(REPOSITORY / "armsrc" / "kernels" / kernels)


def fill_kept_registers(machine: Machine) -> None:
    """Something in each: a kernel that does not leave it there ends the run."""
    for n in range(4, 12):
        machine.engine.reg_write(getattr(arm_const, f"UC_ARM_REG_R{n}"), 0xC0DE0000 + n)
    for n in range(8, 16):
        machine.engine.reg_write(getattr(arm_const, f"UC_ARM_REG_D{n}"), 0xC0DE0000 + n)


@pytest.mark.parametrize(("kernels", "kernel", "core"), [*((*pair, M4) for pair in PAIRS), *((*pair, M0PLUS) for pair in PAIRS if pair[0] in kws.ANY_CORE_SETS)])
def test_equals_the_reference_and_touches_nothing_else(kernels: str, kernel: str, core: str) -> None:
    """Each struct as it is, and packed where the set packs it; registers that AAPCS has a function keep are held to that by the machine."""
    image, packs, packed = library(kernels, core), kernel_set(kernels), 0

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel))
    def check(case) -> None:
        nonlocal packed
        params, x, offsets = case
        expected = (float_reference if abi.is_float(kernel) else reference).run_kernel(kernel, params, x)
        ways = [kernelset.PLAIN, packs] if packs.pack(kernel, params) else [kernelset.PLAIN]
        packed += len(ways) - 1
        for way in ways:
            done = call(image, kernel, params, x, core=core, offsets=offsets, kernel_set=way, before=fill_kept_registers)
            if abi.is_float(kernel):
                np.testing.assert_allclose(done.output, expected.reshape(done.output.shape), rtol=2e-5, atol=2e-4)
            else:
                np.testing.assert_array_equal(done.output, expected.reshape(done.output.shape))
            touches_nothing_else(done)

    check()
    assert packed > 12 or kernels not in PACKING_SETS or not abi.KERNELS[kernel][1], f"only {packed} of the drawn structs are packed"


def touches_nothing_else(done: KernelCall) -> set[str]:
    """The names of the tensors that the kernel did touch."""
    touched = {name: accesses for name, accesses in zip(done.counts.objects, done.counts.traffic[1], strict=True) if accesses.any()}
    written = {name for name, accesses in touched.items() if accesses[1].any()}
    assert written <= {"output", "scratch", "stack"}, f"writes outside its output: {written}"
    assert "other" not in touched, f"accesses outside its tensors: {touched['other']}"
    return set(touched)


@pytest.mark.parametrize("kernels", INT8_SETS)
def test_pipeline_shapes_on_extreme_values(kernels: str) -> None:
    """The keyword spotter's own shapes, at the ends of every range."""
    from kwsq import model

    for layer in model.load()["int8"]:
        params = layer.params()
        shape = abi.input_shape(layer.kernel, params)
        for value in (-128, 127, 0):
            x = np.full(shape, value, np.int8)
            expected = reference.run_kernel(layer.kernel, params, x)
            done = call(library(kernels), layer.kernel, params, x, kernel_set=kernel_set(kernels))
            np.testing.assert_array_equal(done.output, expected.reshape(done.output.shape))


def test_a_call_refuses_what_the_abi_does_not_allow() -> None:
    image = library("c")
    params = {"in_h": 2, "in_w": 2, "in_c": 1, "qmin": -128, "qmax": 127}
    x = np.zeros((2, 2, 1), np.int8)
    with pytest.raises(abi.AbiError, match="qmin"):
        call(image, "global_avg_pool2d_s8", params | {"qmin": 5, "qmax": 4}, x)
    with pytest.raises(abi.AbiError, match="no kernel 'relu_s8'"):
        call(image, "relu_s8", params, x)
    with pytest.raises(InputError, match=r"int8 \(3, 2, 1\), but the struct says int8 \(2, 2, 1\)"):
        call(image, "global_avg_pool2d_s8", params, np.zeros((3, 2, 1), np.int8))
    with pytest.raises(InputError, match="no kernel global_avg_pool2d_f32"):
        call(image, "global_avg_pool2d_f32", {"in_h": 2, "in_w": 2, "in_c": 1}, x.astype(np.float32))
