from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from armsrc import abi
from kwsq import export, layers
from kwsq.quantize import Requantizer

ARMSRC = Path(abi.__file__).parent
GCC = shutil.which("arm-none-eabi-gcc")


def every_kind(dtype):
    """A network of all six kinds with padding, strides and requantizers of both sorts, ending in extreme values."""
    random = np.random.default_rng(7)
    q = dtype == "int8"
    prefix = "Q" if q else ""

    def make(kind, name, shape, weights=None, per_channel=False, **more):
        if weights:
            w = random.integers(-128, 128, weights).astype(dtype)
            b = random.integers(-(2**30), 2**30, weights[0])
            rows = weights[0] if per_channel else 1
            more |= {"weights": w, "bias": b.astype(np.int32 if q else np.float32)}
            table = np.stack([np.full(rows, 2**31 - 1), np.arange(rows), *([np.full(rows, v) for v in (-128, -128, 127)])], axis=1)
            more |= {"input_zero_point": -128, "requantizer": Requantizer.from_table(table, per_channel)} if q else {"act_min": 0.0}
        return getattr(layers, prefix + kind)(name=name, input_shape=shape, **more)

    return layers.Network(name=f"all-{dtype}", layers=(
        make("Conv2D", "conv", (7, 9, 3), (5, 3, 2, 3), True, stride=(2, 1), padding="SAME"),
        make("DepthwiseConv2D", "depthwise", (4, 9, 5), (5, 2, 3)),
        make("MaxPool2D", "pool", (3, 7, 5), pool=(2, 3), stride=(1, 2), padding="SAME"),
        make("PointwiseConv2D", "pointwise", (3, 4, 5), (6, 5), True),
        make("GlobalAvgPool2D", "mean", (3, 4, 6)),
        make("Dense", "dense", (6,), (1, 6), True)))


@pytest.fixture(params=["kws int8", "kws float32", "every kind int8", "every kind float32"])
def network(request, kws):
    name, _, dtype = request.param.rpartition(" ")
    return kws[dtype] if name == "kws" else every_kind(dtype)


def test_manifest(kws):
    manifest = export.manifest(kws["int8"])
    assert manifest == json.loads(json.dumps(manifest))
    assert manifest["input"] == {"symbol": "network_input", "shape": [20, 20, 1], "dtype": "int8"}
    assert manifest["labels"] == list(kws["int8"].labels) and manifest["dtype"] == "int8"
    conv, pool, *_, dense = manifest["layers"]
    assert conv == {
        "name": "qconv2d_3x3_8", "kernel": "conv2d_s8", "macs": 23328, "weight_bytes": 124, "activation_bytes": 2592,
        "scratch_bytes": 4 * 12 + 4 * 8, "output": {"symbol": "qconv2d_3x3_8_output", "shape": [18, 18, 8], "dtype": "int8"},
        "tensors": {"input": "network_input", "weights": "qconv2d_3x3_8_weights", "bias": "qconv2d_3x3_8_bias",
                    "requantization": "qconv2d_3x3_8_requant", "parameters": "qconv2d_3x3_8_params",
                    "output": "qconv2d_3x3_8_output", "scratch": "network_scratch"}}
    assert pool["tensors"] == {"input": "qconv2d_3x3_8_output", "parameters": "qmaxpool2d_2x2_params",
                               "output": "qmaxpool2d_2x2_output"}
    assert dense["tensors"]["input"] == "qglobal_avgpool2d_output" and dense["output"]["shape"] == [10]
    floats = export.manifest(kws["float32"])
    assert floats["dtype"] == "float32" and "requantization" not in floats["layers"][0]["tensors"]


def test_source_is_the_same_every_time(network):
    assert export.source(network) == export.source(network)
    assert max(map(len, export.source(network).splitlines())) <= 120


