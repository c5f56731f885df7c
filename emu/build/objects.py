"""Objects and archives: what they define."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emu.errors import InputError

ARCHIVE, THIN, ELF = b"!<arch>\n", b"!<thin>\n", b"\x7fELF"
_HEAD, _SIZE = 60, slice(48, 58)  # of a member of an archive: bytes, and where its size stands, in decimal
_LTO = "__gnu_lto_slim"
LOCAL, GLOBAL, WEAK = "STB_LOCAL", "STB_GLOBAL", "STB_WEAK"


def contents(path: Path) -> bytes:
    """InputError for what cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def defined(path: Path, name: str) -> list[tuple[str, str]]:
    """Every symbol that an object, or each member of an archive, defines, and what it is to others: LOCAL, GLOBAL or WEAK.

    name: what errors call it. InputError for what is no object for 32-bit Arm.
    """
    found = [pair for member in _members(contents(path), name) for pair in _symbols(member, name)]
    if any(symbol == _LTO for symbol, _ in found):
        raise InputError(f"{name}: compiled with -flto, so there is no code in it; -ffat-lto-objects, or no -flto, is wanted")
    return found


def _members(data: bytes, name: str) -> Iterator[bytes]:
    if data.startswith(THIN):
        raise InputError(f"{name}: a thin archive, whose objects lie elsewhere; ar without --thin makes a whole one")
    if not data.startswith(ARCHIVE):
        yield data
        return
    at = len(ARCHIVE)
    while at + _HEAD <= len(data):
        size = data[at:at + _HEAD][_SIZE].strip()
        if not size.isdigit():
            raise InputError(f"{name}: a damaged archive")
        member = data[at + _HEAD:at + _HEAD + int(size)]
        if member.startswith(ELF):
            yield member
        at += _HEAD + int(size) + int(size) % 2


def _symbols(data: bytes, name: str) -> Iterator[tuple[str, str]]:
    from elftools.elf.elffile import ELFFile

    from emu.build.elf_reader import DAMAGED, build_attributes

    try:
        elf = ELFFile(io.BytesIO(data))
        if elf["e_machine"] != "EM_ARM" or elf["e_type"] != "ET_REL":
            raise InputError(f"{name}: no object file for 32-bit Arm ({elf['e_machine']}, {elf['e_type']})")
        if not elf.little_endian:
            raise InputError(f"{name}: compiled for big-endian Arm; little-endian is wanted")
        if build_attributes(elf).get("TAG_ARM_ISA_USE"):
            raise InputError(f"{name}: compiled for a core with Arm state, which no Cortex-M has; -mcpu=cortex-m4 -mthumb, or another Cortex-M, is wanted")
        table: Any = elf.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if table else ():
            binding = symbol["st_info"]["bind"]
            if binding in (LOCAL, GLOBAL, WEAK) and symbol["st_shndx"] != "SHN_UNDEF":
                yield symbol.name, binding
    except DAMAGED:
        raise InputError(f"{name}: no object file, or a damaged one") from None
