"""Calls one kernel from the host: arrays and a parameter struct in, an output and counts out.

The structs' layout comes from the image's own debug information, so it cannot drift from kernels.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from armsrc import abi
from armsrc.kernelset import PLAIN, KernelSet, Packed, scratch_bytes
from emu.build.elf import Image
from emu.errors import InputError
from emu.machine import writes
from emu.machine.code import Marks
from emu.machine.faults import Object
from emu.machine.machine import DEFAULT_LIMIT, Machine
from emu.probe import Counts
from emu.probe.follow import Follower

_POINTED = ("weights", "bias", "requant")
_PAGE = 0x1000


@dataclass(frozen=True)
class KernelCall:
    """What a call left: `output` (H, W, C), the counts (layer 1 is the kernel) and the machine that ran it."""

    kernel: str
    output: np.ndarray
    counts: Counts
    machine: Machine


class _Place:
    """Gives out addresses, one behind the other, with a gap so that no two objects touch."""

    def __init__(self, start: int) -> None:
        self.end = start
        self.objects: list[Object] = []

    def __call__(self, name: str, size: int, offset: int = 0) -> int:
        address = (self.end + 15 & ~15) + offset
        self.end = address + size + 16
        self.objects.append(Object(name, address, size))
        return address


def call(image: Image, kernel: str, params: Mapping[str, Any], x: np.ndarray, *, second: Mapping[str, Any] | None = None,
         kernel_set: KernelSet = PLAIN, core: str = "cortex-m4", offsets: Mapping[str, int] | None = None, limit: int = DEFAULT_LIMIT,
         before: Callable[[Machine], None] | None = None, followers: Sequence[Follower] = ()) -> KernelCall:
    """Run `kernel` of a library image on input `x` (H, W, C) with the struct `params` (armsrc/abi.py says what it holds).

    second: the struct of a fused kernel's second layer. kernel_set: the image's, which packs the tables if it wants to.
    offsets: bytes by which "input", "output" or "weights" are moved off their 16-byte alignment. before: called with the machine
    when everything is in place, to set registers or look around. followers: caches and predictors that follow the run.
    Raises armsrc.abi.AbiError for a struct that the ABI calls illegal, InputError for a wrong input or image, TargetFault, also for a
    store outside output, scratch, stack and the kernel's own variables.
    """
    parts, structs = abi.parts_of(kernel), (params,) if second is None else (params, second)
    _check(image, kernel, structs, x)
    offsets = offsets or {}
    flash, ram = _Place(_end_of(image, "__flash_start")), _Place(_end_of(image, "__ram_start"))
    packed = kernel_set.pack(kernel, *structs)
    arrays, fields = _tables(image, kernel, structs, packed)
    places = {field: flash(field, array.nbytes, offsets.get(field, 0)) for field, array in arrays.items()}
    filled = pack(image, abi.KERNELS[kernel][0] if len(parts) == 1 else abi.FUSED_STRUCT, fields | places)
    struct_at = flash("parameters", len(filled))
    out_shape = abi.output_shape(parts[-1], structs[-1])
    out_bytes = int(np.prod(out_shape)) * x.itemsize
    x_at, y_at = ram("input", x.nbytes, offsets.get("input", 0)), ram("output", out_bytes, offsets.get("output", 0))
    scratch_at = ram("scratch", max(scratch_bytes(kernel_set, kernel, packed, *structs), 4))
    sizes = _pages(flash.end + 4, image, "__flash_start"), _pages(ram.end, image, "__ram_start")

    def run(marks: Marks | None = None) -> Machine:
        machine = Machine(image, core, kernels=[kernel], layers=1, layer_names=[kernel], limit=limit, sizes=sizes,
                          objects=[*flash.objects, *ram.objects], marks=marks, followers=followers)
        for address, data in (*((places[field], array) for field, array in arrays.items()), (struct_at, filled), (x_at, np.ascontiguousarray(x))):
            machine.write(address, bytes(data))
        if before:
            before(machine)
        machine.call(kernel, struct_at, x_at, y_at, scratch_at)
        return machine

    machine = run()
    output, counts = np.frombuffer(machine.read(y_at, out_bytes), x.dtype).reshape(out_shape), machine.counts()
    writes.check(kernel, counts.objects, counts.traffic[1], {"input"},
                 writer=lambda number: writes.by_whom(run(Marks(touches=True)), 1, number))
    return KernelCall(kernel, output, counts, machine)


def _check(image: Image, kernel: str, structs: Sequence[Mapping[str, Any]], x: np.ndarray) -> None:
    """AbiError or InputError for what `call` cannot run."""
    abi.check_call(kernel, structs)
    dtype, shape = abi.dtype(kernel), abi.input_shape(abi.parts_of(kernel)[0], structs[0])
    if x.shape != shape or x.dtype != dtype:
        raise InputError(f"{kernel}: the input is {x.dtype} {x.shape}, but the struct says {dtype} {shape}")
    if kernel not in image.symbols:
        raise InputError(f"{image.path}: no kernel {kernel} in this image")


def _addressed(image: Image, packed: Packed) -> np.ndarray:
    """Its words with the addresses that they ask for."""
    words = packed.words.copy()
    for at, name in packed.addresses.items():
        symbol = image.symbols.get(name)
        if symbol is None:
            raise InputError(f"{image.path}: the set's pack.py wants the address of {name}, which the image has not")
        words[at] = (int(words[at]) + (symbol.address | (symbol.kind == "func"))) & 0xFFFFFFFF  # Thumb; a word may be a negative offset
    return words


def _tables(image: Image, kernel: str, structs: Sequence[Mapping[str, Any]], packed: Packed | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What the struct points to, and its other fields. InputError for a fused kernel that the set packs nothing for, and
    for an address that is not there."""
    if packed:
        return {"packed": _addressed(image, packed)}, {**structs[0], **dict.fromkeys(_POINTED, 0)}
    if len(structs) > 1:
        raise InputError(f"{kernel}: the kernel set packs nothing for these two layers, so it cannot take them in one call")
    return {field: np.ascontiguousarray(structs[0][field]) for field in _POINTED if field in structs[0]}, {**structs[0], "packed": 0}


def pack(image: Image, name: str, values: Mapping[str, Any]) -> bytes:
    """The struct `name` as the image's compiler lays it out; pointers are addresses. InputError names a field that is missing."""
    fields = image.structs.get(name)
    if fields is None:
        raise InputError(f"{image.path}: no debug information of struct {name}; build it with -g")
    raw = bytearray(max(f.offset + f.size for f in fields.values()))
    for field, where in fields.items():
        if field not in values:
            raise InputError(f"struct {name} has a field {field}, which was not given")
        struct.pack_into({"ptr": "<I", "i4": "<i", "f4": "<f"}[where.code], raw, where.offset, values[field])
    return bytes(raw)


def _end_of(image: Image, region: str) -> int:
    """First address behind what the image loads or reserves in the memory that begins at that symbol."""
    start = image.symbols[region].address
    ends = [s.address + s.memsz for s in image.segments if s.address >> 28 == start >> 28]
    return max([start, *ends])


def _pages(end: int, image: Image, region: str) -> int:
    return -(-(end - image.symbols[region].address) // _PAGE) * _PAGE
