"""The arithmetic that packed tables rely on, in integers, against the reference's two roundings."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc.kernels.thumb2.packing import common
from kwsq.quantize import Requantizer

MULTIPLIERS = st.one_of(st.sampled_from([1 << 30, (1 << 31) - 1]), st.integers(1 << 30, (1 << 31) - 1))
ZERO_POINTS = st.one_of(st.sampled_from([-128, 127, 0]), st.integers(-128, 127))


def near(channel: common.Channels, low: int, high: int) -> np.ndarray:
    """Accumulators in [low, high]: its ends, those around 0, and those around every step of y."""
    steps = (np.arange(-300, 300) + 0.5) * 2.0 ** (channel.shift[0] + 31) / channel.multiplier[0]
    found = np.concatenate([np.array([low, high]), np.arange(-4, 5), *(np.floor(steps) + offset for offset in (-2, -1, 0, 1, 2, 3))])
    return np.unique(np.clip(found, low, high)).astype(np.int64)


def expected(channel: common.Channels, acc: np.ndarray) -> np.ndarray:
    return Requantizer(*(int(field[0]) for field in channel)).apply(acc).astype(np.int64)


def one(multiplier: int, shift: int, zero_point: int, qmin: int) -> common.Channels:
    return common.Channels(*(np.array([value], np.int64) for value in (multiplier, shift, zero_point, qmin, 127)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MULTIPLIERS, st.integers(-3, 31), ZERO_POINTS, st.integers(-128, 127), st.integers(2, 24), st.integers(-(1 << 30), 1 << 30),
       st.integers(-128, 127))
def test_saturating(multiplier: int, shift: int, zero_point: int, above: int, by: int, bias: int, weight: int) -> None:
    channel = one(multiplier, shift, zero_point, max(above, zero_point))
    weights, biases = np.array([[weight]]), np.array([bias >> max(0, 21 - by)])
    form = common.saturating(channel, weights, biases, by)
    if form is None:
        return
    low, high = (int(end[0]) for end in common.reach(weights, biases))
    acc = near(channel, low, high)
    product = (acc << form.scale) * form.multiplier >> 32
    sums = product + form.addend
    assert abs(acc << form.scale).max() < 1 << 31 and abs(sums).max() < 1 << 31
    assert abs(weights << form.scale).max() <= 1 << 15
    np.testing.assert_array_equal(np.clip(np.clip(sums >> by, -128, 127), channel.qmin, 127), expected(channel, acc))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MULTIPLIERS, st.integers(-3, 31), ZERO_POINTS, st.integers(-128, 127), st.integers(-(1 << 30), 1 << 30), st.integers(-128, 127))
def test_doubled(multiplier: int, shift: int, zero_point: int, qmin: int, bias: int, weight: int) -> None:
    channel = one(multiplier, shift, zero_point, qmin)
    weights, biases = np.array([[weight]]), np.array([bias])
    form = common.doubled(channel, weights, biases)
    if form is None:
        assert shift < 1 or shift > 22 or abs(bias) + 128 * abs(weight) >= 1 << 30
        return
    acc = near(channel, *(int(end[0]) for end in common.reach(weights, biases)))
    sums = (2 * acc * form.multiplier + (1 << 31) >> 32) + form.addend
    for correction in ([0, -1] if qmin >= zero_point else [-1]):
        signed = np.clip(sums + correction * (acc < 0) >> form.shift, -128, 127)
        np.testing.assert_array_equal(np.clip(signed, qmin, 127), expected(channel, acc))


def test_all_forms_are_reached() -> None:
    weights, biases = np.array([[127, -128]]), np.array([1000])
    assert [common.saturating(one(1 << 30, shift, -128, -128), weights, biases, 10) is not None for shift in (2, 3, 9, 10)] == [
        False, True, True, False]
    assert common.saturating(one(1 << 30, 5, -127, -128), weights, biases, 10) is None
    assert common.saturating(one(1 << 30, 2, -128, -128), weights // 2, biases, 10) is not None
    assert common.doubled(one(1 << 30, 22, 127, -128), weights, biases) is not None


def test_the_bias_takes_the_zero_point() -> None:
    random = np.random.default_rng(7)
    weights, x = random.integers(-128, 128, (5, 9)), random.integers(-128, 128, 9)
    p = {"bias": np.arange(5), "input_zero_point": -77}
    np.testing.assert_array_equal(common.folded_bias(p, weights) + weights @ x, p["bias"] + weights @ (x + 77))


def test_pairs() -> None:
    assert [hex(word) for word in common.pairs(np.array([-1, 5]), np.array([2, -32768]))] == ["0x2ffff", "0x80000005"]
    assert [hex(word) for word in common.words([-2, (1 << 32) + 3])] == ["0xfffffffe", "0x3"]
