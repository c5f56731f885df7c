from __future__ import annotations

import numpy as np
import pytest

from kwsq import float_reference, geometry, layers, reference
from kwsq.quantize import Requantizer
from tests.kwsq import slow_reference as slow


def random_requantizer(random, channels, per_channel):
    n = channels if per_channel else 1
    table = np.stack([random.integers(2**30, 2**31, n) * random.integers(0, 5, n).clip(0, 1), random.integers(0, 12, n),
                      random.integers(-128, 128, n), random.integers(-128, -60, n), random.integers(60, 128, n)], axis=1)
    return Requantizer.from_table(table, per_channel)


def random_case(seed, depthwise):
    random = np.random.default_rng(seed)
    kernel, stride = random.integers(1, 5, 2), tuple(random.integers(1, 4, 2).tolist())
    padding = ["VALID", "SAME"][seed % 2]
    size = kernel * (padding == "VALID") + random.integers(1, 6, 2)
    channels, outputs = int(random.integers(1, 6)), int(random.integers(1, 6))
    shape = (channels, *kernel) if depthwise else (outputs, *kernel, channels)
    extreme = seed % 5 == 0
    x = random.choice([-128, 127], (*size, channels)) if extreme else random.integers(-128, 128, (*size, channels))
    w = random.choice([-128, 127], shape) if extreme else random.integers(-128, 128, shape)
    b = random.integers(-(2**20), 2**20, shape[0])
    rq = random_requantizer(random, shape[0], seed % 3 == 0)
    return x.astype(np.int8), w.astype(np.int8), b.astype(np.int32), int(random.integers(-128, 128)), rq, stride, padding


@pytest.mark.parametrize("depthwise", [False, True])
def test_convolutions_on_random_shapes(depthwise):
    layer = reference.depthwise_conv2d if depthwise else reference.conv2d
    for seed in range(60):
        x, w, b, zero_point, rq, stride, padding = random_case(seed, depthwise)
        want = slow.requantize_all(slow.window_sums(x, w, b, zero_point, stride, padding, depthwise), rq.table())
        np.testing.assert_array_equal(layer(x, w, b, zero_point, rq, stride, padding), want, err_msg=f"seed {seed}")


def test_pointwise_and_dense_on_random_shapes():
    for seed in range(30):
        x, w, b, zero_point, rq, _, _ = random_case(seed, False)
        w = np.ascontiguousarray(w[:, 0, 0])
        want = slow.requantize_all(slow.window_sums(x, w[:, None, None], b, zero_point, (1, 1), "VALID", False), rq.table())
        np.testing.assert_array_equal(reference.pointwise_conv2d(x, w, b, zero_point, rq), want)
        np.testing.assert_array_equal(reference.dense(x[0, 0], w, b, zero_point, rq), want[0, 0])
        np.testing.assert_array_equal(reference.dense(x[:1, :1], w, b, zero_point, rq), want[0, 0])
        np.testing.assert_array_equal(reference.dense(x[0], w, b, zero_point, rq), want[0])


