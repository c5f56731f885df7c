"""An image's code, decoded: for the probe a table by halfword, for pricing instructions by address. Kept in the cache."""

from __future__ import annotations

import functools
import io
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from emu.build import cache
from emu.build.elf import Image, Symbol
from emu.errors import InputError
from emu.isa.cpu import Cpu
from emu.isa.instruction import KIND, RECORD, Flag, Instruction
from emu.probe import Code, layout

MOST_CODE = 4 << 20  # bytes
_MOST_KEPT = 256 << 10  # bytes of an image that is kept for other machines
_ISA = Path(__file__).parents[1] / "isa"
_FAR = 1 << 16  # bytes without code that are not worth table entries
_PC, _LR, _SP = 15, 14, 13
_DIRECT = ("branch", "branch_link", "compare_branch")
_MOST_FUNCTIONS = 0xFFFF
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
    size = sum(end - start for start, end in image.code_ranges)
    if size > MOST_CODE:
        raise InputError(f"{image.path}: {size:,} bytes of code; an image of at most {MOST_CODE >> 20} MB is wanted")
    from emu.isa.decode import decode  # imports capstone, which a warm start does without

    parts = [decode(image.code_at(start, end), start) for start, end in image.code_ranges]
    records = np.concatenate(parts) if parts else np.zeros(0, RECORD)
    buffer = io.BytesIO()
    np.save(buffer, records, allow_pickle=False)
    cache.write_atomically(path, buffer.getvalue())
    return records


class Instructions(Mapping[int, Instruction]):
    """Instructions by address, made of records when they are first asked for."""

    def __init__(self, records: np.ndarray) -> None:
        self._records = records
        self._addresses: list[int] = records["address"].tolist()
        self._made: dict[int, Instruction] = {}

    def __getitem__(self, address: int) -> Instruction:
        made = self._made.get(address)
        if made is None:
            at = bisect_left(self._addresses, address)
            if at == len(self._addresses) or self._addresses[at] != address:
                raise KeyError(hex(address))
            made = self._made[address] = Instruction.from_record(self._records[at].item())
        return made

    def __iter__(self) -> Iterator[int]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._records)


@dataclass(frozen=True)
class Marks:
    """What the probe is to notice in the code, by address. kernels: where a layer begins; begin, end: where a region does (empty: none);
    functions: whose calls to follow, numbered from 1 in their order (empty: calls are not followed); parts: more code of a function, which
    the compiler put elsewhere, with the function's number. touches: count by instruction which data its accesses touch."""

    kernels: Sequence[int] = ()
    begin: Sequence[int] = ()
    end: Sequence[int] = ()
    functions: Sequence[Symbol] = ()
    parts: Sequence[tuple[Symbol, int]] = ()
    touches: bool = False


class Text:
    """An image's code as its machines need it: `records` as `decoded` has them, `instructions` of them."""

    def __init__(self, records: np.ndarray) -> None:
        self.records, self.instructions = records, Instructions(records)
        self._regions: dict[str, list[tuple[int, int, np.ndarray]]] = {}
        self._tables: dict[tuple[str, tuple[int, ...]], list[Code]] = {}

    def table(self, marks: Marks, cpu: Cpu) -> list[Code]:
        """The probe's view of the code on that core, a region for every stretch of it; nobody writes to it."""
        kernels = tuple(marks.kernels)
        if marks != Marks(kernels=marks.kernels):
            return self._made(marks, cpu)
        if (cpu.name, kernels) not in self._tables:
            self._tables[cpu.name, kernels] = self._made(marks, cpu)
        return self._tables[cpu.name, kernels]

    def _made(self, marks: Marks, cpu: Cpu) -> list[Code]:
        if cpu.name not in self._regions:
            ends = self.records["address"].astype(np.int64) + self.records["size"]
            far = np.flatnonzero(self.records["address"][1:].astype(np.int64) - ends[:-1] > _FAR) + 1
            self._regions[cpu.name] = [_region(part, cpu) for part in np.split(self.records, far) if len(part)]
        return [_marked(*region, marks) for region in self._regions[cpu.name]]


@dataclass(frozen=True)
class _Key:
    """An image by its content."""

    sha256: str
    image: Image = field(compare=False)


