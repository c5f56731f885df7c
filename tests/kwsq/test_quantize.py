from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kwsq import quantize
from kwsq.quantize import PercentileObserver, RangeObserver, Requantizer
from tests.kwsq.slow_reference import requantize

INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1])
MULTIPLIER = st.integers(2**30, 2**31 - 1) | st.sampled_from([0, 1, 2**30, 2**31 - 1]) | st.integers(0, 2**31 - 1)
BOUNDS = st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted)


@settings(max_examples=400, deadline=None)
@given(st.lists(INT32, min_size=1, max_size=8), MULTIPLIER, st.integers(-31, 62), st.integers(-128, 127), BOUNDS)
def test_apply_is_the_big_integer_model(accs, multiplier, shift, zero_point, bounds):
    got = Requantizer(multiplier, shift, zero_point, *bounds).apply(np.array(accs, np.int32))
    assert got.dtype == np.int8
    assert got.tolist() == [requantize(acc, multiplier, shift, zero_point, *bounds) for acc in accs]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(INT32, MULTIPLIER, st.integers(-3, 31), st.integers(-128, 127)), min_size=1, max_size=6))
def test_apply_per_channel(rows):
    accs, multipliers, shifts, zero_points = (list(column) for column in zip(*rows, strict=True))
    rq = Requantizer(multipliers, np.array(shifts, np.int8), zero_points, -128, 127)
    got = rq.apply(np.array([[accs], [accs]], np.int32))
    want = [requantize(acc, m, s, z, -128, 127) for acc, m, s, z in rows]
    assert got.shape == (2, 1, len(rows)) and got[0, 0].tolist() == got[1, 0].tolist() == want
    again = Requantizer.from_table(rq.table(), True)
    np.testing.assert_array_equal(again.apply(np.array(accs)), want)


def test_the_two_roundings_are_not_one():
    # 3 * 2^30 / 2^31 = 1.5 -> 2, then 2 / 4 = 0.5 -> 1; at once 0.375 -> 0
    assert Requantizer(2**30, 2, 0, -128, 127).apply(np.array([3, -3], np.int32)).tolist() == [1, 0]


@settings(max_examples=300, deadline=None)
@given(st.floats(2.0**-60, 2.0**30))
def test_quantize_multiplier_is_nearest(ratio):
    multiplier, shift = quantize.quantize_multiplier(ratio)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier / 2**31 / 2**shift - ratio) <= ratio * 2**-31


def test_quantize_multiplier_edges():
    assert quantize.quantize_multiplier(0.0) == (0, 0)
    assert quantize.quantize_multiplier(1 - 2.0**-40) == (2**30, -1)  # the mantissa rounds up to 1
    multiplier, shift = quantize.quantize_multiplier(np.array([0.0, 0.5, 3.0]))
    assert multiplier.tolist() == [0, 2**30, 3 << 29] and shift.tolist() == [0, 0, -2]
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and at least 0"):
            quantize.quantize_multiplier(bad)


def test_quantize_buffer_rounds_half_away_and_saturates():
    x = np.array([0.5, -0.5, 1.5, -2.5, 0.49999999999999994, 1e30, -1e30, np.inf])
    assert quantize.quantize_buffer(x, 1.0, 0, -128, 127).tolist() == [1, -1, 2, -3, 0, 127, -128, 127]
    wide = quantize.quantize_buffer(np.array([70000.0]), 1.0, 0, -(2**31), 2**31 - 1)
    assert wide.dtype == np.int32 and wide.tolist() == [70000]
    for bad, scale in ((np.nan, 1.0), (1.0, 0.0), (1.0, np.nan)):
        with pytest.raises(ValueError, match="quantize_buffer"):
            quantize.quantize_buffer(bad, scale, 0, -128, 127)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32))
def test_asymmetric_holds_zero_and_the_range(a, b):
    low, high = min(a, b), max(a, b)
    scale, zero_point = quantize.affine_params_asymmetric(low, high)
    assert scale > 0 and -128 <= zero_point <= 127
    if max(high, 0) - min(low, 0) > 1e-30:
        q = quantize.quantize_buffer(np.array([low, high, 0.0]), scale, zero_point, -128, 127)
        assert q[2] == zero_point
        back = quantize.dequantize(q, scale, zero_point)
        assert np.abs(back - [low, high, 0]).max() <= scale * 1.001


