"""Filters packed as lanes of 16 bits (armsrc/kernels/fused/packing/lanes.py): what the words make of any window is the requantizer's answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc.kernels.fused.packing import lanes
from armsrc.kernels.thumb2.packing import common, linear
from kwsq import model
from tests.kernels.test_fused import checked

SHIFT = 16
LAYERS = model.load()["int8"]


def lane_sums(words: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Raw words of windows (n, 3, 4) of int8, as the kernel makes them: int64 (n, 2) lanes."""
    code, *rest = words.view(np.int32).astype(np.int64)
    weights, begin = rest[:6], rest[6:8]
    even, odd = windows[:, :, ::2].astype(np.int64) + 128, windows[:, :, 1::2].astype(np.int64)
    pairs = even + (odd << 16)  # (n, 3, 2)
    sums = [np.full(len(windows), value) for value in begin]
    for product in range(6):
        kind, row = divmod(product, 3)
        value = (pairs[:, row, 0] << 8) * weights[product] + (1 << 31) >> 32 if kind == 0 else pairs[:, row, 1] * weights[product]
        sums[lanes.CODES[code] >> product & 1] += value
    halves = [np.stack([total & 0xFFFF, total >> 16 & 0xFFFF], axis=1) for total in sums]
    return np.minimum(halves[0] + halves[1], 0xFFFF) if lanes.CODES[code] else halves[0]


def answers(words: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(n, 2): what the second pass makes of the lanes."""
    multiplier, addend = words.view(np.int32)[9:].astype(np.int64)
    sums = (multiplier * (lane_sums(words, windows) - 0x8000) >> 16) + addend
    assert abs(sums).max() < 1 << 31
    return np.clip(sums >> SHIFT, 0, 255) - 128


def windows_for(filters: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n, 3, 4): random ones, and those that make the sums of a filter as large and as small as they can be."""
    found = [random.integers(-128, 128, (400, 3, 4)), random.choice([-128, 127], (400, 3, 4))]
    for weights in filters:
        for low, high in ((-128, 127), (127, -128)):
            ends = random.integers(-128, 128, (2, 3, 4))
            ends[0, :, :3] = ends[1, :, 1:] = np.where(weights > 0, high, low)
            found.append(ends)
    return np.concatenate(found)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(60, 560), st.integers(2, 10), st.integers(-128, 127), st.integers(-20000, 20000))
def test_words_answer_as_the_requantizer(seed: int, size: int, shift: int, zero_point: int, bias: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(size=(1, 3, 3))
    weights = np.clip(np.rint(weights * size / np.abs(weights).sum()), -128, 127).astype(np.int8)
    fields = (int(random.integers(1 << 30, 1 << 31)), shift, zero_point, zero_point, 127)
    channel = common.Channels(*(np.array([field], np.int64) for field in fields))
    words = lanes.filters(channel, weights, np.array([bias]), SHIFT)
    if words is None:
        assert size > 200 or shift < 5, "a small filter must be taken"
        return
    windows = windows_for(weights, random)
    sums = [(windows[:, :, at:at + 3] * weights[0].astype(np.int64)).sum(axis=(1, 2)) for at in range(2)]
    expected = linear.answers(channel, np.concatenate(sums)[None] + bias)[0]
    np.testing.assert_array_equal(np.maximum(answers(words[0], windows), zero_point).T.ravel(), expected)  # clamp_output comes behind


def test_all_codes_are_of_use() -> None:
    """The keyword spotter's filters are taken by each of them."""
    conv = LAYERS[0].params()
    weights = np.asarray(conv["weights"])
    words = lanes.filters(common.channels(conv), weights.reshape(-1, 3, 3), common.folded_bias(conv, weights.reshape(-1, 9)), SHIFT)
    assert words is not None and set(words[:, 0]) == set(range(len(lanes.CODES)))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("channel", range(8))
def test_lanes_at_their_ends(channel: int, sign: int) -> None:
    """The keyword spotter's layers, on an input full of windows that make a filter's sum as large or as small as it can be."""
    structs = tuple(layer.params() for layer in LAYERS[:2])
    weights = np.asarray(structs[0]["weights"]).reshape(-1, 3, 3)[channel]
    x = np.tile(np.where(sign * weights > 0, 127, -128), (7, 7))[:20, :20, None].astype(np.int8)
    checked("fused", "conv2d_max_pool2d_s8", structs, x)