def text(image: Image) -> Text:
    """The image's, the same for all machines that run it: what pricing finds of an instruction, it finds once. InputError for too much code."""
    large = sum(end - start for start, end in image.code_ranges) > _MOST_KEPT
    return Text(decoded(image)) if large else _text(_Key(image.sha256, image))


@functools.lru_cache(maxsize=8)
def _text(key: _Key) -> Text:
    return Text(decoded(key.image))


def _region(records: np.ndarray, cpu: Cpu) -> tuple[int, int, np.ndarray]:
    """(address, end, layout.ENTRY, one a halfword) of a stretch, nothing marked."""
    start = int(records["address"][0]) & ~3
    end = int(records["address"][-1]) + int(records["size"][-1])
    entries = np.full((end - start + 1) // 2, np.array(_NO_ENTRY, layout.ENTRY))
    at = (records["address"] - start) // 2
    for name in ("flags", "offset", "size", "base", "index", "scale", "access_size", "accesses", "align", "condition"):
        entries[name][at] = records[name]
    refused = (records["flags"] & int(cpu.lacks) != 0) | (records["kind"] == KIND["undefined"])  # nothing runs that cannot be counted
    entries["flags"][at[refused]] |= layout.REFUSED_FLAG
    if not cpu.unaligned:
        entries["align"] = np.maximum(entries["align"], entries["access_size"])
    entries["flags"][at] |= _branches(records)
    return start, end, entries


def _marked(start: int, end: int, entries: np.ndarray, marks: Marks) -> Code:
    """The stretch with its marks; `entries` stay as they are."""
    entries = entries.copy()
    for addresses, flag in ((marks.kernels, layout.ENTRY_FLAG), (marks.begin, layout.FROM_FLAG), (marks.end, layout.TO_FLAG),
                            ([f.address for f in marks.functions], layout.BEGINS_FLAG)):
        for address in addresses:
            if start <= address < end:
                entries["flags"][(address - start) // 2] |= flag
    return Code(start, entries, _functions(marks, start, end) if marks.functions else None)


def _branches(records: np.ndarray) -> np.ndarray:
    """uint32, one a record: what following calls and predicting branches ask of it."""
    kind, writes = records["kind"], records["writes"]
    loads_pc, register = records["flags"] & int(Flag.LOADS_PC) != 0, kind == KIND["branch_register"]
    links = (kind == KIND["branch_link"]) | (register & (writes >> np.uint64(_LR) & np.uint64(1) != 0))
    returns = (register & ~links & (records["reads"] >> np.uint64(_LR) & np.uint64(1) != 0)) | (loads_pc & (records["base"] == _SP))
    writes_pc = (writes >> np.uint64(_PC) & np.uint64(1) != 0) & ~np.isin(kind, [KIND[name] for name in _DIRECT])
    indirect = register | loads_pc | (kind == KIND["table_branch"]) | writes_pc
    sets_sp = (writes >> np.uint64(_SP) & ~(records["reads"] >> np.uint64(_SP)) & np.uint64(1) != 0) | _chooses_stack(records)
    return sum(which * np.uint32(flag) for which, flag in ((links, layout.LINKS_FLAG), (indirect, layout.INDIRECT_FLAG), (returns, layout.RETURNS_FLAG),
                                                           (sets_sp, layout.SETS_SP_FLAG))).astype(np.uint32)


def _chooses_stack(records: np.ndarray) -> np.ndarray:
    """bool, one a record: MSR of CONTROL or of a stack pointer."""
    found = np.zeros(len(records), bool)
    for at in np.flatnonzero(records["kind"] == KIND["system"]):
        text = bytes(records["text"][at])
        found[at] = text.startswith(b"msr") and any(name in text for name in (b"control", b"msp", b"psp"))
    return found


def _functions(marks: Marks, start: int, end: int) -> np.ndarray:
    """uint16, one a halfword: the number of the function that lies there; where functions overlap, the one that begins last."""
    numbers = np.zeros((end - start + 1) // 2, np.uint16)
    functions = [(function, number) for number, function in enumerate(marks.functions[:_MOST_FUNCTIONS], 1)]
    for function, number in sorted([*functions, *marks.parts], key=lambda pair: pair[0].address):
        first, last = max(function.address - start, 0), min(function.end, end) - start
        if first < last:
            numbers[first // 2:(last + 1) // 2] = number
    return numbers
