"""The m0 set: the cycles that its heads claim, on the Cortex-M0+; its requantization against the reference's; what it packs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc.kernels.m0 import affine, pack
from emu.machine.call import call
from kwsq import reference, synthetic
from tests.kernels import heads
from tests.kernels.heads import FULL, RELU, Call, Calls, Claim, fixed, slope, slopes
from tests.kernels.test_kernels import M0PLUS, kernel_set, library
from tests.kernels.test_packing import MULTIPLIERS, ZERO_POINTS, expected, near, one

PLAIN = {"kernels": "m0", "packed": True, "requantizer": RELU}


def make(kind: str, **more: Any) -> Callable[..., Call]:
    return functools.partial(getattr(heads, kind), **(PLAIN | more))


def pool(h: int, w: int, c: int, k: tuple[int, int] = (2, 2)) -> Call:
    return heads.window("max_pool2d_s8", h, w, c, k=k, kernels="m0")


def average(pixels: int, c: int) -> Call:
    return Call("global_avg_pool2d_s8", (("in_h", 1), ("in_w", pixels), ("in_c", c), ("qmin", -128), ("qmax", 127)), kernels="m0")


def copied(c: tuple[int, int]) -> Calls:
    """What padding adds to a row of the output whose windows touch none of it: copies of three rows of ten columns."""
    padded, bare = ((lambda h, c, top=top: make("depthwise", pad_top=top)(h, 8, c)) for top in (1, 0))
    return slopes(padded, (1, 2), c) - slopes(bare, (1, 2), c)


def claims() -> list[Claim]:
    dense, conv, depthwise, direct = make("dense"), make("conv"), make("depthwise"), make("dense", packed=False)
    two, turn = slopes(dense, (2, 8), (4, 8)), slopes(dense, (8, 16), (4, 8))
    quad = fixed(lambda n, c: dense(c, n), (4, 8), (8, 16))
    exact = slopes(lambda n, requantizer: dense(8, n, requantizer=requantizer), (4, 8), (RELU, FULL))
    turned = slopes(lambda w, k: conv(1, w, 1, 4, k=(k, 1)), (5, 9), (2, 4))  # eight inputs more, and two taps more of four pixels
    found = [
        Claim("matmul.inc", "a quad {} for two taps", two, 3), Claim("matmul.inc", r"\({} a MAC\), 3 a turn", two, 3 * 8),
        Claim("matmul.inc", "{} a turn", turn + turn + turn - two - two - two - two, 3),
        Claim("matmul.inc", "{} an odd tap", slopes(dense, (2, 3), (4, 8)), 1), Claim("matmul.inc", "{} besides with four", quad, 1),
        Claim("matmul.inc", r"\({} more where they are exact", exact, 1),
        Claim("matmul.inc", "A pair {} for two taps", slopes(dense, (2, 8), (4, 6)), 3),
        Claim("matmul.inc", "{} besides with two", fixed(lambda n, c: dense(c, n), (4, 6), (8, 16)), 1),
        Claim("requantize.inc", "{} cycles more than the plain form", exact, 4),
        Claim("dense.S", "{} for four inputs", fixed(dense, (8, 16), (4, 8)), 2),
        Claim("widen.inc", "{} cycles for four", fixed(dense, (8, 16), (4, 8)), 2),
        Claim("pointwise_conv2d.S", "{} a pixel of eight inputs", fixed(lambda h, n: make("pointwise")(h, 8, n), (2, 4), (4, 8)), 2),
        Claim("conv2d.S", "{} an input that a row sees", turned + turned + turned - two - two - two - two, 3 * 8),
        Claim("conv2d.S", "three of them {} a pixel", fixed(lambda w, n: conv(4, w, 1, n), (4, 8), (4, 8)), 16),
        Claim("depthwise_conv2d.S", "packed {} an output", slope(lambda c: depthwise(2, 8, c), 4, 8), 2 * 8 * 4),
        Claim("depthwise_conv2d.S", r"\({} a MAC;", slope(lambda c: depthwise(2, 8, c), 4, 8), 2 * 8 * 4 * 9),
        Claim("depthwise_conv2d.S", r"exact {}\)", slope(lambda c: depthwise(2, 8, c, requantizer=FULL), 4, 8), 2 * 8 * 4),
        Claim("depthwise_conv2d.S", "{} a pixel", fixed(lambda w, c: depthwise(2, w, c), (4, 8), (4, 8)), 8),
        Claim("depthwise_conv2d.S", "{} for 16 inputs", copied((16, 32)), 3 * 10),
        Claim("depthwise_conv2d.S", "otherwise {} an input", copied((5, 7)), 3 * 10 * 2),
        Claim("max_pool2d.S", "2x2: {} an output", slope(lambda c: pool(2, 8, c), 4, 8), 2 * 8 * 4),
        Claim("max_pool2d.S", "22 an output and {} a pixel", fixed(lambda w, c: pool(2, w, c), (4, 8), (4, 8)), 8),
        Claim("max_pool2d.S", "General: {} a tap", slopes(lambda c, k: pool(2, 4, c, k), (4, 8), ((3, 3), (3, 5))), 2 * 4 * 4 * 6),
        Claim("max_pool2d.S", "{} a row", slopes(lambda c, k: pool(2, 4, c, k), (4, 8), ((3, 4), (4, 3))), 2 * 4 * 4),
        Claim("max_pool2d.S", "{} an output of 3x3", slope(lambda c: pool(2, 4, c, (3, 3)), 4, 8), 2 * 4 * 4),
        Claim("max_pool2d.S", "3x3 and {} a pixel", fixed(lambda w, c: pool(2, w, c, (3, 3)), (4, 8), (4, 8)), 8),
        Claim("global_avg_pool2d.S", "{} for four pixels", slope(lambda n: average(n, 4), 16, 32), 4 * 4),
        Claim("global_avg_pool2d.S", "{} a channel", fixed(lambda c, n: average(n, c), (4, 8), (8, 16)), 4),
    ]
    few, turns = slopes(dense, (4, 8), (1, 2)), slopes(dense, (16, 32), (1, 2))
    besides = fixed(lambda n, c: dense(c, n), (1, 2), (4, 8))
    rarely = slopes(lambda n, requantizer: dense(8, n, requantizer=requantizer), (1, 2), (RELU, FULL))
    found += [
        Claim("narrow.inc", "{} for four inputs", few, 1), Claim("narrow.inc", r"output \({} a MAC", few, 4),
        Claim("narrow.inc", "{} a turn", turns - few - few - few - few, 1), Claim("narrow.inc", "{} besides", besides, 1),
        Claim("narrow.inc", r"\({} more exact", rarely, 1),
        Claim("narrow.inc", "and {} a pixel", fixed(lambda h, n: make("pointwise")(h, 4, n), (1, 2), (1, 2)), 1),
        Claim("conv2d.S", "MAC and {} a row", slope(lambda h: conv(h, 1, 4, 1, k=(1, 1)), 1, 2) - slope(lambda h: make("pointwise")(h, 4, 1), 1, 2), 1),
    ]
    for file in ("dense.S", "pointwise_conv2d.S", "conv2d.S"):
        found.append(Claim(file, "few outputs {} a MAC", few, 4))
    for file in ("dense.S", "pointwise_conv2d.S", "conv2d.S"):
        found += [Claim(file, "packed {} for eight MACs", two, 3), Claim(file, "{} besides for four outputs", quad, 1),
                  Claim(file, r"\({} more exact", exact, 1)]
    windows = make("conv", packed=False)
    mac, output = slopes(direct, (8, 16), (4, 8)), fixed(lambda n, c: direct(c, n), (4, 8), (8, 16))
    row = slopes(lambda n, k: windows(1, 1, 4, n, k=k), (4, 8), ((2, 4), (4, 2)))
    pixel = fixed(lambda w, n: windows(4, w, 1, n), (4, 8), (4, 8))
    found += [
        Claim("direct.inc", "{} a MAC, 5 a row", mac, 4 * 8), Claim("direct.inc", "MAC, {} a row", row, 4 * 2),
        Claim("direct.inc", "row, {} an output", output, 4), Claim("direct.inc", "output; {} a pixel", pixel, 16),
        Claim("conv2d.S", "else {} a MAC", mac, 4 * 8), Claim("conv2d.S", "MAC, {} a kernel row", row, 4 * 2),
        Claim("conv2d.S", "row, {} an output", output, 4), Claim("conv2d.S", "output and {} a pixel", pixel, 16),
        Claim("depthwise_conv2d.S", "else {} a MAC", mac, 4 * 8), Claim("depthwise_conv2d.S", "MAC, {} a kernel row", row, 4 * 2),
        Claim("depthwise_conv2d.S", "row and {} an output", output, 4),
    ]
    for file in ("dense.S", "pointwise_conv2d.S"):
        found += [Claim(file, "else {} a MAC", mac, 4 * 8), Claim(file, "a MAC and {} an output", output, 4)]
    return found


@pytest.mark.parametrize("claim", claims(), ids=lambda claim: f"{claim.file}: {claim.phrase}")
def test_a_head_says_what_the_model_prices(claim: Claim) -> None:
    heads.check(claim._replace(file=f"../m0/{claim.file}"))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(MULTIPLIERS, st.integers(-3, 12), ZERO_POINTS, st.integers(-128, 127), st.integers(0, 255))
def test_one_multiplication_requantizes(multiplier: int, shift: int, zero_point: int, qmin: int, width: int) -> None:
    channel = one(multiplier, shift, zero_point, qmin)._replace(qmax=np.array([min(127, qmin + width)]))
    found = affine.solve(channel, 0)
    if found is None:
        assert not 1 <= shift <= 3 or qmin < zero_point
        return
    acc = near(channel, -(1 << 28), 1 << 28)
    u = np.clip(acc - found.last, 0, found.reach)
    top = (u * found.scale + found.offset & 0xFFFFFFFF) >> affine.POINT
    np.testing.assert_array_equal(top.astype(np.uint8).view(np.int8), expected(channel, acc))


def test_halves_requantize_exactly() -> None:
    """The products of halves, at accumulators of every size, against the 64-bit product."""
    random = np.random.default_rng(1)
    acc = random.integers(-(1 << 29) + 1, 1 << 29, 100_000) >> random.integers(0, 29, 100_000)
    multiplier = random.integers(1 << 30, 1 << 31, 100_000)
    low = (acc & 0xFFFF ^ 0x8000) - 0x8000
    high = acc - low >> 16
    middle = high * (multiplier & 0xFFFF) + low * (multiplier >> 16) + (low * (multiplier & 0xFFFF) >> 16)
    assert abs(middle).max() < (1 << 31) - (1 << 14) and abs(low * (multiplier & 0xFFFF)).max() < 1 << 31
    np.testing.assert_array_equal(2 * high * (multiplier >> 16) + (middle >> 15) + (middle >> 14 & 1), acc * multiplier + (1 << 30) >> 31)


SIZES = [("conv2d_s8", {"out_c": n}) for n in (1, 2, 3, 5, 6, 7, 8)] + [("depthwise_conv2d_s8", {"in_c": n, "out_c": n}) for n in (3, 4, 20)] + [
    ("pointwise_conv2d_s8", {"in_c": 65, "out_c": 11}), ("dense_s8", {"in_c": 1, "out_c": 9})]
POINT = {"kernel_h": 1, "kernel_w": 1, "pad_top": 0, "pad_left": 0, "out_w": 5}
SIZES += [("dense_s8", {"in_c": c, "out_c": n}) for c, n in ((4, 1), (20, 2), (48, 3), (36, 4))]
SIZES += [("pointwise_conv2d_s8", {"in_c": c, "out_c": n}) for c, n in ((4, 3), (28, 1), (6, 1))]
SIZES += [("conv2d_s8", POINT | {"in_c": c, "out_c": n, "stride_w": w}) for c, n, w in ((8, 1, 1), (12, 4, 1), (20, 2, 1), (4, 3, 1), (5, 1, 1))]


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize(("kernel", "sizes"), SIZES)
def test_layers_of_networks_are_packed(kernel: str, sizes: dict[str, int], activation: str) -> None:
    """With weights of symmetric quantization; and they are right: every group of channels, padding on all sides."""
    window = {"in_h": 7, "in_w": 6, "in_c": 3, "out_h": 4, "out_w": 6, "kernel_h": 3, "kernel_w": 3, "stride_h": 2, "stride_w": 1,
              "pad_top": 1, "pad_left": 1}
    few = {"in_h": 1, "in_w": 1 if kernel.startswith("dense") else 3}
    fields = (few if kernel.startswith(("pointwise", "dense")) else window) | sizes
    params, x = synthetic.sample(kernel, fields, 3, activation=activation)
    assert kernel_set("m0").pack(kernel, params) is not None
    for offset in (0, 1, 2):  # of x from a word
        done = call(library("m0", M0PLUS), kernel, params, x, core=M0PLUS, kernel_set=kernel_set("m0"), offsets={"input": offset})
        np.testing.assert_array_equal(done.output, reference.run_kernel(kernel, params, x).reshape(done.output.shape))


def test_pairs_of_weights_that_do_not_fit_are_not_packed() -> None:
    params, _ = synthetic.sample("dense_s8", {"in_h": 1, "in_w": 1, "in_c": 4, "out_c": 4}, 0)
    params["weights"][2, 2:] = -128
    assert kernel_set("m0").pack("dense_s8", params) is None


@pytest.mark.parametrize("value", [-128, 127])
def test_pairs_of_weights_that_do_not_fit_are_packed_another_way(value: int) -> None:
    """Of one output, the first and third weight and the second and fourth are paired, elsewhere neighbours are."""
    params, x = synthetic.sample("dense_s8", {"in_h": 1, "in_w": 1, "in_c": 8, "out_c": 1}, 0)
    x[:] = value
    blobs = []
    for weights in ((-128, -128, 127, -128), (-128, -128, 0, 1), (-128, 0, -128, -1)):
        params["weights"][0, :4] = weights
        packed = kernel_set("m0").pack("dense_s8", params)
        blobs.append(None if packed is None else int(packed.words[0]) & pack.NARROW)
        done = call(library("m0", M0PLUS), "dense_s8", params, x, core=M0PLUS, kernel_set=kernel_set("m0"))
        np.testing.assert_array_equal(done.output, reference.run_kernel("dense_s8", params, x).reshape(done.output.shape))
    assert blobs == [None, pack.NARROW, 0]
