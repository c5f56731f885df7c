"""What the heads of the kernels claim, and what the model prices: calls that differ in a size or two, and the figures in comments."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from armsrc import abi, kernelset
from armsrc.kernels.thumb2.packing import taps
from emu.build.cache import REPOSITORY
from emu.machine.call import call
from tests.kernels.test_kernels import cycles_of, kernel_set, library

CORES = {"thumb2": "cortex-m4", "m0": "cortex-m0plus"}  # whose cycles the heads of a set claim
HEADS = Path(REPOSITORY) / "armsrc" / "kernels" / "thumb2"
FULL, RELU, RARE = (1 << 30, 8, 3, -128, 127), (1 << 30, 8, -128, -128, 127), (1 << 30, 0, 3, -128, 127)  # requantizers
BENT = (1 << 30, 8, -1, -128, 127)
NARROW, NARROWER = (1 << 30, 8, 3, -100, 100), (1 << 30, 8, 3, -100, 99)


class Call(NamedTuple):
    """A kernel's struct, but for what does not change its cycles; `varied` is the first channel's own requantizer."""

    kernel: str
    sizes: tuple[tuple[str, int], ...]
    requantizer: tuple[int, ...] = FULL
    per_channel: bool = False
    varied: tuple[int, ...] | None = None
    packed: bool | Callable[..., kernelset.Packed | None] = False  # as pack.py wants the layer, or a packer
    kernels: str = "thumb2"


@dataclass(frozen=True)
class Calls:
    """The cycles of some calls less those of others."""

    more: list[Call]
    less: list[Call]

    def __add__(self, other: Calls) -> Calls:
        return Calls(self.more + other.more, self.less + other.less)

    def __sub__(self, other: Calls) -> Calls:
        return Calls(self.more + other.less, self.less + other.more)


class Claim(NamedTuple):
    """The figure for `{}` of the phrase (else a regular expression) at the head of that file: the cycles of the calls / units."""

    file: str
    phrase: str
    calls: Calls
    units: int


def window(kernel: str, h: int, w: int, c: int, out_c: int | None = None, *, k: tuple[int, int] = (3, 3), stride: int = 1, pad_top: int = 0,
           **more: Any) -> Call:
    """A kernel with windows: h x w are sizes of the output; no window reaches over another edge than the upper one."""
    sizes = {"in_h": (h - 1) * stride + k[0] - pad_top, "in_w": (w - 1) * stride + k[1], "in_c": c, "out_h": h, "out_w": w,
             "kernel_h": k[0], "kernel_w": k[1], "stride_h": stride, "stride_w": stride, "pad_top": pad_top, "pad_left": 0}
    return Call(kernel, tuple((sizes | ({} if out_c is None else {"out_c": out_c})).items()), **more)


def conv(h: int, w: int, c: int, out_c: int, **more: Any) -> Call:
    return window("conv2d_s8", h, w, c, out_c, **more)


def depthwise(h: int, w: int, c: int = 4, **more: Any) -> Call:
    return window("depthwise_conv2d_s8", h, w, c, c, **more)


def planes(h: int, w: int, *, stride: int = 1, pad_left: int = 0, **more: Any) -> Call:
    """Packed, four channels; the input has an even number of rows, so that no band has one line only. pad_left: of columns on both sides."""
    made = depthwise(h, w, stride=stride, packed=taps.through_planes, **more)
    sizes = dict(made.sizes)
    padded = {"in_h": sizes["in_h"] + sizes["in_h"] % 2, "pad_left": pad_left, "in_w": sizes["in_w"] - 2 * pad_left}
    return made._replace(sizes=tuple((sizes | padded).items()))


def pool(h: int, w: int, c: int, size: tuple[int, int], stride: int = 1) -> Call:
    return window("max_pool2d_s8", h, w, c, k=size, stride=stride)


def pointwise(pixels: int, c: int, out_c: int, **more: Any) -> Call:
    return Call("pointwise_conv2d_s8", (("in_h", pixels), ("in_w", 1), ("in_c", c), ("out_c", out_c)), **more)


def dense(c: int, out_c: int, **more: Any) -> Call:
    return Call("dense_s8", (("in_h", 1), ("in_w", 1), ("in_c", c), ("out_c", out_c)), **more)


def average(pixels: int, c: int = 4) -> Call:
    return Call("global_avg_pool2d_s8", (("in_h", 1), ("in_w", pixels), ("in_c", c), ("qmin", -128), ("qmax", 127)))


def slope(make: Callable[[Any], Call], a: Any, b: Any) -> Calls:
    """What b costs more than a."""
    return Calls([make(b)], [make(a)])


def slopes(make: Callable[[Any, Any], Call], x: tuple[Any, Any], y: tuple[Any, Any]) -> Calls:
    """By how much the slope in x grows with y."""
    return slope(lambda v: make(v, y[1]), *x) - slope(lambda v: make(v, y[0]), *x)


def fixed(make: Callable[[Any, Any], Call], x: tuple[Any, Any], y: tuple[Any, Any]) -> Calls:
    """The part of the slope in x that does not grow with y, which is twice as large at y[1]: 2 (f + g) - (f + 2 g) = f."""
    at = slope(lambda v: make(v, y[0]), *x)
    return at + at - slope(lambda v: make(v, y[1]), *x)


@functools.cache
def cycles(wanted: Call) -> int:
    params: dict[str, Any] = dict(wanted.sizes)
    if abi.KERNELS[wanted.kernel][1]:
        rows = np.tile(np.array(wanted.requantizer, np.int32), (params["out_c"] if wanted.per_channel else 1, 1))
        rows[0] = wanted.varied or wanted.requantizer
        params |= {
            "input_zero_point": 0,
            "per_channel": int(wanted.per_channel),
            "weights": np.ones(abi.weights_shape(wanted.kernel, params), np.int8),
            "bias": np.zeros(params["out_c"], np.int32),
            "requant": rows,
        }
    packs, name = kernel_set(wanted.kernels) if wanted.packed is True else kernelset.PLAIN, CORES[wanted.kernels]
    if callable(wanted.packed):
        packs = kernelset.KernelSet(pack=lambda kernel, p: wanted.packed(p))
    x = np.zeros(abi.input_shape(wanted.kernel, params), np.int8)
    done = call(library(wanted.kernels, name), wanted.kernel, params, x, core=name, kernel_set=packs)
    return cycles_of(done, name)


def figure(file: str, phrase: str) -> float:
    """The number that stands for `{}` of the phrase in the file's comments."""
    lines = (line.strip().lstrip("@") for line in (HEADS / file).read_text().splitlines() if line.strip().startswith("@"))
    pattern = r"(?<![\d.])" + phrase.replace("{}", r"(?P<figure>\d+([.]\d+)?)")
    match = re.search(pattern, " ".join(" ".join(lines).split()))
    assert match, f"{file} says nothing like {phrase!r}"
    return float(match["figure"])


def check(claim: Claim) -> None:
    """Whether the head's figure is the model's."""
    priced = (sum(map(cycles, claim.calls.more)) - sum(map(cycles, claim.calls.less))) / claim.units
    assert figure(claim.file, claim.phrase) == pytest.approx(priced, rel=0.005, abs=0.05)
