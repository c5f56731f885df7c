"""Every kernel of every set against the reference, on random legal structs and extreme values, in the machine that counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from armsrc import abi, kernelset
from armsrc.kernelset import KernelSet
from emu import kws
from emu.build import compile as images
from emu.build import kernel_folder, toolchain
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.errors import InputError
from emu.machine.call import call
from kwsq import float_reference, reference
from tests.kernels.structs import FLOAT_KERNELS, INT8_KERNELS, cases

FLOAT_SETS = ("float",)
INT8_SETS = tuple(name for name in kernel_folder.names() if name not in FLOAT_SETS and not kernel_folder.find(name).base)
FUSED_SETS = tuple(name for name in kernel_folder.names() if kernel_folder.find(name).base)  # what else they run is their base's
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


def kernel_set(kernels: str) -> KernelSet:
    """What the set packs."""
    return kernelset.load(REPOSITORY / "armsrc" / "kernels" / kernels)


@pytest.mark.parametrize(("kernels", "kernel", "core"), [*((*pair, M4) for pair in PAIRS), *((*pair, M0PLUS) for pair in PAIRS if pair[0] in kws.ANY_CORE_SETS)])
def test_equals_the_reference_and_touches_nothing_else(kernels: str, kernel: str, core: str) -> None:
    image, packs = library(kernels, core), kernel_set(kernels)

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel), st.booleans())
    def check(case, packed: bool) -> None:
        params, x, offsets = case
        done = call(image, kernel, params, x, core=core, offsets=offsets, kernel_set=packs if packed else kernelset.PLAIN)
        expected = (float_reference if abi.is_float(kernel) else reference).run_kernel(kernel, params, x).reshape(done.output.shape)
        if abi.is_float(kernel):
            np.testing.assert_allclose(done.output, expected, rtol=2e-5, atol=2e-4)
        else:
            np.testing.assert_array_equal(done.output, expected)
        touched = {name: accesses for name, accesses in zip(done.counts.objects, done.counts.traffic[1], strict=True) if accesses.any()}
        written = {name for name, accesses in touched.items() if accesses[1].any()}
        assert written <= {"output", "scratch", "stack"}, f"writes outside its output: {written}"
        assert "other" not in touched, f"accesses outside its tensors: {touched['other']}"

    check()


@pytest.mark.parametrize(("kernels", "kernel"), PAIRS)
def test_keeps_the_registers_that_aapcs_keeps(kernels: str, kernel: str) -> None:
    from unicorn import arm_const

    saved = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(4, 12)] + [
        getattr(arm_const, f"UC_ARM_REG_S{n}") for n in range(16, 32) if kernels in FLOAT_SETS]
    image, packs = library(kernels), kernel_set(kernels)

    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel), st.booleans())
    def check(case, packed: bool) -> None:
        params, x, _ = case

        def fill(machine) -> None:
            for number, register in enumerate(saved):
                machine.engine.reg_write(register, 0xC0DE0000 + number)

        machine = call(image, kernel, params, x, before=fill, kernel_set=packs if packed else kernelset.PLAIN).machine
        assert [machine.engine.reg_read(register) for register in saved] == [0xC0DE0000 + number for number in range(len(saved))]
        assert machine.engine.reg_read(arm_const.UC_ARM_REG_SP) == machine.stack[1]

    check()


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
