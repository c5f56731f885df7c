"""Lines for requantizers (armsrc/kernels/thumb2/packing/linear.py): whatever is found is right at every accumulator."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc.kernels.thumb2.packing import common, linear
from kwsq.quantize import Requantizer

SHIFT, INPUT_SCALE = 16, 8
MULTIPLIERS = st.one_of(st.sampled_from([0, 1 << 30, (1 << 31) - 1]), st.integers(1 << 30, (1 << 31) - 1))


def one(*fields: int) -> common.Channels:
    """A channel: multiplier, shift, zero point, qmin, qmax."""
    return common.Channels(*(np.array([value], np.int64) for value in fields))


def found(channel: common.Channels, weights: np.ndarray, bias: int, *, bent: bool, low_byte: int | None = None) -> bool:
    """Whether there is a line. Fails where it is wrong, or something does not fit its type."""
    line = linear.find(channel, weights, np.array([bias]), SHIFT, INPUT_SCALE, bent=bent, low_byte=low_byte)
    if line is None:
        return False
    assert low_byte in (None, line.multiplier[0] & 0xFF)
    low, high = (int(end[0]) for end in common.reach(weights, np.zeros(1, np.int64)))
    acc = np.arange(low, high + 1)
    scaled = acc << line.scale
    sums = (scaled * line.multiplier >> 32) + line.addend
    sums += np.where(sums < 0, line.below, 0)
    assert abs(scaled).max() < 1 << 31 and abs(sums).max() < 1 << 31 and 0 <= line.multiplier < 1 << 31
    assert abs(weights.astype(np.int64) << line.scale - INPUT_SCALE).max() < 1 << 15
    y = np.clip(np.clip(sums >> SHIFT, -128, 127), channel.qmin, channel.qmax)
    np.testing.assert_array_equal(y, Requantizer(*(int(field[0]) for field in channel)).apply(acc + bias))
    return True


@settings(max_examples=120, deadline=None, derandomize=True)
@given(MULTIPLIERS, st.integers(-3, 31), st.integers(-128, 127), st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
       st.lists(st.integers(-128, 127), min_size=1, max_size=9), st.integers(-(1 << 27), 1 << 27), st.booleans())
def test_what_is_found_is_exact(multiplier: int, shift: int, zero_point: int, ends: tuple[int, int], weights: list[int], bias: int,
                                bent: bool) -> None:
    found(one(multiplier, shift, zero_point, *sorted(ends)), np.array([weights], np.int8), bias, bent=bent)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1 << 30, (1 << 31) - 1), st.integers(4, 10), st.sampled_from([-128, -1, 0, 50]), st.booleans(),
       st.lists(st.integers(-127, 127), min_size=8, max_size=9), st.integers(-3000, 3000), st.sampled_from([None, 0, 8, 255]))
def test_networks_requantizers_have_lines(multiplier: int, shift: int, zero_point: int, signed: bool, weights: list[int],
                                          bias: int, low_byte: int | None) -> None:
    signed = signed and zero_point == -1
    channel = one(multiplier, shift, zero_point, -128 if signed else zero_point, 127)
    assert found(channel, np.array([weights], np.int8), bias, bent=signed, low_byte=low_byte)


def test_signed_ones_have_no_single_line() -> None:
    """Half away from zero is no line where both signs show."""
    weights = np.full((1, 9), 100, np.int8)
    for zero_point in (0, -1, 40):
        assert not found(one(1 << 30, 7, zero_point, -128, 127), weights, 0, bent=False)
        assert found(one(1 << 30, 7, zero_point, -128, 127), weights, 0, bent=True) == (zero_point == -1)
