from __future__ import annotations

import numpy as np
import pytest

from armsrc import abi
from kwsq import layers, reference
from kwsq.quantize import Requantizer

NAMES = ["qconv2d_3x3_8", "qmaxpool2d_2x2", "qdwconv2d_3x3", "qpwconv2d_8x16", "qglobal_avgpool2d", "qdense_16x10"]
RQ = Requantizer(2**30, 3, 0, -128, 127)


def test_the_pipeline(kws):
    network = kws["int8"]
    assert [layer.name for layer in network] == NAMES
    assert [layer.name for layer in kws["float32"]] == [name[1:] for name in NAMES]
    assert [layer.kernel for layer in network] == ["conv2d_s8", "max_pool2d_s8", "depthwise_conv2d_s8", "pointwise_conv2d_s8",
                                                   "global_avg_pool2d_s8", "dense_s8"]
    assert [layer.output_shape for layer in network] == [(18, 18, 8), (9, 9, 8), (7, 7, 8), (7, 7, 16), (16,), (10,)]
    assert [layer.macs for layer in network] == [23328, 0, 3528, 6272, 0, 160]
    assert network.macs == kws["float32"].macs == 33288
    assert [layer.weight_bytes for layer in network] == [72 + 32 + 20, 0, 72 + 32 + 160, 128 + 64 + 20, 0, 160 + 40 + 20]
    assert [layer.weight_bytes for layer in kws["float32"]] == [288 + 32, 0, 288 + 32, 512 + 64, 0, 640 + 40]
    assert [layer.activation_bytes for layer in network] == [2592, 648, 392, 784, 16, 10]
    assert [layer.activation_bytes for layer in kws["float32"]] == [4 * n for n in (2592, 648, 392, 784, 16, 10)]
    assert (len(network), network[0].name, network.dtype, network.input_shape) == (6, NAMES[0], "int8", (20, 20, 1))
    assert network.output_shape == (10,) and network.trained and len(network.labels) == 10


def test_params_are_legal_and_go_both_ways(kws):
    for network in kws.values():
        for layer in network:
            params = layer.params()
            abi.check(layer.kernel, params)
            again = layers.from_params(layer.kernel, params, layer.name)
            assert type(again) is type(layer)
            for field, value in again.params().items():
                np.testing.assert_array_equal(value, params[field])


def test_depthwise_weights_are_stored_hwc(kws):
    layer = kws["int8"][2]
    stored = layer.params()["weights"]
    assert stored.shape == (3, 3, 8) and stored.flags.c_contiguous
    np.testing.assert_array_equal(stored[1, 2], layer.weights[:, 1, 2])
    assert layer.params()["requant"].shape == (8, 5) and layer.params()["per_channel"] == 1


def test_a_layer_computes_sizes_and_padding():
    layer = layers.QConv2D(name="a", input_shape=(7, 8, 1), weights=np.ones((2, 4, 3, 1), np.int8), bias=np.zeros(2, np.int32),
                           input_zero_point=-3, requantizer=RQ, stride=(2, 3), padding="SAME")
    params = layer.params()
    assert {key: params[key] for key in ("out_h", "out_w", "pad_top", "pad_left", "stride_h", "stride_w")} == {
        "out_h": 4, "out_w": 3, "pad_top": 1, "pad_left": 0, "stride_h": 2, "stride_w": 3}
    assert layer.macs == 4 * 3 * 2 * 12 and params["per_channel"] == 0
    x = np.random.default_rng(0).integers(-128, 128, (7, 8, 1)).astype(np.int8)
    np.testing.assert_array_equal(reference.run_kernel("conv2d_s8", params, x), reference.run_layer(layer, x))


def test_dense_flattens_an_image():
    w = np.random.default_rng(0).integers(-9, 9, (3, 24)).astype(np.int8)
    layer = layers.QDense(name="d", input_shape=(24,), weights=w, bias=np.zeros(3, np.int32), input_zero_point=0, requantizer=RQ)
    x = np.random.default_rng(1).integers(-128, 128, (5, 2, 4, 3)).astype(np.int8)
    assert reference.run_layer(layer, x).shape == (5, 3)
    np.testing.assert_array_equal(reference.run_layer(layer, x[1]), reference.run_layer(layer, x)[1])
    np.testing.assert_array_equal(reference.run_layer(layer, x[1].ravel()), reference.run_layer(layer, x)[1])


def pool(**changes):
    return layers.QMaxPool2D(**({"name": "p", "input_shape": (4, 4, 1), "pool": (2, 2), "stride": (2, 2)} | changes))


def pointwise(**changes):
    return layers.QPointwiseConv2D(**({"name": "w", "input_shape": (2, 2, 1), "weights": np.ones((1, 1), np.int8),
                                       "bias": np.zeros(1, np.int32), "input_zero_point": 0, "requantizer": RQ} | changes))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: pool(input_shape=(4, 4)), "must be \\(H, W, C\\)"),
    (lambda: pool(pool=(5, 1)), "does not fit"),
    (lambda: pointwise(weights=np.ones(1, np.int8)), "expected 2 axes"),
    (lambda: pointwise(weights=np.ones((1, 2), np.int8)), "weights is int8 \\(1, 2\\)"),
    (lambda: pointwise(bias=np.zeros(1, np.int64)), "bias is int64"),
    (lambda: pointwise(requantizer=Requantizer(1, 0, 0, 0, 0)), "multiplier of channel 0"),
    (lambda: pointwise(bias=np.array([2**31 - 1], np.int32)), "2\\^31"),
    (lambda: layers.Network(name="n", layers=()), "at least one layer"),
    (lambda: layers.Network(name="n", layers=(pool(), pool())), "must differ"),
    (lambda: layers.Network(name="n", layers=(pool(), pool(name="q"))), "takes int8 \\(4, 4, 1\\), but 'p' gives"),
    (lambda: layers.Network(name="n", layers=(pool(),), labels=("a",)), "1 labels do not name the 4 outputs"),
])
def test_illegal_layers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_only_kinds_of_layers_can_be_made():
    with pytest.raises(TypeError, match="abstract"):
        layers.Layer(name="l", input_shape=(1, 1, 1))
