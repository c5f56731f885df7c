"""Reads an ELF: what to load where, symbols, code ranges, the layout of structs, source lines.

pyelftools reads a file once; what it found is kept in the build cache under the file's SHA-256, so that the next start does
not even import it.
"""

from __future__ import annotations

import json
import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from emu.build.cache import cache_dir, write_atomically
from emu.errors import BuildError, InputError

SCHEMA = 4  # of what is kept
MOST_BYTES = 256 << 20  # of a file


@dataclass(frozen=True)
class Segment:
    """Bytes to load at `address`; start-up code may copy them to `run` (RAM, for initialized data), where they are `memsz` bytes in all.

    flags as in ELF: R 4, W 2, X 1.
    """

    address: int
    data: bytes
    memsz: int
    flags: int
    run: int

    @property
    def copied(self) -> bool:
        """Its bytes do not run where they are loaded."""
        return bool(self.data) and self.run != self.address


@dataclass(frozen=True)
class Symbol:
    """address has the Thumb bit cleared; kind is "func", "object" or "notype"; section is a name, or "ABS". weak: another definition of
    the name would have taken its place."""

    name: str
    address: int
    size: int
    kind: str
    section: str
    weak: bool = False

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class Section:
    """Where a section lies when the program runs; flags as in ELF: W 1, ALLOC 2, X 4."""

    name: str
    address: int
    size: int
    flags: int


@dataclass(frozen=True)
class Field:
    """Where a struct's member stands: offset and size in bytes; code is "i4", "u1", "f4", ..., "ptr", or "?" for what is no scalar."""

    offset: int
    code: str
    size: int


@dataclass(frozen=True)
class Image:
    """A linked Arm executable. All addresses are the target's, all sizes bytes.

    functions: one symbol an address, sorted, each ending where it says or, unsized, where the next begins.
    objects: data with a size, one symbol an address, sorted; names that several share carry their address.
    code_ranges: (start, end), where it runs, of what the mapping symbols call Thumb code, sorted; between them lie literals and tables.
    sections: what is in memory when the program runs, by name (of several of one name the first). thumb_entry: the entry has its Thumb bit.
    architecture, profile: what the build attributes say it was built for ("v7E-M", "M"), "" where they do not.
    ram_bytes: what data, zeroed and uninitialized variables and the stack take; stack_reserve: the stack's part of it.
    """

    path: Path
    sha256: str
    entry: int
    segments: tuple[Segment, ...]
    symbols: dict[str, Symbol]
    functions: tuple[Symbol, ...]
    objects: tuple[Symbol, ...]
    code_ranges: tuple[tuple[int, int], ...]
    flash_bytes: int
    ram_bytes: int
    stack_reserve: int
    sections: dict[str, Section]
    thumb_entry: bool
    architecture: str
    profile: str

    @staticmethod
    def load(path: Path | str) -> Image:
        """Raises InputError, in one line, for what cannot be read or is not a whole, linked, little-endian Arm ELF."""
        path = Path(path)
        data = _contents(path)
        digest = sha256(data).hexdigest()

        def read() -> dict[str, Any]:
            from emu.build.elf_reader import read_image

            return read_image(path, data)

        return _image(path, digest, data, _kept(digest, "image", read))

    @cached_property
    def structs(self) -> dict[str, dict[str, Field]]:
        """Every named or typedef'd struct in the debug information: its fields in order. Empty without debug information."""

        def read() -> dict[str, Any]:
            from emu.build.dwarf import read_structs

            return read_structs(self.path)

        kept = _kept(self.sha256, "structs", read)
        return {name: {field: Field(*where) for field, where in fields.items()} for name, fields in kept.items()}

    def code_at(self, start: int, end: int) -> bytes:
        """The bytes that run at start .. end, taken from where the file has them. InputError when it does not hold them all."""
        index = bisect_right(self._by_place, start, key=lambda s: s.run) - 1
        segment = self._by_place[index] if index >= 0 else None
        if segment and end <= segment.run + len(segment.data):
            return segment.data[start - segment.run:end - segment.run]
        raise InputError(f"{self.path}: the code at 0x{start:08x} is in no segment of the file")

    def function_at(self, address: int) -> Symbol | None:
        """The function that `address` lies in, or None."""
        index = bisect_right(self._starts, address & ~1) - 1
        if index < 0 or address >= self.functions[index].end:
            return None
        return self.functions[index]

    def source_line(self, address: int) -> str | None:
        """"file:line" of the instruction at `address`, relative to the repository where it stands in it; None when unknown."""
        return self.source_lines([address])[0]

    def source_lines(self, addresses: Iterable[int]) -> list[str | None]:
        """`source_line` of many."""
        starts, lines = self.line_table
        places = [bisect_right(starts, address & ~1) - 1 for address in addresses]
        return [lines[place] if place >= 0 else None for place in places]

    @cached_property
    def _by_place(self) -> list[Segment]:
        return sorted((s for s in self.segments if s.data), key=lambda s: s.run)

    @cached_property
    def _starts(self) -> list[int]:
        return [f.address for f in self.functions]

    @cached_property
    def line_table(self) -> tuple[list[int], list[str | None]]:
        """Addresses, sorted, and the "file:line" from each on (None: no line is known from there on)."""

        def read() -> dict[str, Any]:
            from emu.build.elf_reader import read_lines

            return {"lines": read_lines(_contents(self.path), self.code_ranges)}

        return tuple(_kept(self.sha256, "lines", read)["lines"])


def _contents(path: Path) -> bytes:
    """The file's bytes. InputError for what is no file, or larger than any image."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # a pipe does not wait for its writer
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: no regular file")
            if status.st_size > MOST_BYTES:
                raise InputError(f"{path}: {status.st_size:,} bytes; an image of at most {MOST_BYTES >> 20} MB is wanted")
            return file.read(status.st_size)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _kept(digest: str, what: str, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `read` answers, from the cache when it was asked before."""
    sidecar = cache_dir() / "elf" / f"{digest[:32]}.{what}.json"
    try:
        kept = json.loads(sidecar.read_bytes())
        if kept["schema"] == SCHEMA:
            return kept["value"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    value = read()
    try:
        write_atomically(sidecar, json.dumps({"schema": SCHEMA, "value": value}, separators=(",", ":")).encode())
    except BuildError:
        pass  # a cache that cannot be written only makes the next start slower
    return value


def _image(path: Path, digest: str, data: bytes, kept: dict[str, Any]) -> Image:
    segments = tuple(Segment(address, data[offset:offset + filesz], memsz, flags, run)
                     for address, offset, filesz, memsz, flags, run in kept["segments"])
    symbols = {row[0]: Symbol(*row) for row in kept["symbols"]}
    stack = symbols["__stack_top"].address - symbols["__stack_limit"].address if {"__stack_top", "__stack_limit"} <= symbols.keys() else 0
    functions, objects = (tuple(Symbol(*row) for row in kept[what]) for what in ("functions", "objects"))
    return Image(path, digest, kept["entry"], segments, symbols, functions, objects,
                 tuple((start, end) for start, end in kept["code_ranges"]), sum(len(s.data) for s in segments), kept["ram_bytes"], stack,
                 {row[0]: Section(*row) for row in reversed(kept["sections"])}, kept["thumb_entry"], kept["architecture"], kept["profile"])
