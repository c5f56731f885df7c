from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kwsq import calibrate, float_reference, layers, model, reference
from kwsq import kws as network_of_words
from kwsq.quantize import AffineParams, PercentileObserver

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_seed_makes_the_same_file(tmp_path):
    for name in ("a.npz", "b.npz"):
        command = [sys.executable, "-m", "kwsq.calibrate", "--out", str(tmp_path / name)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "33288 MACs" in done.stdout and "untrained" in done.stdout and "qdense_16x10" in done.stdout
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    made = model.load(tmp_path / "a.npz")
    assert not made["int8"].trained and not made["float32"].trained
    for network in calibrate.untrained_model():
        for got, want in zip(made[network.dtype], network, strict=True):
            np.testing.assert_equal(got.params(), want.params())


def test_activations_and_zero_points_follow_the_layers(kws):
    conv, _, depthwise, pointwise, _, dense = kws["int8"]
    for layer in (conv, pointwise):
        # ReLU: an output is never below what stands for 0
        assert np.all(np.asarray(layer.requantizer.qmin) == layer.requantizer.zero_point)
    assert set(depthwise.requantizer.table()[:, 3].tolist()) == {-128}  # none behind the depthwise layer
    assert conv.input_zero_point == kws["int8"].input_zero_point
    assert depthwise.input_zero_point == conv.requantizer.zero_point
    assert set(depthwise.requantizer.table()[:, 2].tolist()) == {pointwise.input_zero_point}
    assert dense.input_zero_point == pointwise.requantizer.zero_point
    assert dense.requantizer.zero_point == kws["int8"].output_zero_point and dense.requantizer.qmin == -128
    assert [layer.requantizer.per_channel for layer in (conv, depthwise, pointwise, dense)] == [False, True, False, False]
    for layer in (conv, depthwise, pointwise, dense):
        assert layer.weights.min() >= -127 and np.abs(layer.weights).max() == 127


@pytest.mark.parametrize("trained", [True, False])
def test_the_int8_network_follows_the_float_one(kws, trained):
    kws = kws if trained else {network.dtype: network for network in calibrate.untrained_model()}
    inputs = calibrate.shipped_inputs()
    want = float_reference.run(kws["float32"], kws["float32"].input_array(inputs))[-1]
    got = kws["int8"].output_values(reference.run(kws["int8"], inputs)[-1])
    assert np.abs(got - want).max() < 0.05 * (want.max() - want.min())
    assert len(set(want.argmax(axis=1))) > 1 or not trained


def test_limits_of_activations():
    at_output = AffineParams(0.1, -28)
    assert calibrate.activation_limits(-layers.NO_LIMIT, layers.NO_LIMIT, at_output) == (-128, 127)
    assert calibrate.activation_limits(0.0, 6.0, at_output) == (-28, 32)
    assert calibrate.activation_limits(0.0, 100.0, at_output) == (-28, 127)


def test_a_channel_that_vanishes_gets_multiplier_zero():
    """Weights so small that the output's scale takes every accumulator to 0: shift would have to be above 31."""
    weights = np.stack([np.ones((3, 3)), np.full((3, 3), 1e-12)]).astype(np.float32)
    depthwise = layers.DepthwiseConv2D(name="d", input_shape=(3, 3, 2), weights=weights, bias=np.zeros(2, np.float32))
    network = layers.Network(name="n", layers=(depthwise,), input_scale=0.02)
    x = np.random.default_rng(0).integers(-128, 128, (20, 3, 3, 2)).astype(np.int8)
    layer = calibrate.quantize_network(network, x)[0]
    multiplier, shift, zero_point, *_ = layer.requantizer.table().T
    assert multiplier[0] >= 2**30 and 0 < shift[0] <= 31
    assert (multiplier[1], shift[1]) == (0, 0)
    assert set(reference.run_layer(layer, x)[..., 1].ravel().tolist()) == {zero_point[1]}


def test_same_padding_and_strides_survive():
    random = np.random.default_rng(0)
    conv = layers.Conv2D(name="c", input_shape=(9, 8, 2), weights=random.normal(size=(4, 3, 3, 2)).astype(np.float32),
                         bias=random.normal(size=4).astype(np.float32), stride=(2, 1), padding="SAME", act_min=0.0, act_max=6.0)
    pool = layers.MaxPool2D(name="p", input_shape=conv.output_shape, pool=(2, 2), stride=(1, 2), padding="SAME")
    network = layers.Network(name="n", layers=(conv, pool), input_scale=0.02, input_zero_point=7)
    x = random.integers(-128, 128, (20, 9, 8, 2)).astype(np.int8)
    int8 = calibrate.quantize_network(network, x, lambda: PercentileObserver(0, 100))
    assert [layer.name for layer in int8] == ["qc", "qp"] and int8[1].padding == "SAME"
    want = float_reference.run(network, network.input_array(x))[-1]
    assert np.abs(int8.output_values(reference.run(int8, x)[-1]) - want).max() < 0.15


def test_the_topology_refuses_other_weights():
    weights = network_of_words.random_weights(3)
    weights["dense_16x10"] = weights["pwconv2d_8x16"]
    with pytest.raises(ValueError, match="dense_16x10 must have the shape \\(10, 16\\)"):
        network_of_words.float_network(weights, trained=False)


def test_command_line(tmp_path):
    run = CliRunner().invoke
    helped = run(calibrate.main, ["--help"])
    assert helped.exit_code == 0 and "untrained" in helped.output and "Exit status" in helped.output
    assert "kwsq.train" in helped.output
    done = run(calibrate.main, ["--seed", "5", "--percentiles", "1", "99", "--out", str(tmp_path / "m.npz")])
    assert done.exit_code == 0 and model.load(tmp_path / "m.npz")["int8"].macs == 33288
    refused = run(calibrate.main, ["--percentiles", "99", "1", "--out", str(tmp_path / "n.npz")])
    assert refused.exit_code == 1 and "must be ordered" in refused.output and not (tmp_path / "n.npz").exists()
    assert run(calibrate.main, ["--seed", "-1", "--out", str(tmp_path / "n.npz")]).exit_code == 2
    before = model.KWS.read_bytes()
    missing = run(calibrate.main, [])
    assert missing.exit_code == 2 and "'--out'" in missing.output and model.KWS.read_bytes() == before
    assert run(calibrate.main, ["--out", str(tmp_path / "none" / "m.npz")]).exit_code == 1
