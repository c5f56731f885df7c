"""Takes an ELF apart with pyelftools into plain lists, which elf.py keeps as JSON."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from emu.build import lines
from emu.errors import InputError

KINDS = {2: "func", 1: "object", 0: "notype"}  # STT_*
LOCAL, GLOBAL, WEAK = 0, 1, 2  # STB_*
PREFERENCE = {GLOBAL: 0, WEAK: 1, LOCAL: 2}
UNDEFINED, RESERVED = 0, 0xFF00  # SHN_*
SYMBOL = struct.Struct("<IIIBBH")  # name, value, size, info, other, section
LINE_SECTIONS = {prefix + name: name for name in ("line", "line_str", "str") for prefix in (".debug_", ".zdebug_")}
SHF_ALLOC, SHF_EXECINSTR = 2, 4
# More than any firmware has; a hostile file costs no more.
MOST_SEGMENTS, MOST_SYMBOLS, MOST_NAME, MOST_NAMES, MOST_ATTRIBUTES = 4096, 1 << 18, 4096, 64 << 20, 1 << 16
EXECUTABLE, WRITABLE = 1, 2
# What pyelftools raises on garbage.
DAMAGED = (ELFError, ValueError, LookupError, TypeError, AttributeError, EOFError, ArithmeticError, AssertionError, RecursionError, MemoryError)
# Tag_CPU_arch and Tag_CPU_arch_profile (Addenda to the ABI for the Arm Architecture, 3.3.5.2).
ARCHITECTURES = ("", "v4", "v4T", "v5T", "v5TE", "v5TEJ", "v6", "v6KZ", "v6T2", "v6K", "v7", "v6-M", "v6S-M", "v7E-M", "v8-A", "v8-R",
                 "v8-M.base", "v8-M.main", "v8.1-A", "v8.2-A", "v8.3-A", "v8.1-M.main", "v9-A")


def read_image(path: Path, data: bytes) -> dict[str, Any]:
    """Everything but debug information of the ELF `data`; `path` only names it in errors (InputError)."""
    if not data.startswith(b"\x7fELF"):
        raise InputError(f"{path}: not an ELF file")
    try:
        elf = ELFFile(io.BytesIO(data))
        _check_kind(path, elf)
        segments = _segments(path, elf, len(data))
        sections = list(elf.iter_sections())
        symbols, mapping = _symbols(path, data, sections)
        architecture, profile = _attributes(elf)
        # A section without bytes in the file (SHT_NOBITS) has no code, whatever it says.
        loaded = [(i, shown(s.name), s["sh_addr"], s["sh_size"], s["sh_flags"]) for i, s in enumerate(sections)
                  if s["sh_flags"] & SHF_ALLOC and s["sh_size"] and s["sh_type"] != "SHT_NOBITS"]
    except InputError:
        raise
    except DAMAGED:
        raise InputError(f"{path}: a truncated or damaged ELF file") from None
    executable = [(i, start, start + size) for i, _, start, size, flags in loaded if flags & SHF_EXECINSTR or _holds_code(mapping.get(i, ()))]
    if not sections:  # stripped of its section headers
        executable = [(-1, run, run + filesz) for _, _, filesz, _, flags, run in segments if flags & EXECUTABLE and filesz]
    return {
        "entry": elf["e_entry"] & ~1,
        "thumb_entry": bool(elf["e_entry"] & 1),
        "architecture": architecture,
        "profile": profile,
        "sections": [row[1:] for row in loaded],
        "segments": segments,
        "symbols": [row for _, row in sorted(_best(symbols, lambda row: row[0]).items())],
        "functions": _functions(symbols, executable),
        "objects": _objects(symbols),
        "code_ranges": _code_ranges(mapping, executable),
        "ram_bytes": sum(memsz for _, _, _, memsz, flags, _ in segments if flags & WRITABLE),
    }


def read_lines(data: bytes, code_ranges: Sequence[tuple[int, int]]) -> tuple[list[int], list[str | None]]:
    """Addresses, sorted, and the "file:line" from each on; none where debug information is damaged, since lines only adorn what is said."""
    try:
        found = {LINE_SECTIONS[s.name]: lines.plain(data[s["sh_offset"]:s["sh_offset"] + s["sh_size"]], s["sh_flags"])
                 for s in ELFFile(io.BytesIO(data)).iter_sections() if s.name in LINE_SECTIONS}
        starts, texts = lines.read(found, code_ranges) if "line" in found else ([], [])
    except DAMAGED:
        return [], []
    return starts, [shown(text) if text else None for text in texts]


def _check_kind(path: Path, elf: ELFFile) -> None:
    if elf.elfclass != 32:
        raise InputError(f"{path}: a 64-bit ELF file for {elf.get_machine_arch()}, not for 32-bit Arm")
    if elf["e_machine"] != "EM_ARM":
        raise InputError(f"{path}: an ELF file for {elf.get_machine_arch()}, not for 32-bit Arm")
    if not elf.little_endian:
        raise InputError(f"{path}: a big-endian Arm ELF file; Cortex-M images are little-endian")
    if elf["e_type"] != "ET_EXEC":
        raise InputError(f"{path}: not linked ({elf['e_type']}); an executable is wanted")


def _attributes(elf: ELFFile) -> tuple[str, str]:
    """Architecture and profile ("A", "R", "M", "S": either of the first two) of the build attributes; "" each where there are none."""
    tags = build_attributes(elf)
    number, profile = tags.get("TAG_CPU_ARCH", 0), tags.get("TAG_CPU_ARCH_PROFILE", 0)
    known = isinstance(number, int) and 0 <= number < len(ARCHITECTURES)
    return ARCHITECTURES[number] if known else "", chr(profile) if isinstance(profile, int) and 0x41 <= profile <= 0x5A else ""


def build_attributes(elf: ELFFile) -> dict[str, object]:
    """What the compiler wrote down about its options, by the tags' names; nothing where it did not, or where that cannot be read."""
    section = elf.get_section_by_name(".ARM.attributes")
    if section is None or section["sh_size"] > MOST_ATTRIBUTES:
        return {}
    try:
        return {attribute.tag: attribute.value for part in section.iter_subsections() for scope in part.iter_subsubsections()
                for attribute in scope.iter_attributes()}
    except DAMAGED:
        return {}


