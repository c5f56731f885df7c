"""A network as C source: constant tables, parameter structs, buffers, and the function that calls the kernels in their order.

The text compiles against armsrc/firmware/network.h. Symbols have external linkage, so the ELF names every tensor.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from armsrc import abi
from armsrc.kernelset import PLAIN, KernelSet, Packed, scratch_bytes
from kwsq.errors import InputError
from kwsq.layers import Layer, Network

INPUT, SCRATCH = "network_input", "network_scratch"
_C_TYPES = {"int8": "int8_t", "int32": "int32_t", "uint32": "uint32_t", "float32": "float"}
# array field of a parameter struct -> the tensor's name in the manifest, which is also what DESIGN.md calls it
_TENSORS = {"weights": "weights", "bias": "bias", "requant": "requantization"}
_UNINITIALIZED = 'section(".noinit"), aligned(4)'
_WIDTH = 120


@dataclass(frozen=True)
class Call:
    """One kernel call of the program: a layer, or two that a kernel set merges. packed: what the set made of its tables, or None."""

    layers: tuple[Layer, ...]
    kernel: str
    packed: Packed | None
    scratch_bytes: int  # that the kernel is given

    @property
    def name(self) -> str:
        """Of the layers, joined by +."""
        return "+".join(layer.name for layer in self.layers)

    @property
    def symbol(self) -> str:
        """What the call's own tables are called in C."""
        return "_".join(layer.name for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        return self.packed.words.nbytes if self.packed else sum(layer.weight_bytes for layer in self.layers)


@functools.lru_cache(maxsize=1)  # source and manifest ask for the same, one behind the other
def calls(network: Network, kernel_set: KernelSet = PLAIN) -> tuple[Call, ...]:
    """The network as the set runs it: layers that it fuses are one call, what it packs is packed.

    InputError for layers that it fuses and packs nothing for.
    """
    found: list[Call] = []
    left = list(network)
    while left:
        kernel = _fused(kernel_set, left[:2])
        group = tuple(left[:2 if kernel else 1])
        del left[:len(group)]
        name, params = kernel or group[0].kernel, [layer.params() for layer in group]
        packed = kernel_set.pack(name, *params)
        if kernel and packed is None:
            raise InputError(f"the kernel set takes {' and '.join(layer.name for layer in group)} as one {kernel}, but packs nothing for it: "
                             "its pack.py's fuses says yes, its pack None")
        found.append(Call(group, name, packed, scratch_bytes(kernel_set, name, packed, *params)))
    return tuple(found)


def _fused(kernel_set: KernelSet, pair: Sequence[Layer]) -> str | None:
    """The set's kernel for these two layers in one call."""
    kinds = tuple(layer.kernel for layer in pair)
    return next((kernel for kernel, parts in abi.FUSED.items() if parts == kinds
                 and kernel_set.fuses(kernel, *(layer.params() for layer in pair))), None)


def source(network: Network, kernel_set: KernelSet = PLAIN) -> str:
    """The text of network.c, the same for the same network. ValueError for a name that is no C identifier or a number not finite."""
    check_names(network)
    made = calls(network, kernel_set)
    scratch = max(call.scratch_bytes for call in made)
    parts = [
        f"/* Network {network.name!r}, {network.dtype}, written by kwsq.export: do not edit. */",
        '#include "network.h"\n',
        "/* Buffers are not cleared at start-up: the host, or a DMA channel, fills the input before reset, and every layer",
        " * writes its whole output. */",
        _buffer(INPUT, network.dtype, network.input_shape) + "\n",
    ]
    for call in made:
        last = call.layers[-1]
        parts += [_constants(call), _buffer(f"{last.name}_output", last.dtype, last.output_shape) + "\n"]
    parts += [_buffer(SCRATCH, "int32", (max(1, -(-scratch // 4)),)) + "\n", *_unpacked(made), _run(made)]
    return "\n".join(parts)


def manifest(network: Network, kernel_set: KernelSet = PLAIN) -> dict[str, Any]:
    """What the image will hold, JSON-able: input, and per call kernel, sizes, output, the symbol of every tensor, and how many of the
    network's layers it is."""
    check_names(network)
    made = calls(network, kernel_set)
    inputs = _input_symbols(made)
    return {
        "network": network.name,
        "dtype": network.dtype,
        "input": {"symbol": INPUT, "shape": list(network.input_shape), "dtype": network.dtype},
        "layers": [_manifest_call(call, symbol) for call, symbol in zip(made, inputs, strict=True)],
        "labels": list(network.labels),
    }


def check_names(network: Network) -> None:
    """ValueError for a name that is no C identifier. That kernels handle the layers was checked when they were made."""
    for layer in network:
        if not re.fullmatch(r"[A-Za-z_]\w*", layer.name, re.ASCII) or f"{layer.name}_".startswith("network_"):
            raise ValueError(f"layer name {layer.name!r} cannot be exported: it must be a C identifier, and not begin with network")


def _manifest_call(call: Call, input_symbol: str) -> dict[str, Any]:
    last = call.layers[-1]
    tensors = {"input": input_symbol}
    if call.packed:
        tensors["weights"] = f"{call.symbol}_packed"
    else:
        tensors |= {tensor: f"{last.name}_{field}" for field, tensor in _TENSORS.items() if field in last.params()}
    tensors |= {"parameters": f"{call.symbol}_params", "output": f"{last.name}_output"}
    if call.scratch_bytes:
        tensors["scratch"] = SCRATCH
    return {
        "name": call.name,
        "covers": len(call.layers),
        "kernel": call.kernel,
        "macs": sum(layer.macs for layer in call.layers),
        "weight_bytes": call.weight_bytes,
        "activation_bytes": last.activation_bytes,
        "scratch_bytes": call.scratch_bytes,
        "output": {"symbol": tensors["output"], "shape": list(last.output_shape), "dtype": last.dtype},
        "tensors": tensors,
    }


def _input_symbols(made: Sequence[Call]) -> list[str]:
    return [INPUT, *(f"{call.layers[-1].name}_output" for call in made[:-1])]


def _constants(call: Call) -> str:
    """The tables of one call and the struct that points to them."""
    first = call.layers[0]
    if not call.packed:
        fields = first.params()
        tables = [_table(f"{first.name}_{field}", np.asarray(value)) for field, value in fields.items() if field in _TENSORS]
        values = {field: f"{first.name}_{field}" if field in _TENSORS else _literal(value) for field, value in fields.items()}
    else:
        fields = first.params() if len(call.layers) == 1 else {}
        tables = [_packed(f"{call.symbol}_packed", call.packed)]
        values = {field: _literal(value) for field, value in fields.items() if field not in _TENSORS} | {"packed": f"{call.symbol}_packed"}
    struct = abi.KERNELS[call.kernel][0] if len(call.layers) == 1 else abi.FUSED_STRUCT
    lines = _wrapped([f".{field} = {value}" for field, value in values.items()])
    return "\n".join([f"/* {call.name}: {call.kernel} */", *tables, f"const {struct} {call.symbol}_params = {{\n{lines}\n}};"])


def _table(symbol: str, array: np.ndarray) -> str:
    """A constant array; the rows of a two-dimensional int32 table are requantizers."""
    if array.dtype == np.int32 and array.ndim == 2:
        items = [f"{{{', '.join(str(int(number)) for number in row)}}}" for row in array]
        declaration = f"const requantizer {symbol}[{len(items)}]"
    else:
        items = [_literal(number) for number in array.ravel()]
        declaration = f"const {_C_TYPES[array.dtype.name]} {symbol}[{len(items)}]"
    return f"{declaration} __attribute__((aligned(4))) = {{\n{_wrapped(items)}\n}};"


def _packed(symbol: str, packed: Packed) -> str:
    """A packed layer, and what it takes the addresses of: symbols, which need not be C identifiers."""
    named = dict.fromkeys(packed.addresses.values())
    aliases = {name: f"{symbol}_at_{number}" for number, name in enumerate(named)}
    items = [f"(uint32_t)({aliases[packed.addresses[at]]} + {int(number)})" if at in packed.addresses else _literal(number)
             for at, number in enumerate(packed.words)]
    declared = [f'extern const char {alias}[] __asm__("{name}");' for name, alias in aliases.items()]
    return "\n".join([*declared, f"const uint32_t {symbol}[{len(items)}] = {{\n{_wrapped(items)}\n}};"])


def _unpacked(made: Sequence[Call]) -> list[str]:
    """In the place of code for layers that are not packed (armsrc/kernelset.py), where all of a kernel are: a set's own is weak."""
    packed = {kernel: all(call.packed for call in made if call.kernel == kernel) for kernel in dict.fromkeys(call.kernel for call in made)}
    return [f'void network_no_{kernel}(void) __asm__("{kernel}.unpacked");\nvoid network_no_{kernel}(void)\n{{\n    __builtin_trap();\n}}\n'
            for kernel, every in packed.items() if every]


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


def _run(made: Sequence[Call]) -> str:
    """The function that the firmware calls: every kernel in its turn."""
    rows = [f"    {call.kernel}(&{call.symbol}_params, {symbol}, {call.layers[-1].name}_output, {SCRATCH});"
            for call, symbol in zip(made, _input_symbols(made), strict=True)]
    return "\n".join(["void network_run(void)", "{", *rows, "}", ""])
