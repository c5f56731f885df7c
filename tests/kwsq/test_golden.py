"""Bit for bit what TinyMind's C++ layers and LiteRT's reference kernels computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kwsq import quantize, reference
from kwsq.quantize import Requantizer

ROOT = Path(__file__).resolve().parents[2]
FIXTURES, WHOLE = ROOT / "tests" / "fixtures", ROOT.parent / "shared" / "golden"


@pytest.fixture(params=["fixtures", "shared"], scope="module")
def folder(request) -> Path:
    if request.param == "shared" and not WHOLE.is_dir():
        pytest.skip(f"no {WHOLE}: the whole golden vectors are only beside a developer's checkout")
    return FIXTURES if request.param == "fixtures" else WHOLE


@pytest.fixture(scope="module")
def tinymind(folder):
    return np.load(folder / "tinymind.npz")


def test_pipeline(tinymind):
    z = {key.removeprefix("pipeline_"): tinymind[key] for key in tinymind.files if key.startswith("pipeline_")}
    for case, x in enumerate(z["input"]):
        zero_points = [int(value) for value in z["zero_points"][case]]
        rq = {name: Requantizer.from_table(z[f"{name}_rq"][case][None], False) for name in ("conv", "pw", "fc")}
        rq["dw"] = Requantizer.from_table(z["dw_rq"][case], True)

        def tensors(name, at=case, zero_points=zero_points, rq=rq):
            order = ("conv", "dw", "pw", "fc").index(name)
            return z[f"{name}_w"][at], z[f"{name}_b"][at], zero_points[order], rq[name]

        outputs = [reference.conv2d(x, *tensors("conv"))]
        outputs.append(reference.max_pool2d(outputs[-1], (2, 2), (2, 2)))
        outputs.append(reference.depthwise_conv2d(outputs[-1], *tensors("dw")))
        outputs.append(reference.pointwise_conv2d(outputs[-1], *tensors("pw")))
        outputs.append(reference.global_avg_pool2d(outputs[-1], -128, 127))
        outputs.append(reference.dense(outputs[-1], *tensors("fc")))
        for name, output in zip(("conv", "pool", "dw", "pw", "gap", "fc"), outputs, strict=True):
            np.testing.assert_array_equal(output, z[f"{name}_out"][case], err_msg=f"case {case}, {name}")


def test_requantize(tinymind):
    rows = tinymind["requantize_acc_mult_shift_zp_qmin_qmax_out"]
    got = Requantizer(*rows[:, 1:6].T).apply(rows[:, 0])
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, rows[:, 6])


def test_build_requantizer(tinymind):
    scales, expected = tinymind["build_requantizer_scales"], tinymind["build_requantizer_mult_shift"]
    for row, want in zip(scales, expected, strict=True):
        rq = quantize.build_requantizer(*row, 0, -128, 127)
        assert (rq.multiplier, rq.shift) == tuple(want)


def test_per_channel(tinymind):
    for w, scales, quantized in zip(tinymind["per_channel_weights"], tinymind["per_channel_scales"],
                                    tinymind["per_channel_quantized"], strict=True):
        got = quantize.per_channel_symmetric_scales(w, 127)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, scales)
        np.testing.assert_array_equal(quantize.quantize_buffer(w, got[:, None], 0, -127, 127), quantized)


def test_asymmetric(tinymind):
    for (low, high, scale), zero_point in zip(tinymind["asymmetric_min_max_scale"], tinymind["asymmetric_zero_point"], strict=True):
        assert quantize.affine_params_asymmetric(low, high, -128, 127) == (scale, zero_point)


def test_litert(folder):
    z = np.load(folder / "litert.npz")
    cases = sorted({key[:2] for key in z.files})
    assert len(cases) == 38
    tried = set()
    for case in cases:
        c = {key[3:]: z[key] for key in z.files if key.startswith(f"{case}_")}
        kind, window = str(c["kind"]), {"stride": tuple(c["stride"].tolist()), "padding": str(c["padding"])}
        tried.add(kind)
        if kind == "max_pool2d":
            got = reference.max_pool2d(c["input"], tuple(c["kernel"].tolist()), **window)
        elif kind == "avg_pool2d":
            continue  # windowed average pools are no layer of the ABI yet
        else:
            rq = quantize.build_requantizer(c["input_scale"], c["w_scale"], c["output_scale"], int(c["output_zero_point"]),
                                            int(c["qmin"]), int(c["qmax"]))
            layer = getattr(reference, kind)
            got = layer(c["input"], c["w"], c["b"], int(c["input_zero_point"]), rq, **({} if kind == "dense" else window))
        np.testing.assert_array_equal(np.clip(got, c["qmin"], c["qmax"]), c["output"], err_msg=f"case {case}, {kind}")
    assert tried >= {"conv2d", "depthwise_conv2d", "dense", "max_pool2d"}
