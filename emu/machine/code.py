"""An image's code, decoded: for the probe a table by halfword, for pricing instructions by address. Kept in the cache."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from emu.build import cache
from emu.build.elf import Image
from emu.errors import InputError
from emu.isa.instruction import KIND, RECORD, Instruction
from emu.machine.cpu import Cpu
from emu.probe import Code, layout

_ISA = Path(__file__).parents[1] / "isa"
_FAR = 1 << 16  # bytes without code that are not worth table entries
_NO_ENTRY = (0, 0, 0, -1, -1, 0, 0, 0, 1, 0)


@functools.cache
def _decoder_version() -> str:
    capstone = Path(find_spec("capstone").origin)  # found, not imported: a warm start does without it
    installed = f"{capstone} {capstone.stat().st_mtime_ns}"
    return cache.key([installed, *(path.read_bytes() for path in sorted(_ISA.glob("*.py")))])[:16]


def decoded(image: Image) -> np.ndarray:
    """RECORD rows of all of the image's code ranges, by address; decoded once an image and decoder."""
    path = cache.cache_dir() / "decoded" / f"{image.sha256[:32]}-{_decoder_version()}.npy"
    try:
        records = np.load(path, allow_pickle=False)
        if records.dtype == RECORD:
            return records
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or damaged: made anew
    from emu.isa.decode import decode  # imports capstone, which a warm start does without

    parts = [decode(_bytes_at(image, start, end), start) for start, end in image.code_ranges]
    records = np.concatenate(parts) if parts else np.zeros(0, RECORD)
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    cache.write_atomically(path, buffer.getvalue())
    return records


def _bytes_at(image: Image, start: int, end: int) -> bytes:
    for segment in image.segments:
        if segment.address <= start and end <= segment.address + len(segment.data):
            return segment.data[start - segment.address:end - segment.address]
    raise InputError(f"{image.path}: the code at 0x{start:08x} is not loaded where it runs; code that is copied to RAM is not supported")


class Instructions(Mapping[int, Instruction]):
    """Instructions by address, made of records when they are first asked for."""

    def __init__(self, records: np.ndarray) -> None:
        self._records = records
        self._addresses = records["address"]
        self._made: dict[int, Instruction] = {}

    def __getitem__(self, address: int) -> Instruction:
        made = self._made.get(address)
        if made is None:
            at = int(np.searchsorted(self._addresses, address))
            if at == len(self._addresses) or self._addresses[at] != address:
                raise KeyError(hex(address))
            made = self._made[address] = Instruction.from_record(self._records[at].item())
        return made

    def __iter__(self) -> Iterator[int]:
        return iter(self._addresses.tolist())

    def __len__(self) -> int:
        return len(self._records)


def table(records: np.ndarray, kernels: Iterable[int], cpu: Cpu) -> list[Code]:
    """The probe's view of the code on that core, a region for every stretch of it; `kernels` are the addresses where a layer begins."""
    ends = records["address"].astype(np.int64) + records["size"]
    far = np.flatnonzero(records["address"][1:].astype(np.int64) - ends[:-1] > _FAR) + 1
    return [_region(part, kernels, cpu) for part in np.split(records, far) if len(part)]


def _region(records: np.ndarray, kernels: Iterable[int], cpu: Cpu) -> Code:
    start = int(records["address"][0]) & ~3
    end = int(records["address"][-1]) + int(records["size"][-1])
    entries = np.full((end - start + 1) // 2, np.array(_NO_ENTRY, layout.ENTRY))
    at = (records["address"] - start) // 2
    for field in ("flags", "offset", "size", "base", "index", "scale", "access_size", "accesses", "align", "condition"):
        entries[field][at] = records[field]
    refused = (records["flags"] & int(cpu.lacks) != 0) | (records["kind"] == KIND["undefined"])  # nothing runs that cannot be counted
    entries["flags"][at[refused]] |= layout.REFUSED_FLAG
    if not cpu.unaligned:
        entries["align"] = np.maximum(entries["align"], entries["access_size"])
    for address in kernels:
        if start <= address < end:
            entries["flags"][(address - start) // 2] |= layout.ENTRY_FLAG
    return Code(start, entries)
