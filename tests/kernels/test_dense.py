"""Packed dense layers of thumb2: borders of blocks and tiles, and the lines that requantize them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc.abi import Params
from armsrc.kernels.thumb2.packing import biased, common, few, registers
from armsrc.kernelset import KernelSet, Packed
from emu.machine.call import call
from kwsq import reference, synthetic
from kwsq.quantize import Requantizer
from tests.kernels.test_kernels import fill_kept_registers, kernel_set, library, touches_nothing_else

MULTIPLIERS = st.one_of(st.sampled_from([1 << 30, (1 << 31) - 1]), st.integers(1 << 30, (1 << 31) - 1))
CHANNELS = st.lists(st.tuples(MULTIPLIERS, st.lists(st.integers(-128, 127), min_size=3, max_size=3), st.integers(-60000, 60000)), min_size=1, max_size=4)


Packer = Callable[[Params], Packed | None]


def layer(in_c: int, out_c: int, seed: int = 0, **more: Any) -> tuple[dict[str, Any], np.ndarray]:
    return synthetic.sample("dense_s8", {"in_h": 1, "in_w": 1, "in_c": in_c, "out_c": out_c}, seed, **more)


def form(params: dict[str, Any]) -> str:
    """What takes the layer."""
    packed = kernel_set("thumb2").pack("dense_s8", params)
    return packed.addresses[0].partition(".")[2].partition("_")[0] if packed else "unpacked"


def check(params: dict[str, Any], x: np.ndarray, packer: Packer | None = None, **offsets: int) -> None:
    """packer: None: as the set packs the layer."""
    packs = KernelSet(pack=lambda kernel, p: packer(p)) if packer else kernel_set("thumb2")
    done = call(library("thumb2"), "dense_s8", params, x, kernel_set=packs, offsets=offsets, before=fill_kept_registers)
    np.testing.assert_array_equal(done.output.ravel(), reference.run_kernel("dense_s8", params, x).ravel())
    touches_nothing_else(done)


@pytest.mark.parametrize("packer", [few.packed, registers.dense], ids=["few", "registers"])
@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("in_c", [20, 23, 24, 31, 32, 33, 40, 47, 56, 57, 63, 64, 65, 71, 72, 120, 127, 128, 129, 136, 192, 200])
def test_inputs_at_the_borders_of_blocks(in_c: int, activation: str, packer: Packer) -> None:
    params, x = layer(in_c, in_c % 7 + 10, in_c, activation=activation)
    assert packer(params)
    check(params, x, packer, input=in_c % 4, output=in_c // 4 % 4)


@pytest.mark.parametrize("in_c", [*range(1, 9), 11, 12, 13, 16, 31, 32, 47, 48])
@pytest.mark.parametrize("out_c", [1, 2, 4, 6, 8, 13])
def test_inputs_at_the_borders_of_fours(in_c: int, out_c: int) -> None:
    params, x = layer(in_c, out_c, in_c, activation=("relu", "none")[in_c % 2])
    for packer in (None, few.packed):
        if packer is None or packer(params):
            check(params, x, packer, input=in_c % 4, output=in_c // 4 % 4)
        else:
            assert in_c < 3, "sums of one or two inputs have small shifts, for some of which there is no line"


@pytest.mark.parametrize(("packer", "in_c", "out_c"), [
    (packer, in_c, out_c) for packer in (few.packed, registers.dense) for in_c in (16, 44, 64, 130, 144)
    for out_c in (*range(1, 18), 23, 41, 42, 43) if packer is few.packed or out_c > 5])
def test_channels_at_the_borders_of_tiles(in_c: int, out_c: int, packer: Packer) -> None:
    """All forms of requantizers; with clamp_output and without."""
    for activation in ("relu", "none"):
        for per_channel in (False, True):
            params, x = layer(in_c, out_c, out_c, activation=activation, per_channel=per_channel)
            params["requant"][:, 4] = 127 - out_c // 2 % 2
            assert packer(params)
            check(params, x, packer, input=out_c % 4, output=in_c % 4)


def test_all_code_for_few_outputs_runs() -> None:
    """First blocks of one word to sixteen, one block or two, tiles of all sizes, all ends: every symbol that a packed layer may name."""
    met: set[str] = set()
    for number, (words, out_c) in enumerate(itertools.product(range(1, 33), (2, 4, 8, 10, 12, 14, 15))):
        for in_c in (4 * words - words % 4, 16 * words) if out_c == 2 else (4 * words,):
            params, x = layer(in_c, out_c, number, activation=("relu", "none")[number % 2], per_channel=number // 2 % 2 > 0)
            params["requant"][:, 4] = 127 - number // 4 % 2
            packed = few.packed(params)
            if packed:
                met |= set(packed.addresses.values())
                check(params, x, few.packed)
    there = {name for name in library("thumb2").symbols if name.startswith("dense_s8.few_")} | {"dense_s8.two"}
    assert there - met == set()


@pytest.mark.parametrize(("in_c", "out_c", "expected"), [
    (16, 10, "few"), (8, 2, "few"), (16, 2, "two"), (20, 2, "one"), (65, 2, "one"), (64, 1, "one"), (4, 1, "one"), (64, 12, "few"),
    (128, 8, "few"), (64, 64, "registers"), (128, 128, "registers"), (8, 128, "few")])
def test_what_takes_a_layer(in_c: int, out_c: int, expected: str) -> None:
    assert form(layer(in_c, out_c)[0]) == expected


@pytest.mark.parametrize("in_c", [*range(1, 40), 48, 49, 63, 64, 80, 127, 1024])
@pytest.mark.parametrize("out_c", [1, 2])
def test_one_output_or_two(in_c: int, out_c: int) -> None:
    """Turns, passes, fours and singles; a weight of -128 beside a negative one, which no other form with few outputs takes."""
    params, x = layer(in_c, out_c, in_c, activation=("relu", "none")[in_c // 2 % 2], per_channel=bool(in_c % 3))
    params["weights"][0, 0], params["weights"][-1, 0] = -1, -128
    params["requant"][:, 3:] = (-128, 127) if in_c % 5 else (-100, 99)
    params["requant"][-1, 4] -= in_c % 4 == 1
    assert form(params) == "one"
    check(params, x, input=in_c % 4, output=in_c // 4 % 4)


@pytest.mark.parametrize("packer", [few.packed, registers.dense], ids=["few", "registers"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize(("in_c", "out_c", "shift"), [(16, 10, 6), (16, 10, 7), (48, 13, 6), (64, 11, 6), (64, 11, 8), (200, 15, 7)])
def test_small_shifts(in_c: int, out_c: int, shift: int, activation: str, per_channel: bool, packer: Packer) -> None:
    params, x = layer(in_c, out_c, shift, activation=activation, per_channel=per_channel)
    params["weights"] //= 1 << max(int(params["requant"][:, 1].max()) - shift, 0)
    params["requant"][:, 1] = shift
    params["bias"] //= 8
    assert (packer(params) is None) == (packer is few.packed and shift == 6 and per_channel)
    check(params, x, packer)


@pytest.mark.parametrize("packer", [few.packed, registers.dense], ids=["few", "registers"])
@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("weight", [-127, 127])
@pytest.mark.parametrize("in_c", [200, 208])
def test_extreme_sums(in_c: int, weight: int, value: int, packer: Packer) -> None:
    """Both ends of the accumulator, and a bias that brings one of them near 0."""
    params, x = layer(in_c, 11)
    params["weights"][:] = weight
    params["bias"][:] = in_c * weight * (params["input_zero_point"] - value)
    x[:] = value
    assert packer(params)
    for x[:] in (-128, 127):
        check(params, x, packer)


@pytest.mark.parametrize(("in_c", "out_c", "where", "forms"), [(60, 41, (3, slice(4, 6)), ("registers", "packed")),
                                                      (64, 7, (slice(2, 4), 5), ("few", "registers"))])
def test_a_weight_that_no_pair_holds_is_left_to_another_form(in_c: int, out_c: int, where: Any, forms: tuple[str, str]) -> None:
    params, x = layer(in_c, out_c)
    for first, expected in zip((5, -1), forms, strict=True):
        params["weights"][where] = first, -128
        assert form(params) == expected
        check(params, x)


def test_sums_that_do_not_fit_are_left_to_the_other_form() -> None:
    params, x = layer(1200, 5)
    assert form(params) == "packed"
    check(params, x)


def is_exact(channels: common.Channels, weights: np.ndarray, bias: np.ndarray, by: int, *, bent: bool) -> bool:
    """Whether there are lines. Fails where one is wrong at any accumulator."""
    line = biased.find(channels, common.reach(weights, bias), by, bent=bent)
    if line is None:
        return False
    low, high = common.reach(weights, np.zeros_like(bias))
    for row in range(len(bias)):
        acc = np.arange(low[row], high[row] + 1)
        a = (acc + bias[row] << biased.SCALE) + line.more[row]
        sums = (a * line.multiplier[row] >> 32) + line.addend[row] + np.where(a < 0, line.below[row], 0)
        assert abs(a).max() < 1 << 31 and abs(sums).max() < 1 << 31 and 0 <= line.multiplier[row] < 1 << 31
        assert bent or line.addend[row] == line.below[row] == 0
        y = np.clip(np.clip(sums >> by, -128, 127), channels.qmin[row], channels.qmax[row])
        np.testing.assert_array_equal(y, Requantizer(*(int(field[row]) for field in channels)).apply(acc + bias[row]))
    return True


def channels(drawn: list[Any], shift: int, zero_point: int, qmin: int, qmax: int) -> tuple[common.Channels, np.ndarray, np.ndarray]:
    """Requantizers, weights and biases."""
    multipliers, weights, biases = (np.array(part, np.int64) for part in zip(*drawn, strict=True))
    rest = (np.full(len(drawn), value, np.int64) for value in (shift, zero_point, qmin, qmax))
    return common.Channels(multipliers, *rest), weights.astype(np.int8), biases


def test_what_is_found_is_exact() -> None:
    found = []

    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(CHANNELS, st.integers(-3, 31) | st.integers(4, 14), st.integers(-128, 127), st.tuples(st.integers(-128, 127), st.integers(-128, 127)), st.integers(13, 15), st.booleans())
    def check_one(drawn: list[Any], shift: int, zero_point: int, ends: tuple[int, int], by: int, bent: bool) -> None:
        found.append(is_exact(*channels(drawn, shift, zero_point, *sorted(ends)), by, bent=bent))

    check_one()
    assert sum(found) > 5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CHANNELS, st.integers(6, 11), st.integers(-100, 100), st.booleans())
def test_networks_requantizers_have_bent_lines(drawn: list[Any], shift: int, zero_point: int, signed: bool) -> None:
    assert is_exact(*channels(drawn, shift, zero_point, -128 if signed else zero_point, 127), 15 if shift >= 8 else 13, bent=True)