def _holds_code(marks: Sequence[tuple[int, str]]) -> bool:
    """A section of data with a function in it (__attribute__((section(".data"))))."""
    return any(kind == "$t" for _, kind in marks)


def _segments(path: Path, elf: ELFFile, size: int) -> list[list[int]]:
    """[load address, file offset, bytes in file, bytes in memory, flags, run address] of what is loaded."""
    rows = []
    if elf.num_segments() > MOST_SEGMENTS:
        raise InputError(f"{path}: {elf.num_segments():,} program headers; an image of at most {MOST_SEGMENTS:,} is wanted")
    for segment in elf.iter_segments("PT_LOAD"):
        if not segment["p_memsz"]:
            continue
        if segment["p_offset"] + segment["p_filesz"] > size:
            raise InputError(f"{path}: a truncated ELF file (a segment ends behind the file's end)")
        # A segment with nothing in the file is only memory to set aside, where it runs.
        address = segment["p_paddr"] if segment["p_filesz"] else segment["p_vaddr"]
        rows.append([address, segment["p_offset"], segment["p_filesz"], max(segment["p_memsz"], segment["p_filesz"]), segment["p_flags"],
                     segment["p_vaddr"]])
    if not rows:
        raise InputError(f"{path}: an ELF file with nothing to load")
    return rows


def _symbols(path: Path, data: bytes, sections: list[Any]) -> tuple[list[tuple[int, list[Any]]], dict[int, list[tuple[int, str]]]]:
    """(preference, [name, address, size, kind, section, weak]) of every symbol; section index -> (address, $t, $d or $a)."""
    symbols: list[tuple[int, list[Any]]] = []
    mapping: dict[int, list[tuple[int, str]]] = {}
    names = [shown(section.name) for section in sections]
    for name, value, size, info, index in _symbol_table(path, data, sections):
        kind, bind = info & 0xF, info >> 4
        if name.startswith(("$t", "$d", "$a")) and bind == LOCAL and KINDS.get(kind) == "notype":
            if UNDEFINED < index < RESERVED:
                mapping.setdefault(index, []).append((value, name[:2]))
            continue
        if not name or kind not in KINDS or index == UNDEFINED:
            continue
        section = names[index] if index < RESERVED else "ABS"
        symbols.append((PREFERENCE.get(bind, 3), [name, value & ~1 if KINDS[kind] == "func" else value, size, KINDS[kind], section, bind == WEAK]))
    return symbols, mapping


