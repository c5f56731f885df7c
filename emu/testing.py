"""One kernel, called and asserted on: what the pytest fixture `thumbcycle` is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from armsrc import abi
from emu.build import compile as images
from emu.build import kernel_folder
from emu.build.elf import Image
from emu.check.budgets import FIGURES
from emu.errors import ThumbcycleError, UsageError
from emu.functions import Numbering
from emu.functions.code_size import code_bytes
from emu.machine.call import KernelCall, call
from emu.names import check as check_name
from emu.names import near
from emu.profile import Traffic
from emu.timing import core as cores
from emu.timing import memory as memories
from emu.timing import predictor, pricing

_SIZES = np.array([1, 2, 4])


@dataclass(frozen=True)
class Measured:
    """One call. output (H, W, C); stack in bytes; code: bytes of the functions that ran; traffic by tensor: input, weights, bias, requant, parameters, output, scratch, stack,
    literals, other."""

    kernel: str
    output: np.ndarray
    instructions: int
    cycles: int
    stack: int
    code: int
    traffic: Mapping[str, Traffic]
    reference: Callable[[], np.ndarray]

    @property
    def bytes_read(self) -> int:
        return sum(traffic.bytes_read for traffic in self.traffic.values())

    @property
    def bytes_written(self) -> int:
        return sum(traffic.bytes_written for traffic in self.traffic.values())

    def assert_bit_exact(self, expected: np.ndarray | None = None) -> None:
        """AssertionError, with the first element, where the output is not `expected`, by default what the project's reference says."""
        __tracebackhide__ = True
        want = np.asarray(self.reference() if expected is None else expected)
        if want.size != self.output.size or want.dtype != self.output.dtype:
            raise AssertionError(f"{self.kernel}: the output is {self.output.dtype} {self.output.shape}, "
                                 f"but {want.dtype} {want.shape} is expected")
        want = want.reshape(self.output.shape)
        wrong = np.argwhere(self.output != want)
        if len(wrong):
            at, most = tuple(int(i) for i in wrong[0]), np.abs(self.output.astype(np.float64) - want).max()
            raise AssertionError(f"{self.kernel} is not bit-exact: element {at} is {self.output[at]}, {want[at]} is expected "
                                 f"({len(wrong)} of {self.output.size} elements differ, by {most:.3g} at most)")

    def assert_at_most(self, **figures: int) -> None:
        """AssertionError that names every figure (instructions, cycles, bytes_read, bytes_written, stack, code) that is over its limit."""
        __tracebackhide__ = True
        if unknown := figures.keys() - set(FIGURES):
            name = min(unknown)
            raise UsageError(f"no figure is called {name!r}{near(name, FIGURES)}; there are {', '.join(FIGURES)}")
        found = {name: getattr(self, name) for name in figures}
        over = [f"{found[name]:,} {name.replace('_', ' ')}, at most {limit:,}"
                for name, limit in figures.items() if found[name] > limit]
        if over:
            raise AssertionError(f"{self.kernel}: {'; '.join(over)}")


class Kernels:
    """Builds kernel sets and calls their kernels."""

    def __call__(self, kernel: str, params: Mapping[str, Any], x: np.ndarray, *, second: Mapping[str, Any] | None = None,
                 kernels: str | os.PathLike[str] = "thumb2", core: str = "cortex-m4", memory: str = memories.DEFAULT, opt: str = "O3",
                 cc: str | None = None) -> Measured:
        """Call `kernel` on `x` (H, W, C) with the struct `params` (armsrc/abi.py says what it holds).

        second: the struct of a fused kernel's second layer. kernels: a set of this project, or the path of a folder of kernels.
        Raises AbiError, UsageError, InputError, BuildError, TargetFault; of these pytest shows the line, not the laboratory's frames.
        """
        __tracebackhide__ = True
        try:
            return _measured(kernel, params, x, second, os.fspath(kernels), core, memory, opt, cc)
        except (ThumbcycleError, abi.AbiError) as error:
            raise error.with_traceback(None) from None


def _measured(kernel: str, params: Mapping[str, Any], x: np.ndarray, second: Mapping[str, Any] | None, kernels: str, core: str, memory: str, opt: str,
              cc: str | None) -> Measured:
    from emu.kws import kernel_reference

    check_name("kernel", kernel, (*abi.KERNELS, *abi.FUSED))
    table, board = cores.load(core), memories.load(memory)
    made_with = {"float_abi": abi.is_float(kernel), "toolchain": kernel_folder.find(kernels).toolchain(cc), "opt": opt, "cpu": core}
    packing = images.packing(images.implementations(kernels, **made_with))
    image = Image.load(images.build(kernels, generated={}, script="library", **made_with))
    done = call(image, kernel, params, x, second=second, kernel_set=packing, core=core, followers=(*board.followers, *predictor.followers(table)))
    cycles = pricing.price(done.counts, done.machine.instructions, table, board)
    return Measured(kernel, done.output, int(done.counts.instructions()[1]), int(cycles[1]), done.counts.stack[1],
                    code_bytes(done.counts, done.machine.instructions, image, Numbering(image))[0], _traffic(done),
                    lambda: kernel_reference(kernel, params, x, second))


def _traffic(done: KernelCall) -> dict[str, Traffic]:
    """By object, of those that the kernel touched: tensors, scratch, stack, constants."""
    found: dict[str, Traffic] = {}
    for name, accesses in zip(done.counts.objects, done.counts.traffic[1], strict=True):
        if accesses.any():
            found[name] = found.get(name, Traffic()) + Traffic(*accesses.sum(axis=1).tolist(), *(accesses @ _SIZES).tolist())
    return found
