"""Profiles add up, and the check against the reference names the first element of the first layer that differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emu import measure
from emu.build import compile as images
from emu.build import toolchain
from emu.build.elf import Image
from emu.build.program import Program
from emu.check import equivalence
from emu.errors import InputError, TargetFault
from emu.profile import Profile, Row, Traffic
from emu.timing import core
from kwsq import export, float_reference, layers, reference

M4 = core.load("cortex-m4")


def infer(spotter, kernels: str):
    image, program, network, x = spotter(kernels)
    expected = (float_reference if kernels == "float" else reference).run(network, x)
    return measure.infer(image, program, x, M4), expected


@pytest.mark.parametrize("kernels", ["c", "float", "thumb2"])
def test_rows_add_up(spotter, kernels):
    inference, _ = infer(spotter, kernels)
    profile = inference.profile
    rows, totals = [*profile.layers, profile.outside], profile.totals
    for key in (
        "instructions",
        "skipped",
        "cycles",
        "macs",
        "loads",
        "stores",
        "bytes_read",
        "bytes_written",
        "fetch_bytes",
        "weight_bytes",
        "activation_bytes",
    ):
        assert getattr(totals, key) == sum(getattr(row, key) for row in rows), key
    assert totals.macs == 33288
    for row in [*rows, totals]:
        assert row.instructions > row.skipped >= 0
        assert 2 * row.instructions <= row.fetch_bytes <= 4 * row.instructions
        assert row.loads <= row.bytes_read <= 4 * row.loads and row.stores <= row.bytes_written <= 4 * row.stores
    for part in totals.traffic:
        assert totals.traffic[part].bytes == sum(row.traffic[part].bytes for row in rows if part in row.traffic), part
    assert profile.stack_bytes >= max(row.stack_bytes for row in rows)


@pytest.mark.parametrize("kernels", ["c", "float", "thumb2"])
def test_the_whole_run_is_in_the_rows(spotter, kernels):
    """Counts of a machine that knows no layers: the same totals, in one row."""
    from emu.machine import Machine
    from emu.timing import pricing

    image, program, _, x = spotter(kernels)
    profile = infer(spotter, kernels)[0].profile
    machine = Machine(image)
    measure.write_input(machine, program, x)
    machine.reset_and_run()
    counts = machine.counts()
    assert counts.layers == 0 and profile.totals.instructions == counts.instructions()[0] and profile.totals.skipped == counts.skipped()[0]
    assert profile.totals.cycles == pricing.price(counts, machine.instructions, M4)[0]
    assert profile.totals.loads + profile.totals.stores == counts.traffic.sum()


def test_layers_read_and_write_what_they_must(spotter):
    """Every output byte is written, and every weight byte is read, at least once."""
    profile = infer(spotter, "c")[0].profile
    for row in profile.layers:
        assert row.traffic["output"].bytes_written >= row.activation_bytes, row.name
        if row.macs:
            assert row.traffic["weights"].bytes_read > 0 and row.traffic["weights"].writes == 0, row.name


@pytest.mark.parametrize("kernels", ["c", "thumb2"])
def test_bit_exact(spotter, kernels):
    inference, expected = infer(spotter, kernels)
    profile, difference = equivalence.check(inference.profile, inference.outputs, expected)
    assert difference is None
    assert [row.bit_exact for row in profile.layers] == [True] * 6 and profile.totals.bit_exact is True
    assert profile.outside.bit_exact is None and profile.totals.max_abs_error is None


def test_float_is_close(spotter):
    inference, expected = infer(spotter, "float")
    profile, difference = equivalence.check(inference.profile, inference.outputs, expected)
    assert difference is None and profile.totals.bit_exact is None
    assert all(0 <= row.max_abs_error < 1e-3 for row in profile.layers)
    assert profile.totals.max_abs_error == max(row.max_abs_error for row in profile.layers)


def test_the_first_element_of_the_first_layer_is_named(spotter):
    inference, expected = infer(spotter, "c")
    outputs = [np.array(output) for output in inference.outputs]
    outputs[1][0, 1, 2] ^= 1
    outputs[1][3, 0, 0] ^= 1
    outputs[1][0, 1, 5] ^= 1
    outputs[0 + 3][0, 0, 0] ^= 1
    profile, difference = equivalence.check(inference.profile, outputs, expected)
    assert (difference.layer, difference.at, difference.elements, difference.size) == (
        profile.layers[1].name,
        (0, 1, 2),
        3,
        outputs[1].size,
    )
    assert difference.got == outputs[1][0, 1, 2] and difference.expected == inference.outputs[1][0, 1, 2]
    assert str(difference) == (
        f"layer qmaxpool2d_2x2 is not bit-exact: element (0, 1, 2) is {difference.got}, the reference says {difference.expected} "
        f"(3 of {outputs[1].size} elements differ, by 1 at most)"
    )
    assert [(row.wrong_bytes, row.max_difference) for row in profile.layers] == [(0, 0), (3, 1), (0, 0), (1, 1), (0, 0), (0, 0)]
    assert (profile.totals.wrong_bytes, profile.totals.max_difference) == (4, 1)
    assert [row.bit_exact for row in profile.layers] == [True, False, True, False, True, True] and profile.totals.bit_exact is False


def test_not_a_number_is_no_small_error(spotter):
    """A float output that is NaN must not pass as close."""
    inference, expected = infer(spotter, "float")
    outputs = [np.array(output) for output in inference.outputs]
    outputs[2].flat[0] = np.nan
    profile, _ = equivalence.check(inference.profile, outputs, expected)
    assert not profile.layers[2].max_abs_error < 1e30
    assert not profile.totals.max_abs_error < 1e30


def test_fewer_outputs_than_layers_are_refused(spotter):
    inference, expected = infer(spotter, "c")
    with pytest.raises(ValueError, match="zip"):
        equivalence.check(inference.profile, inference.outputs[:-1], expected)


def test_wrong_inputs(spotter):
    image, program, _, x = spotter("c")
    for wrong in (x.astype(np.int16), x[:-1], x.reshape(-1)):
        with pytest.raises(InputError, match="the network's input is int8"):
            measure.infer(image, program, wrong, M4)


def test_layers_out_of_order_are_refused(spotter):
    image, program, _, x = spotter("c")
    layers = list(program.layers)
    layers[1], layers[2] = layers[2], layers[1]
    with pytest.raises(TargetFault, match="should be depthwise_conv2d_s8, but max_pool2d_s8 ran in its place"):
        measure.infer(image, replace(program, layers=tuple(layers)), x, M4)
    with pytest.raises(TargetFault, match="nothing ran in its place"):
        measure.infer(image, replace(program, layers=(*program.layers, program.layers[0])), x, M4)


def test_more_calls_than_layers_are_refused():
    """An image that calls more kernels than the program has layers must not count two layers as one."""
    layer = layers.QMaxPool2D(name="once", input_shape=(4, 4, 1), pool=(1, 1))
    network = layers.Network(name="n", layers=(layer, replace(layer, name="again")))
    path = images.build("c", generated={"network.c": export.source(network)}, float_abi=False, toolchain=toolchain.find())
    program = Program.from_manifest(export.manifest(network))
    x = np.zeros(network.input_shape, np.int8)
    measure.infer(Image.load(path), program, x, M4)
    with pytest.raises(TargetFault, match="layer once ran 2 times"):
        measure.infer(Image.load(path), replace(program, layers=program.layers[:1]), x, M4)


def test_rates_and_sums_of_rows():
    traffic = {"input": Traffic(1, 2, 3, 4), "output": Traffic(10, 20, 30, 40)}
    row = Row("a", "k", 10, 1, 20, 5, traffic, 30, 7, 8, 9, True)
    other = Row("b", "k", 1, 0, 2, 0, {}, 2, 0, 0, 99, False)
    assert (row.loads, row.stores, row.bytes_read, row.bytes_written, row.cycles_per_mac) == (11, 22, 33, 44, 4.0)
    assert other.cycles_per_mac is None and traffic["input"].bytes == 7
    totals = Profile("c", (row,), other, 123).totals
    assert (totals.instructions, totals.cycles, totals.stack_bytes, totals.traffic, totals.bit_exact) == (11, 22, 123, traffic, True)