def _symbol_table(path: Path, data: bytes, sections: list[Any]) -> Iterator[tuple[str, int, int, int, int]]:
    """(name, value, size, info, section) of every symbol. Names are cut where no compiler's go; InputError for more than any firmware has."""
    table = next((s for s in sections if s.name == ".symtab"), None)
    if table is None:
        return
    texts = sections[table["sh_link"]]
    start, end = texts["sh_offset"], texts["sh_offset"] + texts["sh_size"]
    if table["sh_entsize"] != SYMBOL.size or table["sh_offset"] + table["sh_size"] > len(data) or end > len(data):
        raise ELFError("no table of symbols")
    count, left = table["sh_size"] // SYMBOL.size, MOST_NAMES
    if count > MOST_SYMBOLS:
        raise InputError(f"{path}: {count:,} symbols; an image of at most {MOST_SYMBOLS:,} is wanted (strip --strip-unneeded)")
    for name, value, size, info, _, index in SYMBOL.iter_unpack(data[table["sh_offset"]:table["sh_offset"] + count * SYMBOL.size]):
        begin = start + name
        if begin >= end:
            raise ELFError("a name outside its table")
        most = min(begin + MOST_NAME, end)
        stop = data.find(b"\0", begin, most)
        text = data[begin:most if stop < 0 else stop]
        left -= len(text)
        if left < 0:
            raise InputError(f"{path}: names of symbols of more than {MOST_NAMES >> 20} MB")
        yield shown(text.decode(errors="replace")), value, size, info, index


def shown(name: str) -> str:
    """The name without what would break a line, or make a terminal do things."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def _best(symbols: list[tuple[int, list[Any]]], key: Any) -> dict[Any, list[Any]]:
    """key -> the symbol to keep: global before weak before local, sized before unsized."""
    best: dict[Any, list[Any]] = {}
    for _, row in sorted(symbols, key=lambda s: (s[0], not s[1][2], s[1][0])):
        best.setdefault(key(row), row)
    return best


def _objects(symbols: list[tuple[int, list[Any]]]) -> list[list[Any]]:
    """Data objects, one an address, sorted; static ones of one name in several files are told apart by their address."""
    rows = _best([s for s in symbols if s[1][3] == "object" and s[1][2]], lambda row: row[1])
    names = Counter(row[0] for row in rows.values())
    return [[row[0] if names[row[0]] == 1 else f"{row[0]}@0x{address:08x}", *row[1:]] for address, row in sorted(rows.items())]


def _functions(symbols: list[tuple[int, list[Any]]], executable: list[tuple[int, int, int]]) -> list[list[Any]]:
    rows = sorted(_best([s for s in symbols if s[1][3] == "func"], lambda row: row[1]).values(), key=lambda row: row[1])
    spans = sorted((start, end) for _, start, end in executable)
    for row, following in pairwise([*rows, None]):
        if not row[2]:  # assembly without .size: up to the next function, or its section's end
            end = max(spans[bisect_right(spans, row[1], key=lambda span: span[0]) - 1][1], row[1]) if spans and spans[0][0] <= row[1] else row[1]
            row[2] = (min(end, following[1]) if following else end) - row[1]
    return rows


def _code_ranges(mapping: dict[int, list[tuple[int, str]]], executable: list[tuple[int, int, int]]) -> list[list[int]]:
    found: list[tuple[int, int]] = []
    for index, start, end in executable:
        marks = [(at, kind) for at, kind in sorted(mapping.get(index, [])) if start <= at < end]
        marks = marks or [(start, "$t")]  # without mapping symbols all of it may be code
        found += [(at & ~1, until) for (at, kind), (until, _) in pairwise([*marks, (end, "")]) if kind == "$t"]
    ranges: list[list[int]] = []
    for start, end in sorted(found):
        if ranges and start <= ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], end)
        elif start < end:
            ranges.append([start, end])
    return ranges
