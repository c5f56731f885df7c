"""A network as C source: constant tables, parameter structs, buffers, and the layer list that the firmware walks.

The text compiles against armsrc/firmware/network.h. Symbols have external linkage, so the ELF names every tensor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from armsrc import abi
from kwsq.layers import Layer, Network

INPUT, SCRATCH = "network_input", "network_scratch"
_C_TYPES = {"int8": "int8_t", "int32": "int32_t", "float32": "float"}
# array field of a parameter struct -> the tensor's name in the manifest, which is also what DESIGN.md calls it
_TENSORS = {"weights": "weights", "bias": "bias", "requant": "requantization"}
_UNINITIALIZED = 'section(".noinit"), aligned(4)'
_WIDTH = 120


def source(network: Network) -> str:
    """The text of network.c, the same for the same network. ValueError for a name that is no C identifier or a number not finite."""
    check_names(network)
    scratch = max(abi.scratch_bytes(layer.kernel, layer.params()) for layer in network)
    parts = [
        f"/* Network {network.name!r}, {network.dtype}, written by kwsq.export: do not edit. */",
        '#include "network.h"\n',
        "/* Buffers are not cleared at start-up: the host, or a DMA channel, fills the input before reset, and every layer",
        " * writes its whole output. */",
        _buffer(INPUT, network.dtype, network.input_shape) + "\n",
    ]
    for layer in network:
        parts += [_constants(layer), _buffer(f"{layer.name}_output", layer.dtype, layer.output_shape) + "\n"]
    parts += [_buffer(SCRATCH, "int32", (max(1, -(-scratch // 4)),)) + "\n", _layer_list(network)]
    return "\n".join(parts)


def manifest(network: Network) -> dict[str, Any]:
    """What the image will hold, JSON-able: input, and per layer kernel, sizes, output, and the symbol of every tensor."""
    check_names(network)
    inputs = _input_symbols(network)
    return {
        "network": network.name,
        "dtype": network.dtype,
        "input": {"symbol": INPUT, "shape": list(network.input_shape), "dtype": network.dtype},
        "layers": [_manifest_layer(layer, symbol) for layer, symbol in zip(network, inputs, strict=True)],
        "labels": list(network.labels),
    }


def check_names(network: Network) -> None:
    """ValueError for a name that is no C identifier. That kernels handle the layers was checked when they were made."""
    for layer in network:
        if not re.fullmatch(r"[A-Za-z_]\w*", layer.name, re.ASCII) or f"{layer.name}_".startswith("network_"):
            raise ValueError(f"layer name {layer.name!r} cannot be exported: it must be a C identifier, and not begin with network")


def _manifest_layer(layer: Layer, input_symbol: str) -> dict[str, Any]:
    params = layer.params()
    scratch = abi.scratch_bytes(layer.kernel, params)
    tensors = {"input": input_symbol}
    tensors |= {tensor: f"{layer.name}_{field}" for field, tensor in _TENSORS.items() if field in params}
    tensors |= {"parameters": f"{layer.name}_params", "output": f"{layer.name}_output"}
    if scratch:
        tensors["scratch"] = SCRATCH
    return {
        "name": layer.name,
        "kernel": layer.kernel,
        "macs": layer.macs,
        "weight_bytes": layer.weight_bytes,
        "activation_bytes": layer.activation_bytes,
        "scratch_bytes": scratch,
        "output": {"symbol": tensors["output"], "shape": list(layer.output_shape), "dtype": layer.dtype},
        "tensors": tensors,
    }


def _input_symbols(network: Network) -> list[str]:
    return [INPUT, *(f"{layer.name}_output" for layer in network.layers[:-1])]


def _constants(layer: Layer) -> str:
    """The tables of one layer and the struct that points to them."""
    params = layer.params()
    tables = [_table(f"{layer.name}_{field}", np.asarray(value)) for field, value in params.items() if field in _TENSORS]
    return "\n".join([f"/* {layer.name}: {layer.kernel} */", *tables, _struct(layer, params)])


def _struct(layer: Layer, params: Mapping[str, Any]) -> str:
    def value(field: str) -> str:
        return f"{layer.name}_{field}" if field in _TENSORS else _literal(params[field])

    fields = _wrapped([f".{field} = {value(field)}" for field in params])
    return f"const {abi.KERNELS[layer.kernel][0]} {layer.name}_params = {{\n{fields}\n}};"


def _table(symbol: str, array: np.ndarray) -> str:
    """A constant array; the rows of a two-dimensional int32 table are requantizers."""
    if array.dtype == np.int32 and array.ndim == 2:
        items = [f"{{{', '.join(str(int(number)) for number in row)}}}" for row in array]
        declaration = f"const requantizer {symbol}[{len(items)}]"
    else:
        items = [_literal(number) for number in array.ravel()]
        declaration = f"const {_C_TYPES[array.dtype.name]} {symbol}[{len(items)}]"
    return f"{declaration} __attribute__((aligned(4))) = {{\n{_wrapped(items)}\n}};"


def _literal(number: float) -> str:
    """A C constant of exactly this value; floats in hexadecimal, so no decimal conversion rounds them."""
    if not isinstance(number, float | np.floating):
        return str(int(number))
    if not math.isfinite(number):
        raise ValueError(f"{number} cannot be exported: weights, biases and limits must be finite")
    return f"{float(np.float32(number)).hex()}f"


def _wrapped(items: list[str]) -> str:
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line])


def _buffer(symbol: str, dtype: str, shape: tuple[int, ...]) -> str:
    return f"{_C_TYPES[dtype]} {symbol}[{math.prod(shape)}] __attribute__(({_UNINITIALIZED}));"


def _layer_list(network: Network) -> str:
    rows = [f"    {{ {layer.kernel.rpartition('_')[0].upper()}, &{layer.name}_params, {symbol}, {layer.name}_output }},"
            for layer, symbol in zip(network, _input_symbols(network), strict=True)]
    return "\n".join(["const network_layer network_layers[] = {", *rows, "};",
                      f"const int32_t network_layer_count = {len(network)};", ""])
