"""Source lines: runs the line programs of .debug_line (DWARF 2 to 5, section 6.2).

Not left to pyelftools, which keeps an object an opcode: a hostile file would take all memory. Here a file costs at most
MOST_BYTES of opcodes and MOST_ROWS rows, and what is damaged raises ValueError or LookupError.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

MOST_BYTES, MOST_ROWS, MOST_FILES, MOST_TEXT = 1 << 24, 1 << 20, 1 << 16, 1 << 26
_MOST_NAME, _MOST_LEB = 1024, 10
_COMPRESSED = 0x800  # SHF_COMPRESSED
_CHDR, _ZDEBUG = 12, b"ZLIB"  # size of an Elf32_Chdr; GNU's older form begins so, and 8 bytes of size
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _CONST_ADD_PC, _FIXED_ADVANCE_PC = 1, 2, 3, 4, 8, 9  # DW_LNS_*
_END_SEQUENCE, _SET_ADDRESS = 1, 2  # DW_LNE_*
_PATH, _FOLDER = 1, 2  # DW_LNCT_*
_STRING, _UDATA, _LINE_STRP, _BLOCK, _STRP = 0x08, 0x0F, 0x1F, 0x09, 0x0E  # DW_FORM_*
_FIXED_FORMS = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}  # data1, data2, data4, data8, data16


class _Header(NamedTuple):
    """Of one program. files: paths, by their number; lengths: operands of the standard opcodes; first, end: offsets of the opcodes."""

    files: list[str]
    first_file: int
    step: int
    line_base: int
    line_range: int
    lengths: bytes
    first: int
    end: int


def plain(raw: bytes, flags: int) -> bytes:
    """A section's bytes, decompressed where they are compressed. ValueError for more than MOST_BYTES."""
    packed = raw[_CHDR:] if flags & _COMPRESSED else raw[_CHDR:] if raw.startswith(_ZDEBUG) else None
    if packed is not None:
        try:
            raw = zlib.decompressobj().decompress(packed, MOST_BYTES + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
    if len(raw) > MOST_BYTES:
        raise ValueError("too large")
    return raw


def read(sections: Mapping[str, bytes], code_ranges: Sequence[tuple[int, int]]) -> tuple[list[int], list[str | None]]:
    """Addresses, sorted, and the "file:line" from each on (None: no line is known from there on).

    sections: `line`, and with DWARF 5 `line_str` and `str`, of plain bytes.
    """
    rows: dict[int, tuple[str, int] | None] = {}
    starts = [start for start, _ in code_ranges]

    def is_code(address: int) -> bool:
        at = bisect_right(starts, address) - 1
        return at >= 0 and address < code_ranges[at][1]

    for header in _headers(sections):
        for found, end in _sequences(sections["line"], header, is_code):
            rows.update({address: (path, line) for address, path, line in found if address < end})  # GCC marks lines without code at the end, too
            rows.setdefault(end, None)
            if len(rows) > MOST_ROWS:
                raise ValueError("too many rows")
    if sum(len(row[0]) for row in rows.values() if row) > MOST_TEXT:
        raise ValueError("too long names")
    addresses = sorted(rows)
    return addresses, [f"{row[0]}:{row[1]}" if (row := rows[address]) else None for address in addresses]


class _Reader:
    """Numbers and strings of a section, one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def fixed(self, size: int, signed: bool = False) -> int:
        self.at += size
        if self.at > len(self.data):
            raise ValueError("cut off")
        return int.from_bytes(self.data[self.at - size:self.at], "little", signed=signed)

    def leb(self, signed: bool = False) -> int:
        value = 0
        for shift in range(0, 7 * _MOST_LEB, 7):
            byte = self.fixed(1)
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value - (1 << shift + 7) if signed and byte & 0x40 else value
        raise ValueError("a number without an end")

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        found = self.data[self.at:min(end, self.at + _MOST_NAME)]
        self.at = end + 1
        return found.decode(errors="replace")


def _headers(sections: Mapping[str, bytes]) -> Iterator[_Header]:
    reader = _Reader(sections["line"])
    while reader.at < len(reader.data):
        size = reader.fixed(4)
        word = 4 if size != 0xFFFFFFFF else 8
        size = size if word == 4 else reader.fixed(8)
        end = reader.at + size
        if end > len(reader.data):
            raise ValueError("cut off")
        yield _header(reader, sections, word, end)
        reader.at = end


def _header(reader: _Reader, sections: Mapping[str, bytes], word: int, end: int) -> _Header:
    version = reader.fixed(2)
    if not 2 <= version <= 5:
        raise ValueError(f"DWARF {version}")
    if version >= 5:
        reader.fixed(2)  # sizes of an address and of a segment's number
    first = reader.fixed(word) + reader.at
    step = reader.fixed(1)
    reader.at += 1 if version < 4 else 2
    line_base, line_range, opcodes = reader.fixed(1, signed=True), reader.fixed(1), reader.fixed(1)
    if not line_range or not opcodes:
        raise ValueError("no opcodes")
    lengths = bytes(reader.fixed(1) for _ in range(opcodes - 1))
    files = _named_files(reader) if version < 5 else _described_files(reader, sections, word)
    return _Header(files, 1 if version < 5 else 0, step, line_base, line_range, lengths, first, end)


def _named_files(reader: _Reader) -> list[str]:
    """Before DWARF 5: folders, then files with the number of theirs; 0 is where the compiler ran."""
    folders, files = [""], []
    while folder := reader.text():
        folders.append(folder)
    while name := reader.text():
        number = reader.leb()
        reader.leb(), reader.leb()  # time, length
        files.append(_joined(folders, number, name))
        if len(files) > MOST_FILES:
            raise ValueError("too many files")
    return files


def _described_files(reader: _Reader, sections: Mapping[str, bytes], word: int) -> list[str]:
    """DWARF 5: a description of an entry's fields, then the entries; first of folders, then of files."""
    folders = [str(entry.get(_PATH, "")) for entry in _entries(reader, sections, word)]
    return [_joined(folders, entry.get(_FOLDER, 0), str(entry.get(_PATH, ""))) for entry in _entries(reader, sections, word)]


def _entries(reader: _Reader, sections: Mapping[str, bytes], word: int) -> list[dict[int, str | int]]:
    fields = [(reader.leb(), reader.leb()) for _ in range(reader.fixed(1))]
    count = reader.leb()
    if count > MOST_FILES:
        raise ValueError("too many files")
    return [{what: _form(reader, sections, word, form) for what, form in fields} for _ in range(count)]


def _form(reader: _Reader, sections: Mapping[str, bytes], word: int, form: int) -> str | int:
    if form == _STRING:
        return reader.text()
    if form in (_LINE_STRP, _STRP):
        return _Reader(sections["line_str" if form == _LINE_STRP else "str"], reader.fixed(word)).text()
    if form == _UDATA:
        return reader.leb()
    if form == _BLOCK:
        reader.at += reader.leb()
        return 0
    return reader.fixed(_FIXED_FORMS[form])


def _joined(folders: Sequence[str], number: str | int, name: str) -> str:
    folder = folders[number] if isinstance(number, int) and number < len(folders) else ""
    return str(PurePosixPath(folder) / name)


def _sequences(data: bytes, header: _Header, is_code: Callable[[int], bool]) -> Iterator[tuple[list[tuple[int, str, int]], int]]:
    """((address, file, line), ...) of each sequence that begins in code, one an address; the address behind it.

    What the linker threw away is still described, at address 0, and left out.
    """
    rows: list[tuple[int, str, int]] = []
    for address, file, line, is_end in _states(data, header):
        if is_end:
            if rows:
                yield rows, address
            rows = []
        elif rows and rows[-1][0] == address:
            rows[-1] = address, _name(header, file), line
        elif rows or is_code(address):
            rows.append((address, _name(header, file), line))
            if len(rows) > MOST_ROWS:
                raise ValueError("too many rows")


def _name(header: _Header, file: int) -> str:
    number = file - header.first_file
    return header.files[number] if 0 <= number < len(header.files) else "?"


def _states(data: bytes, header: _Header) -> Iterator[tuple[int, int, int, bool]]:
    """(address, file, line, end of a sequence) of each row that the program makes."""
    reader, lengths, step, line_base, line_range = _Reader(data, header.first), header.lengths, header.step, header.line_base, header.line_range
    opcode_base = len(lengths) + 1
    address, file, line = 0, 1, 1
    while (at := reader.at) < header.end:
        opcode = data[at]
        reader.at = at + 1
        if opcode >= opcode_base:
            advance, down = divmod(opcode - opcode_base, line_range)
            address += advance * step
            line += line_base + down
            yield address, file, line, False
        elif opcode == 0:
            size = reader.leb()
            following = reader.at + size
            extended = reader.fixed(1) if size else 0
            if extended == _END_SEQUENCE:
                yield address, file, line, True
                address, file, line = 0, 1, 1
            elif extended == _SET_ADDRESS:
                address = reader.fixed(4)
            reader.at = following
        elif opcode == _COPY:
            yield address, file, line, False
        elif opcode == _ADVANCE_PC:
            address += reader.leb() * step
        elif opcode == _ADVANCE_LINE:
            line += reader.leb(signed=True)
        elif opcode == _SET_FILE:
            file = reader.leb()
        elif opcode == _CONST_ADD_PC:
            address += (255 - opcode_base) // line_range * step
        elif opcode == _FIXED_ADVANCE_PC:
            address += reader.fixed(2)
        else:
            for _ in range(lengths[opcode - 1]):
                reader.leb()