def test_degenerate_ranges():
    assert quantize.affine_params_asymmetric(0, 0) == (1.0, -128)
    assert quantize.affine_params_symmetric(0, 0) == (1.0, 0)
    assert quantize.affine_params_symmetric(-2.54, 1.0, 127) == (float(np.float32(2.54) / np.float32(127)), 0)
    assert quantize.per_channel_symmetric_scales(np.array([[0, 0], [1, -127]], np.float32)).tolist() == [1.0, 1.0]
    for function in (quantize.affine_params_asymmetric, quantize.affine_params_symmetric):
        for bad in ((np.nan, 1), (2, 1), (0, np.inf)):
            with pytest.raises(ValueError, match="finite and ordered"):
                function(*bad)
    with pytest.raises(ValueError, match="wider than float32"):
        quantize.affine_params_asymmetric(-3e38, 3e38)
    with pytest.raises(ValueError, match="must be below"):
        quantize.affine_params_asymmetric(0, 1, 4, 4)
    with pytest.raises(ValueError, match="finite"):
        quantize.per_channel_symmetric_scales(np.array([[np.nan]]))


def test_observers():
    watching = RangeObserver()
    assert watching.range() == (0, 0) and not watching.has_data
    for part in ([3.0, 5.0], [], [-1.0]):
        watching.observe(np.array(part))
    assert watching.range() == (-1, 5) and watching.has_data

    watching = PercentileObserver(10, 90)
    assert watching.range() == (0, 0) and not watching.has_data
    values = np.random.default_rng(1).permutation(101).astype(float)
    watching.observe(values[:40])
    watching.observe(values[40:].reshape(1, -1))
    assert watching.range() == (10, 90)
    with pytest.raises(ValueError, match="ordered"):
        PercentileObserver(90, 10)
    for observer in (RangeObserver(), PercentileObserver()):
        with pytest.raises(ValueError, match="NaN"):
            observer.observe(np.array([np.nan]))


def test_fold_batch_norm():
    random = np.random.default_rng(2)
    w, b = random.normal(size=(4, 3, 3, 2)).astype(np.float32), random.normal(size=4).astype(np.float32)
    gamma, beta, mean, variance = random.uniform(0.5, 2, (4, 4)).astype(np.float32)
    x = random.normal(size=(3, 3, 2)).astype(np.float32)
    for bias in (b, None):
        folded_w, folded_b = quantize.fold_batch_norm(w, bias, gamma, beta, mean, variance, 1e-3)
        before = (w * x).sum(axis=(1, 2, 3)) + (0 if bias is None else bias)
        want = gamma * (before - mean) / np.sqrt(variance + 1e-3) + beta
        np.testing.assert_allclose((folded_w * x).sum(axis=(1, 2, 3)) + folded_b, want, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="must have the shape"):
        quantize.fold_batch_norm(w, b, gamma[:3], beta, mean, variance)


@pytest.mark.parametrize(("fields", "message"), [
    ((2**31, 0, 0, 0, 0), "multiplier is outside"),
    ((-1, 0, 0, 0, 0), "multiplier is outside"),
    ((0, 63, 0, 0, 0), "shift is outside"),
    ((0, 0, 128, 0, 0), "zero_point is outside"),
    ((0, 0, 0, 5, 4), "qmin is above qmax"),
    ((0, 0, 0, -129, 0), "qmin is outside"),
    ((1.5, 0, 0, 0, 0), "expected an integer"),
    (([1, 2], [1, 2, 3], 0, 0, 0), "do not go together"),
    (([[1]], 0, 0, 0, 0), "expected an integer"),
])
def test_requantizer_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        Requantizer(*fields)


def test_apply_refuses():
    rq = Requantizer([1, 2], 0, 0, -128, 127)
    with pytest.raises(ValueError, match="expected int32"):
        rq.apply(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="outside int32"):
        rq.apply(np.array([0, 2**31]))
    with pytest.raises(ValueError, match="2 channels"):
        rq.apply(np.zeros((2, 3), np.int32))
    with pytest.raises(ValueError, match="not \\(channels, 5\\)"):
        Requantizer.from_table(np.zeros((2, 5), np.int32), False)
    for scales in ((0, 1, 1), (1, np.nan, 1), (1, 1, -1)):
        with pytest.raises(ValueError, match="build_requantizer"):
            quantize.build_requantizer(*scales, 0, -128, 127)
