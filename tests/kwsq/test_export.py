from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from armsrc import abi, kernelset
from armsrc.kernelset import KernelSet, Packed
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
        "name": "qconv2d_3x3_8", "covers": 1, "kernel": "conv2d_s8", "macs": 23328, "weight_bytes": 124, "activation_bytes": 2592,
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
        assert data[:len(packed)] == packed and size == len(packed) + 4 * pointers + 4 * ("requant" in params)  # and packed, which is 0
        name, size, _ = content(f"{layer.name}_output")
        assert name == ".noinit" and size == layer.activation_bytes
        most = max(most, abi.scratch_bytes(layer.kernel, params))
    assert content("network_scratch")[1] == -(-most // 4) * 4


def test_kernels_are_called_in_their_order(network):
    body = export.source(network).split("void network_run(void)\n{\n")[1].split("}")[0]
    inputs = ["network_input", *(f"{layer.name}_output" for layer in network.layers[:-1])]
    assert body.splitlines() == [f"    {layer.kernel}(&{layer.name}_params, {x}, {layer.name}_output, network_scratch);"
                                 for layer, x in zip(network, inputs, strict=True)]


def numbers(source, symbol):
    """The elements of a float table in the exported text."""
    table = source.split(f"const float {symbol}[")[1].split("{\n")[1].split("\n}")[0]
    literals = [text.strip() for text in table.split(",") if text.strip()]
    assert all("p" in text and text.endswith("f") for text in literals)
    return np.array([float.fromhex(text.rstrip("f")) for text in literals], np.float32)


def float_dense(weights, **more):
    layer = layers.Dense(name="d", input_shape=(len(weights),), weights=np.array([weights], np.float32), bias=np.zeros(1, np.float32), **more)
    return layers.Network(name="n", layers=(layer,))


def test_floats_are_written_exactly():
    network = float_dense([0.1, -1e-40, 3.4028235e38, -0.0, 1.0])
    assert numbers(export.source(network), "d_weights").tobytes() == network[0].weights.tobytes()


@pytest.mark.parametrize("network", [lambda: float_dense([1.0, np.inf]), lambda: float_dense([np.nan]), lambda: float_dense([1.0], act_max=np.inf)])
def test_only_finite_floats_are_exported(network):
    with pytest.raises(ValueError, match="must be finite"):
        export.source(network())


def test_names_that_c_does_not_have():
    for name in ("2pool", "a-b", "", "network_x", "ä"):
        renamed = layers.QMaxPool2D(name=name, input_shape=(4, 4, 1), pool=(2, 2), stride=(2, 2))
        for function in (export.source, export.manifest):
            with pytest.raises(ValueError, match="C identifier"):
                function(layers.Network(name="n", layers=(renamed,)))


def test_nothing_illegal_is_exported(network):
    """Export takes layers, which can be neither made illegal (test_layers) nor changed, nor can the tables that it writes."""
    for layer in network:
        with pytest.raises(FrozenInstanceError):
            layer.input_shape = (1, 1, 1 << 25)
        arrays = {name: value for name, value in vars(layer).items() if isinstance(value, np.ndarray)}
        for array in (*arrays.values(), *(value for value in layer.params().values() if isinstance(value, np.ndarray))):
            with pytest.raises(ValueError, match="read-only"):
                array.flat[0] = 1
        before = export.source(network)
        layer.params()["in_h"] = 1 << 25
        assert export.source(network) == before
        abi.check(layer.kernel, layer.params())


def test_a_layer_does_not_change_with_the_array_that_it_was_made_from():
    bias = np.zeros(1, np.int32)
    layer = layers.QDense(name="d", input_shape=(2,), weights=np.ones((1, 2), np.int8), bias=bias, input_zero_point=0,
                          requantizer=Requantizer(2**30, 1, 0, -128, 127))
    bias[0] = 2**31 - 1  # no legal layer has this
    assert layer.bias[0] == 0 and "2147483647" not in export.source(layers.Network(name="n", layers=(layer,)))


FIVE_WORDS = np.arange(5, dtype=np.uint32)


def packing(*kernels, words=FIVE_WORDS, scratch=4000, addresses=None):
    """A set that packs these kernels, and fuses those of them that can be."""
    return KernelSet(lambda kernel, *params: Packed(words, scratch, addresses or {}) if kernel in kernels else None,
                     lambda kernel, first, second: kernel in kernels)


@pytest.mark.skipif(GCC is None, reason="no arm-none-eabi-gcc on PATH")
def test_a_packed_layer_has_what_the_set_made_of_it_and_no_tables(kws, tmp_path):
    made = packing("dense_s8", "conv2d_max_pool2d_s8")
    rows = export.manifest(kws["int8"], made)["layers"]
    assert [row["covers"] for row in rows] == [2, 1, 1, 1, 1]
    first, dense = rows[0], rows[-1]
    assert (first["name"], first["kernel"], first["macs"]) == ("qconv2d_3x3_8+qmaxpool2d_2x2", "conv2d_max_pool2d_s8", 23328)
    assert first["output"] == {"symbol": "qmaxpool2d_2x2_output", "shape": [9, 9, 8], "dtype": "int8"}
    assert first["activation_bytes"] == 648 and first["weight_bytes"] == dense["weight_bytes"] == 20 and first["scratch_bytes"] == 4000
    assert dense["tensors"]["weights"] == "qdense_16x10_packed" and not {"bias", "requantization"} & dense["tensors"].keys()
    text = export.source(kws["int8"], made)
    for gone in ("qconv2d_3x3_8_output", "qconv2d_3x3_8_weights", "qdense_16x10_weights", "qdense_16x10_requant"):
        assert gone not in text
    assert "conv2d_max_pool2d_s8(&qconv2d_3x3_8_qmaxpool2d_2x2_params, network_input, qmaxpool2d_2x2_output, network_scratch);" in text
    (tmp_path / "network.c").write_text(text)
    done = subprocess.run([GCC, "-Wall", "-Wextra", "-Werror", "-mcpu=cortex-m4", "-mthumb", f"-I{ARMSRC}/include", f"-I{ARMSRC}/firmware", "-c",
                           str(tmp_path / "network.c"), "-o", str(tmp_path / "network.o")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_words_that_are_addresses(kws):
    text = export.source(kws["int8"], packing("dense_s8", "pointwise_conv2d_s8", addresses={1: "dense_s8.few", 4: "dense_s8.few", 2: "line"}))
    assert 'extern const char qdense_16x10_packed_at_0[] __asm__("dense_s8.few");' in text
    assert ("const uint32_t qdense_16x10_packed[5] = { 0, (uint32_t)(qdense_16x10_packed_at_0 + 1), (uint32_t)(qdense_16x10_packed_at_1 + 2), 3, "
            "(uint32_t)(qdense_16x10_packed_at_0 + 4), };") in " ".join(text.split())


def test_only_kernels_all_of_whose_layers_are_packed_do_without_code_for_others(kws):
    layer = kws["int8"].layers[-1]
    second = layers.QDense(**{field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)} | {"name": "second", "input_shape": (10,),
                           "weights": layer.weights[:, :10]})
    network = layers.Network(name="two", layers=(*kws["int8"].layers, second))
    first_only = KernelSet(lambda kernel, *params: Packed(FIVE_WORDS) if kernel != "dense_s8" or params[0]["in_c"] == 16 else None)
    text = export.source(network, first_only)
    assert '__asm__("conv2d_s8.unpacked")' in text and '__asm__("dense_s8.unpacked")' not in text
    assert '__asm__("dense_s8.unpacked")' in export.source(kws["int8"], first_only)


def test_layers_that_a_set_merges_must_be_packed(kws):
    merges = KernelSet(fuses=lambda kernel, first, second: True)
    with pytest.raises(ValueError, match="qconv2d_3x3_8 and qmaxpool2d_2x2 as one conv2d_max_pool2d_s8, but packs nothing"):
        export.source(kws["int8"], merges)


def test_a_set_says_in_pack_py_what_it_packs(tmp_path):
    assert kernelset.load(tmp_path) == kernelset.PLAIN
    (tmp_path / "pack.py").write_text("from armsrc.kernelset import Packed\nimport numpy as np\n"
                                      "def pack(kernel, *params): return Packed(np.zeros(3, np.uint32), 8) if kernel == 'dense_s8' else None\n")
    loaded = kernelset.load(tmp_path)
    dense = {"in_c": 4, "out_c": 1}
    assert loaded.pack("dense_s8", dense).words.nbytes == 12 and loaded.pack("conv2d_s8", dense) is None
    assert not loaded.fuses("conv2d_max_pool2d_s8", dense, dense)
    assert kernelset.scratch_bytes(loaded, "dense_s8", loaded.pack("dense_s8", dense), dense) == 20  # 4 * 4 + 4 * 1 are promised
    (tmp_path / "pack.py").write_text("pack = 1 / 0\n")
    with pytest.raises(ValueError, match=r"pack\.py:1: ZeroDivisionError: division by zero"):
        kernelset.load(tmp_path)


def test_pack_py_imports_what_lies_beside_it(tmp_path):
    def write(root, size):
        for name, text in {"mine/packing/tables.py": f"import numpy as np\nWORDS = np.zeros({size}, np.uint32)\n",
                           "mine/pack.py": "from armsrc.kernelset import Packed\nfrom .packing.tables import WORDS\n"
                                           "def pack(kernel, *params): return Packed(WORDS)\n",
                           "other/pack.py": "from ..mine.pack import pack\n"}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    trees = tmp_path / "new", tmp_path / "old"
    for size, tree in enumerate(trees, 3):
        write(tree, size)
    loaded = {(tree.name, name): kernelset.load(tree / name) for tree in trees for name in ("mine", "other")}
    assert {key: len(found.pack("dense_s8").words) for key, found in loaded.items()} == {
        ("new", "mine"): 3, ("new", "other"): 3, ("old", "mine"): 4, ("old", "other"): 4}
    write(trees[0], 10)
    assert len(kernelset.load(trees[0] / "other").pack("dense_s8").words) == 10