@pytest.mark.skipif(GCC is None, reason="no arm-none-eabi-gcc on PATH")
def test_it_compiles_and_holds_the_network(network, tmp_path):
    source, target = tmp_path / "network.c", tmp_path / "network.o"
    source.write_text(export.source(network))
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wmissing-field-initializers", "-Werror", "-mcpu=cortex-m4", "-mthumb"]
    includes = ["-I", str(ARMSRC / "include"), "-I", str(ARMSRC / "firmware")]
    done = subprocess.run([GCC, *flags, *includes, "-c", str(source), "-o", str(target)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with target.open("rb") as file:
        elf = ELFFile(file)
        symbols = {symbol.name: symbol for symbol in elf.get_section_by_name(".symtab").iter_symbols()}
        sections = list(elf.iter_sections())
        check_tensors(network, symbols, sections)


def check_tensors(network, symbols, sections):
    def content(symbol):
        entry = symbols[symbol].entry
        assert entry.st_info.bind == "STB_GLOBAL"
        section = sections[entry.st_shndx]
        data = b"" if section.header.sh_type == "SHT_NOBITS" else section.data()[entry.st_value:entry.st_value + entry.st_size]
        return section.name, entry.st_size, data

    name, size, _ = content("network_input")
    assert name == ".noinit" and size == np.prod(network.input_shape) * np.dtype(network.dtype).itemsize
    most = 4
    for layer in network:
        params = layer.params()
        for field in ("weights", "bias", "requant"):
            if field in params:
                name, _, data = content(f"{layer.name}_{field}")
                assert name.startswith(".rodata") and data == np.ascontiguousarray(params[field]).tobytes()
        # pointers are filled in by the linker; all before them is there
        numbers = [value for value in params.values() if not isinstance(value, np.ndarray)]
        packed = b"".join(np.float32(value).tobytes() if isinstance(value, float) else np.int32(value).tobytes() for value in numbers)
        name, size, data = content(f"{layer.name}_params")
        pointers = sum(isinstance(value, np.ndarray) for value in params.values())
        assert data[:len(packed)] == packed and size == len(packed) + 4 * pointers
        name, size, _ = content(f"{layer.name}_output")
        assert name == ".noinit" and size == layer.activation_bytes
        most = max(most, abi.scratch_bytes(layer.kernel, params))
    assert content("network_scratch")[1] == -(-most // 4) * 4
    assert content("network_layer_count")[2] == np.int32(len(network)).tobytes()
    kinds = ["CONV2D", "DEPTHWISE_CONV2D", "POINTWISE_CONV2D", "DENSE", "MAX_POOL2D", "GLOBAL_AVG_POOL2D"]
    rows = np.frombuffer(content("network_layers")[2], np.uint32 if len(content("network_layers")[2]) % 16 == 0 else np.uint8)
    assert [kinds[int(row) & 255] for row in rows.reshape(len(network), -1)[:, 0]] == [
        layer.kernel.rpartition("_")[0].upper() for layer in network]


def test_floats_are_written_exactly():
    values = np.array([0.1, -1e-40, 3.4028235e38, -0.0, 1.0], np.float32)
    literals = [export._literal(value) for value in values]
    assert [np.float32(float.fromhex(text.rstrip("f"))).tobytes() for text in literals] == [value.tobytes() for value in values]
    assert all("p" in text and text.endswith("f") for text in literals)
    with pytest.raises(ValueError, match="must be finite"):
        export._literal(np.float32(np.inf))


def test_what_cannot_be_exported(kws):
    good = kws["int8"][1]
    for name in ("2pool", "a-b", "", "network_x", "ä"):
        renamed = layers.QMaxPool2D(name=name, input_shape=good.input_shape, pool=(2, 2), stride=(2, 2))
        with pytest.raises(ValueError, match="C identifier"):
            export.source(layers.Network(name="n", layers=(renamed,)))
    illegal = layers.QMaxPool2D(name="p", input_shape=(4, 4, 1), pool=(2, 2), stride=(2, 2))
    object.__setattr__(illegal, "input_shape", (4, 4, 1 << 23))
    for function in (export.source, export.manifest):
        with pytest.raises(abi.AbiError, match="2\\^24"):
            function(layers.Network(name="n", layers=(illegal,)))
