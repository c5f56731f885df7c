"""Matrix multiplication by chains of SMLAL (chains.inc): borders of its fields, chunks and requantizers; and which layers take it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from armsrc.kernels.thumb2.packing import chains, common, linear, matmul
from armsrc.kernelset import KernelSet
from emu.machine.call import call
from kwsq import reference
from tests.kernels.test_kernels import cycles_of, kernel_set, library, touches_nothing_else
from tests.kernels.test_packing import expected, near, one

POINTWISE = "pointwise_conv2d_s8"


def layer(pixels: int, weights: np.ndarray, *, shift: int = 9, zero_point: int = -128, input_zero_point: int = -128, seed: int = 0,
          qmin: int | None = None, qmax: int = 127) -> dict[str, Any]:
    """A pointwise layer of these weights (out_c, in_c), a requantizer of its own a channel. qmin: the zero point if None."""
    random, (out_c, in_c) = np.random.default_rng(seed), weights.shape
    limits = (zero_point, zero_point if qmin is None else qmin, qmax)
    fields = [random.integers(1 << 30, 1 << 31, out_c), shift + random.integers(0, 2, out_c), *np.full((out_c, 3), limits).T]
    return {"in_h": pixels, "in_w": 1, "in_c": in_c, "out_c": out_c, "input_zero_point": input_zero_point, "per_channel": 1, "weights": weights.astype(np.int8),
            "bias": random.integers(-30000, 30000, out_c).astype(np.int32), "requant": np.stack(fields, axis=1).astype(np.int32)}


def check(params: dict[str, Any], x: np.ndarray) -> None:
    """By chains, against the reference."""
    packed = chains.packed(params, chains.chunks(params["weights"]))
    assert packed and packed.addresses[0] == f"{POINTWISE}.chains"
    done = call(library("thumb2"), POINTWISE, params, x, kernel_set=KernelSet(pack=lambda kernel, p: packed))
    np.testing.assert_array_equal(done.output, reference.run_kernel(POINTWISE, params, x).reshape(done.output.shape))
    touches_nothing_else(done)


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(3, 9), st.one_of(st.sampled_from([63, 64, 65, 66, 127, 128, 130, 192, 260]), st.integers(1, 130)), st.integers(1, 13), st.integers(7, 11),
       st.sampled_from([(-128, -128), (-5, -5), (40, 40), (-127, -128), (-1, -128), (6, -100), (40, 39), (127, -128)]), st.sampled_from([-128, 0, 127]),
       st.sampled_from([127, 90]), st.integers(0, 1 << 30))
def test_random_layers(pixels: int, in_c: int, out_c: int, shift: int, limits: tuple[int, int], input_zero_point: int, qmax: int, seed: int) -> None:
    random, (zero_point, qmin) = np.random.default_rng(seed), limits
    weights = random.integers(-90, 91, (out_c, in_c)) >> random.integers(0, 3)
    params = layer(pixels, weights, shift=shift, zero_point=zero_point, input_zero_point=input_zero_point, seed=seed, qmin=qmin, qmax=max(qmax, qmin))
    params["requant"][seed % 4::4, 3] = min(zero_point, max(qmax, qmin))  # beside channels that answer below their zero points some that do not
    assume(chains.packed(params, chains.chunks(params["weights"])))
    check(params, random.integers(-128, 128, (pixels, 1, in_c)).astype(np.int8))


@pytest.mark.parametrize(("shift", "zero_point"), [(5, -128), (7, -128), (8, -128), (11, -128), (5, 21), (6, 9), (7, -100), (10, -30), (8, 0), (11, 100)])
@pytest.mark.parametrize("in_c", [12, 64, 66, 128, 192])
def test_a_sum_that_is_wrong_by_one_shows(in_c: int, shift: int, zero_point: int) -> None:
    """Small sums of large products, spread over all answers: of 2^shift neighbouring sums one or two begin a new one."""
    random, out_c, pixels = np.random.default_rng(in_c * shift), 72 if shift < 11 else 200, 25
    half = random.integers(-127, 128, (out_c, in_c // 2))
    weights = np.concatenate([half, -half], axis=1)[:, random.permutation(in_c)]
    biases = random.integers(-(zero_point + 128 << shift - 1), 127 - zero_point << shift - 1, out_c)
    params = layer(pixels, weights, shift=shift, zero_point=zero_point, qmin=-128, seed=in_c) | {"bias": biases.astype(np.int32)}
    spread = max(1, (32 << shift) // int(40 * in_c**0.5))
    base = random.integers(-100, 100, (pixels, 1, 1))
    check(params, np.clip(base + random.integers(-spread, spread + 1, (pixels, 1, in_c)), -128, 127).astype(np.int8))


@pytest.mark.parametrize("in_c", [64, 128])
@pytest.mark.parametrize("signs", ["same", "opposite", "alternating"])
@pytest.mark.parametrize(("shift", "zero_point"), [(11, -128), (5, -128), (7, -1), (11, 100)])
def test_sums_at_the_ends_of_their_fields(in_c: int, signs: str, shift: int, zero_point: int) -> None:
    """Every field as large and as small as 64 products of 127 and 128 make it, beside fields of either sign."""
    weights = np.full((8, in_c), 127)
    weights[1::2] *= -1 if signs != "same" else 1
    if signs == "alternating":
        weights[:, 1::2] *= -1
    params = layer(7, weights, shift=shift, zero_point=zero_point, qmin=-128)
    pattern = np.array([-128, 127, -128, -128, 127, 127, -128], np.int8)
    x = np.broadcast_to(pattern[:, None, None], (7, 1, in_c)).copy()
    check(params, x)
    x[:, :, ::2] = -1 - x[:, :, ::2]
    check(params, x)


@pytest.mark.parametrize(("shift", "zero_point"), [(5, -128), (6, -128 + 64)])
@pytest.mark.parametrize(("in_c", "pixels"), [(64, 301), (128, 150), (192, 301)])
def test_small_sums_beside_the_largest(in_c: int, pixels: int, shift: int, zero_point: int) -> None:
    """Rows of a Hadamard matrix: a pixel's sum with its own pattern is as large as 64 products can be, with any other it is the noise,
    of which an answer is as little as 32."""
    random, patterns = np.random.default_rng(in_c), np.ones((1, 1), np.int64)
    for _ in range(6):
        patterns = np.block([[patterns, patterns], [patterns, -patterns]])
    patterns = np.tile(patterns[:4], (1, in_c // 64))
    weights = 127 * patterns[random.integers(0, 4, 64)] * random.choice([-1, 1], (64, 1))
    params = layer(pixels, weights, shift=shift, zero_point=zero_point, qmin=-128, seed=in_c) | {"input_zero_point": 0}
    params["bias"] = random.integers(-(zero_point + 128 << shift), 1 << 12, 64).astype(np.int32)
    x = 126 * patterns[random.integers(0, 4, pixels)] * random.choice([-1, 1], (pixels, 1)) + random.integers(-1, 2, (pixels, in_c))
    check(params, x.astype(np.int8)[:, None])


@pytest.mark.parametrize("out_c", [1, 2, 3, 5, 6, 7])
def test_channels_beside_fours_are_stored_alone(out_c: int) -> None:
    random = np.random.default_rng(out_c)
    for pixels, zero_point in itertools.product((3, 4, 5), (-128, 5)):
        params = layer(pixels, random.integers(-90, 91, (out_c, 70)), zero_point=zero_point, qmin=-128)
        check(params, random.integers(-128, 128, (pixels, 1, 70)).astype(np.int8))


def test_chunks_are_as_large_as_their_fields_allow() -> None:
    weights = np.full((4, 128), 127)
    assert [part.shape[1] for part in chains.chunks(weights)] == [64, 64]
    assert [part.shape[1] for part in chains.chunks(weights // 2)] == [128]
    assert [part.shape[1] for part in chains.chunks(weights[:, :64] - 255)] == [32, 32]  # products of -128 and -128
    assert [part.shape[1] for part in chains.chunks(weights[:, :70])] == [35, 35]
    assert [part.shape[1] for part in chains.chunks(np.full((4, 300), 30))] == [100, 100, 100]


def test_no_chains_where_a_sum_could_be_too_large_or_a_rounding_matters() -> None:
    wide = np.full((4, 260), 127)
    assert chains.packed(layer(3, wide), chains.chunks(wide)) is None
    assert chains.packed(layer(3, wide // 2, shift=10), chains.chunks(wide // 2)) is not None
    for shift, taken in ((4, False), (5, True)):
        signed = layer(3, wide[:, :9]) | {"requant": np.array([[1 << 30, shift, 0, -128, 127]] * 4)}
        assert (chains.packed(signed, chains.chunks(wide[:, :9])) is not None) == taken


@pytest.mark.parametrize(("zero_point", "shift"), [(-128, 11), (100, 10)])
def test_a_line_that_would_leave_int32_is_not_taken(zero_point: int, shift: int) -> None:
    """Sums of almost 2^22, and a bias that leaves steps at their end only."""
    weights, x = np.full((4, 258), 127), np.repeat(np.array([-128, 126, 127], np.int8), 258).reshape(3, 1, 258)
    params = layer(3, weights, shift=shift, zero_point=zero_point, qmin=-128) | {"input_zero_point": 0}
    params["requant"][:, :2] = (1 << 31) - 1, shift
    for end in (-128, 127):
        check(params | {"bias": np.full(4, -258 * 127 * end + (-100 - zero_point << shift), np.int32)}, x)
        check(params | {"bias": np.full(4, -258 * 127 * end + (100 - zero_point << shift), np.int32)}, x)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1 << 30, (1 << 31) - 1), st.integers(5, 13), st.sampled_from([(-128, 0), (-1, 0), (30, 0), (-127, 1), (-1, 60), (30, 158), (127, 255)]),
       st.integers(-60000, 60000), st.integers(1, 127), st.booleans())
def test_a_span_holds_every_offset_that_is_right(multiplier: int, shift: int, limits: tuple[int, int], bias: int, weight: int, chunks: bool) -> None:
    zero_point, below = limits
    channel = one(multiplier, shift, zero_point, zero_point - below)
    reach = common.reach(np.full((1, 64), weight), np.zeros(1, np.int64))
    scale, by = (9, 16) if chunks else (11, 17)
    lift = np.array([(1 << by - shift) * (below > 0)])
    found = linear.spans(channel, reach, np.array([bias]), scale, by, lift)
    assume(found)
    acc = near(channel, int(reach[0][0]) + bias, int(reach[1][0]) + bias)
    for offset in (found.least, found.most):
        sums = (acc - bias << scale) * found.multiplier + offset >> 32
        lifted = sums + lift * (sums >= (zero_point << by) + lift)
        assert min(sums) >= -(1 << 31) and max(lifted) < 1 << 31
        y = np.clip(lifted >> by, -128, 127)
        np.testing.assert_array_equal(np.maximum(y, channel.qmin), expected(channel, acc))


@pytest.mark.parametrize("zero_point", [-128, 5])
@pytest.mark.parametrize(("pixels", "in_c", "out_c"), [(3, 16, 4), (4, 16, 8), (9, 9, 3), (12, 32, 32), (5, 64, 4), (4, 64, 8), (7, 32, 16), (6, 64, 16), (7, 24, 24)])
def test_the_cheaper_path_is_chosen(pixels: int, in_c: int, out_c: int, zero_point: int) -> None:
    random = np.random.default_rng(1)
    params = layer(pixels, random.integers(-90, 91, (out_c, in_c)), zero_point=zero_point, qmin=-128)
    x = random.integers(-128, 128, (pixels, 1, in_c)).astype(np.int8)

    def cycles(packer: Any) -> int:
        done = call(library("thumb2"), POINTWISE, params, x, kernel_set=KernelSet(pack=lambda kernel, p: packer(p)))
        return cycles_of(done)

    chosen = cycles(lambda p: chains.pointwise(p) or matmul.pointwise(p))
    assert chosen <= 1.1 * min(cycles(lambda p: chains.packed(p, chains.chunks(p["weights"]))), cycles(matmul.pointwise))


def test_the_set_packs_such_layers_by_chains() -> None:
    params = layer(12, np.random.default_rng(2).integers(-90, 91, (16, 32)))
    assert kernel_set("thumb2").pack(POINTWISE, params).addresses[0] == f"{POINTWISE}.chains"