def test_pools_on_random_shapes():
    for seed in range(30):
        random = np.random.default_rng(seed)
        pool, stride = tuple(random.integers(1, 4, 2).tolist()), tuple(random.integers(1, 4, 2).tolist())
        x = random.integers(-128, 128, (*random.integers(4, 9, 2), 3)).astype(np.int8)
        padding = ["VALID", "SAME"][seed % 2]
        np.testing.assert_array_equal(reference.max_pool2d(x, pool, stride, padding), slow.window_max(x, pool, stride, padding))
        total = x.astype(int).sum(axis=(0, 1))
        pixels = x.shape[0] * x.shape[1]
        want = [int(np.sign(t)) * ((2 * abs(int(t)) + pixels) // (2 * pixels)) for t in total]
        assert reference.global_avg_pool2d(x, -3, 2).tolist() == np.clip(want, -3, 2).tolist()


def test_average_rounds_half_away_from_zero():
    x = np.array([[[1, -1, 3]], [[0, 0, 0]]], np.int8)
    assert reference.global_avg_pool2d(x, -128, 127).tolist() == [1, -1, 2]


def test_a_batch_is_its_images():
    x = np.random.default_rng(0).integers(-128, 128, (5, 9, 8, 2)).astype(np.int8)
    w, b = np.ones((3, 2, 2, 2), np.int8), np.zeros(3, np.int32)
    rq = Requantizer([2**30] * 3, [1, 2, 3], 0, -128, 127)
    for function in (lambda x: reference.conv2d(x, w, b, 3, rq, (2, 1), "SAME"),
                     lambda x: reference.depthwise_conv2d(x, w[:2, :, :, 0], b[:2], 3, Requantizer(2**30, 0, 0, -128, 127)),
                     lambda x: reference.pointwise_conv2d(x, w[:, 0, 0], b, 3, rq),
                     lambda x: reference.max_pool2d(x, (2, 3), (2, 2)),
                     reference.global_avg_pool2d):
        whole = function(x)
        for image, output in zip(x, whole, strict=True):
            np.testing.assert_array_equal(function(image), output)
        assert function(x[:0]).shape == (0, *whole.shape[1:])


def test_a_large_batch_is_computed_in_parts(monkeypatch):
    x = np.random.default_rng(0).integers(-128, 128, (7, 6, 6, 3)).astype(np.int8)
    w = np.random.default_rng(1).integers(-128, 128, (2, 3, 3, 3)).astype(np.int8)
    run = lambda: reference.conv2d(x, w, np.zeros(2, np.int32), 5, Requantizer(2**30, 6, 0, -128, 127), (1, 1), "SAME")
    whole = run()
    monkeypatch.setattr(reference, "_BATCH_BYTES", 2 * 4 * 36 * 27)
    np.testing.assert_array_equal(run(), whole)


def test_accumulators_at_the_rails():
    x = np.array([[[127, -128]]], np.int8)
    for bias, weight, want in ((2**31 - 1 - 127, 1, 2**31 - 1), (-(2**31) + 127, -1, -(2**31))):
        w = np.array([[weight, 0]], np.int8)
        b = np.array([bias], np.int32)
        for shift in (0, 24, 31):
            rq = Requantizer(2**31 - 1, shift, 0, -128, 127)
            expected = slow.requantize(want, 2**31 - 1, shift, 0, -128, 127)
            assert reference.pointwise_conv2d(x, w, b, 0, rq).item() == expected
            assert reference.depthwise_conv2d(x[..., :1], w[:, :1, None], b, 0, rq).item() == expected
    too_much = np.array([2**31 - 1], np.int32)
    for call in (lambda: reference.pointwise_conv2d(x, np.array([[1, 0]], np.int8), too_much, 0, rq),
                 lambda: reference.depthwise_conv2d(x[..., :1], np.array([[[1]]], np.int8), too_much, 0, rq)):
        with pytest.raises(ValueError, match="does not fit int32"):
            call()


def test_sums_beyond_a_float32_mantissa_are_exact():
    random = np.random.default_rng(3)
    x = random.choice([-128, 127, -127], (1, 1, 4001)).astype(np.int8)
    w = random.choice([-128, 127, 126], (2, 4001)).astype(np.int8)
    want = x[0, 0].astype(int) @ w.T.astype(int)
    rq = Requantizer(2**30, 0, 0, -128, 127)
    for target in range(2):
        b = (-want + [target, 1]).astype(np.int32)  # brings the sum to where a single unit shows
        assert reference.pointwise_conv2d(x, w, b, 0, rq)[0, 0].tolist() == [target, 1]


def test_multiplier_zero_gives_the_zero_point():
    x = np.full((2, 2, 1), 127, np.int8)
    out = reference.conv2d(x, np.ones((1, 1, 1, 1), np.int8), np.array([2**30], np.int32), 0, Requantizer(0, 0, -7, -128, 127))
    assert (out == -7).all()


def test_same_padding_puts_the_odd_row_behind():
    assert geometry.windows((5, 6), (2, 4), (1, 2), "SAME") == (5, 3, 0, 1, 1, 1)
    assert geometry.windows((5, 5), (1, 1), (2, 3), "SAME") == (3, 2, 0, 0, 0, 0)


def test_every_legal_struct_has_a_reference():
    """Padding and outputs that neither VALID nor SAME can say: unused rows, more padding behind than before."""
    random = np.random.default_rng(4)
    for kernel in ("conv2d_s8", "depthwise_conv2d_s8", "max_pool2d_s8", "conv2d_f32", "depthwise_conv2d_f32", "max_pool2d_f32"):
        for _ in range(20):
            in_h, in_w, in_c = random.integers(1, 8, 3).tolist()
            p = {"in_h": in_h, "in_w": in_w, "in_c": in_c}
            k, s = random.integers(1, 5, 2).tolist(), random.integers(1, 4, 2).tolist()
            pads = [int(random.integers(0, size)) for size in k]
            p["out_h"], p["out_w"] = (int(random.integers(1, (size + pad - 1) // step + 2))
                                      for size, pad, step in zip((in_h, in_w), pads, s, strict=True))
            out_c = in_c
            if "max_pool" not in kernel:
                out_c = p["out_c"] = in_c if "depthwise" in kernel else 3
            p |= {"kernel_h": k[0], "kernel_w": k[1], "stride_h": s[0], "stride_w": s[1], "pad_top": pads[0], "pad_left": pads[1]}
            dtype = np.int8 if kernel.endswith("s8") else np.float32
            w = random.integers(-9, 10, (*k, in_c) if "depthwise" in kernel else (3, *k, in_c)).astype(dtype)
            x = random.integers(-9, 10, (in_h, in_w, in_c)).astype(dtype)
            if "out_c" in p:
                p |= {"weights": w, "bias": np.zeros(out_c, np.int32 if dtype == np.int8 else np.float32)}
                p |= ({"input_zero_point": 2, "per_channel": 0, "requant": np.array([[2**30, -1, 0, -128, 127]], np.int32)}
                      if dtype == np.int8 else {"act_min": -1e9, "act_max": 1e9})
            module = reference if dtype == np.int8 else float_reference
            got = module.run_kernel(kernel, p, x)
            assert got.shape == (p["out_h"], p["out_w"], out_c)
            np.testing.assert_array_equal(got, _by_the_header(kernel, p, x))


def _by_the_header(kernel, p, x):
    """kernels.h read literally: windows at out * stride - pad, padding adding nothing. Requantization here is 1, clamped."""
    out = np.zeros((p["out_h"], p["out_w"], p.get("out_c", p["in_c"])))
    for oy, ox in np.ndindex(out.shape[:2]):
        taps = []
        for i, j in np.ndindex(p["kernel_h"], p["kernel_w"]):
            y, z = oy * p["stride_h"] - p["pad_top"] + i, ox * p["stride_w"] - p["pad_left"] + j
            if 0 <= y < p["in_h"] and 0 <= z < p["in_w"]:
                seen = x[y, z].astype(float) - p.get("input_zero_point", 0)
                if "max_pool" in kernel:
                    taps.append(seen)
                else:
                    taps.append(seen * p["weights"][i, j] if "depthwise" in kernel else p["weights"][:, i, j].astype(float) @ seen)
        out[oy, ox] = np.max(taps, axis=0) if "max_pool" in kernel else np.sum(taps, axis=0)
    return out if kernel.endswith("f32") else np.clip(out, -128, 127)


def test_run_gives_every_layer(kws):
    x = np.random.default_rng(5).integers(-128, 128, (4, 20, 20, 1)).astype(np.int8)
    batch = reference.run(kws["int8"], x)
    single = reference.run(kws["int8"], x[2])
    assert [output.shape for output in single] == [layer.output_shape for layer in kws["int8"]]
    for many, one in zip(batch, single, strict=True):
        np.testing.assert_array_equal(many[2], one)
    floats = float_reference.run(kws["float32"], kws["float32"].input_array(x[2]))
    assert [output.shape for output in floats] == [layer.output_shape for layer in kws["float32"]]
    assert {output.dtype.name for output in floats} == {"float32"}


def test_float_layers_are_the_int8_ones_on_small_integers():
    """With a requantizer that changes nothing, an int8 layer computes on the integers what the float layer does."""
    unit = Requantizer(2**30, -1, 0, -128, 127)
    for seed in range(20):
        random = np.random.default_rng(seed)
        x, w = random.integers(-2, 3, (7, 6, 2)).astype(np.int8), random.integers(-1, 2, (2, 3, 2, 2)).astype(np.int8)
        b = random.integers(-5, 6, 2).astype(np.int32)
        window = {"stride": (1 + seed % 3, 2), "padding": ["SAME", "VALID"][seed % 2]}
        fx, fw, fb = x.astype(np.float32), w.astype(np.float32), b.astype(np.float32)
        pairs = [(reference.conv2d(x, w, b, 0, unit, **window), float_reference.conv2d(fx, fw, fb, **window)),
                 (reference.depthwise_conv2d(x, w[..., 0], b, 0, unit, **window),
                  float_reference.depthwise_conv2d(fx, fw[..., 0], fb, **window)),
                 (reference.pointwise_conv2d(x, w[:, 0, 0], b, 0, unit), float_reference.pointwise_conv2d(fx, fw[:, 0, 0], fb)),
                 (reference.dense(x[0, 0], w[:, 0, 0], b, 0, unit), float_reference.dense(fx[0, 0], fw[:, 0, 0], fb)),
                 (reference.max_pool2d(x, (3, 2), **window), float_reference.max_pool2d(fx, (3, 2), **window))]
        for got, want in pairs:
            assert want.dtype == np.float32
            np.testing.assert_array_equal(got, want)
        np.testing.assert_allclose(float_reference.global_avg_pool2d(fx), x.mean(axis=(0, 1)), rtol=1e-6)
    clamped = float_reference.conv2d(fx, fw, fb, act_min=0.0, act_max=6.0)
    assert clamped.min() == 0 and clamped.max() <= 6


X, W, B = np.zeros((4, 4, 2), np.int8), np.zeros((3, 2, 2, 2), np.int8), np.zeros(3, np.int32)
RQ = Requantizer(0, 0, 0, -128, 127)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: reference.conv2d(X.astype(np.int16), W, B, 0, RQ), "x is int16, expected int8"),
    (lambda: reference.conv2d(X[0], W, B, 0, RQ), "expected \\(H, W, C\\)"),
    (lambda: reference.conv2d(X, W.astype(float), B, 0, RQ), "w is float64, expected int8"),
    (lambda: reference.conv2d(X, W[..., :1], B, 0, RQ), "expected OHWI for an input of 2 channels"),
    (lambda: reference.depthwise_conv2d(X, W[..., 0], B, 0, RQ), "expected CHW"),
    (lambda: reference.pointwise_conv2d(X, W, B, 0, RQ), "expected OI"),
    (lambda: reference.conv2d(X, W, B[:2], 0, RQ), "expected int32 \\(3,\\)"),
    (lambda: reference.conv2d(X, W, B.astype(np.int64), 0, RQ), "b is int64"),
    (lambda: reference.conv2d(X, W, B, 128, RQ), "input_zero_point is 128"),
    (lambda: reference.conv2d(X, W, B, 0, Requantizer([0, 0], 0, 0, 0, 0)), "2 channels, expected 3"),
    (lambda: reference.conv2d(X, W, B, 0, RQ, (0, 1)), "stride \\(0, 1\\)"),
    (lambda: reference.conv2d(X, W, B, 0, RQ, padding="FULL"), "padding 'FULL'"),
    (lambda: reference.conv2d(X, W, B, 0, RQ, padding=((2, 0), (0, 0))), "less than the kernel's 2"),
    (lambda: reference.conv2d(X, W, B, 0, RQ, padding=((0, 2), (0, 0))), "last window outside"),
    (lambda: reference.conv2d(X, W, B, 0, RQ, padding=((0, 0),)), "padding"),
    (lambda: reference.max_pool2d(X, (5, 5), (1, 1)), "kernel of 5 does not fit"),
    (lambda: reference.global_avg_pool2d(X, 3, 2), "must be ordered"),
    (lambda: reference.dense(X, W[:, 0, 0], B, 0, RQ), "expected OI"),
    (lambda: float_reference.conv2d(X, W, B), "x is int8, expected float32"),
    (lambda: float_reference.dense(X[None, None].astype(np.float32), W, B), "expected \\(I,\\)"),
    (lambda: float_reference.dense(X[0, 0].astype(np.float32), W[:, 0, 0].astype(np.float32), B), "b is int32"),
    (lambda: float_reference.pointwise_conv2d(X.astype(np.float32), W[:, 0, 0, :1].astype(np.float32), B), "expected OI"),
    (lambda: float_reference.max_pool2d(X[0].astype(np.float32), (1, 1), (1, 1)), "expected \\(H, W, C\\)"),
])
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_reference_of_the_other_dtype_is_named(kws):
    with pytest.raises(ValueError, match="kwsq.float_reference float32"):
        reference.run(kws["float32"], np.zeros((20, 20, 1), np.float32))
    with pytest.raises(ValueError, match="kwsq.reference runs int8"):
        float_reference.run(kws["int8"], np.zeros((20, 20, 1), np.int8))
    with pytest.raises(ValueError, match="expected \\(20, 20, 1\\)"):
        layers.fit_input(kws["int8"][0], np.zeros((20, 20), np.int8))
