"""Files that would cost a reader that believes them minutes or gigabytes: each is refused, or read without what is too much."""

from __future__ import annotations

import os
import resource
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.build import lines
from emu.build.elf import Image
from emu.errors import InputError
from emu.machine import board, code, layout
from tests.firmware.conftest import ran

BASE = 0x08000000
PROGRAM = struct.pack("<II", 0x20001000, BASE + 9) + bytes.fromhex("fee7") + bytes(6)  # a stack, a reset vector, an endless loop
NAMES = b"\0$t\0$d\0loop\0"
MARKS = struct.pack("<IIIBBH", 0, 0, 0, 0, 0, 0) + struct.pack("<IIIBBH", 1, BASE + 8, 0, 0, 0, 1) + struct.pack("<IIIBBH", 4, BASE, 0, 0, 0, 1)
EXEC, ARM, LOAD = 2, 40, 1
SET_ADDRESS, END = b"\0\5\2" + struct.pack("<I", BASE + 8), b"\0\1\1"
ONE_LINE_ON = b"\x13"  # a special opcode: two bytes and a line on, with the header below
SECONDS, MEGABYTES = 10, 300


@dataclass(frozen=True)
class Section:
    name: bytes
    data: bytes
    flags: int = 0
    kind: int = 1


def symbol(name: int, value: int, kind: int = 0x12) -> bytes:
    return struct.pack("<IIIBBH", name, value, 2, kind, 0, 1)


def elf(*sections: Section, symbols: bytes = MARKS, names: bytes = NAMES, program: bytes = PROGRAM, segments: int = 1, entry_size: int = 16) -> bytes:
    """A file of those sections beside .text and .symtab; of several segments all but the first are copies further on."""
    parts = [*sections, Section(b".strtab", names, kind=3)]
    titles = b"\0.text\0.symtab\0" + b"".join(part.name + b"\0" for part in parts) + b".shstrtab\0"
    offset = 52 + 32 * segments
    table = [(0,) * 10, (1, 1, 6, BASE, offset, len(program), 0, 0, 4, 0)]
    body = program
    for part in (*parts, Section(b".shstrtab", titles, kind=3)):
        table.append((titles.index(b"\0" + part.name + b"\0") + 1, part.kind, part.flags, 0, offset + len(body), len(part.data), 0, 0, 1, 0))
        body += part.data
    table.append((titles.index(b".symtab"), 2, 0, 0, offset + len(body), len(symbols), len(table) - 2, 1, 4, entry_size))
    body += symbols
    headers = b"".join(struct.pack("<8I", LOAD, offset, at, at, len(program), len(program), 5, 4)
                       for at in (BASE + n * (len(program) + 16) for n in range(segments)))
    start = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", EXEC, ARM, 1, BASE + 9, 52, offset + len(body), 0x05000200, 52, 32, segments,
                                                      40, len(table), len(table) - 2)
    return start + headers + body + b"".join(struct.pack("<10I", *row) for row in table)


def line_program(opcodes: bytes) -> bytes:
    """DWARF 4: one file, a.c; steps of 2 bytes, lines from 0, 6 of them an opcode, opcodes from 13."""
    header = bytes((2, 1, 1, 0, 6, 13)) + bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1)) + b"\0a.c\0\0\0\0\0"
    body = struct.pack("<HI", 4, len(header)) + header + opcodes
    return struct.pack("<I", len(body)) + body


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        code.decoded(Image.load(path))
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.fixture
def written(tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / "hostile.elf"
        path.write_bytes(data)
        return path

    return write


@pytest.fixture(autouse=True)
def costs_little():
    """Time and memory of this process; the peak is of the whole process, so only its growth says something."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < SECONDS
    assert after.ru_maxrss - before.ru_maxrss < MEGABYTES << 10


def test_the_file_that_all_others_are_made_of(written):
    ending = ran(written(elf(Section(b".debug_line", line_program(SET_ADDRESS + b"\1" + b"\x15" + END)), symbols=MARKS + symbol(7, BASE + 9)))).result.ending
    assert ending.how == "idle" and ending.text.endswith("at 0x08000008 in loop+0x0 (a.c:1)")


def test_millions_of_symbols(written):
    assert refused(written(elf(symbols=MARKS + symbol(7, BASE + 9) * 2_000_000))).startswith("2,000,003 symbols; an image of at most 262,144")


def test_fifty_thousand_functions_without_a_size(written):
    """In seconds: nothing takes the square of their number."""
    names = b"".join(b"f%06d\0" % n for n in range(50_000))
    rows = b"".join(struct.pack("<IIIBBH", len(NAMES) + 8 * n, BASE + 9 + 2 * n, 0, 0x12, 0, 1) for n in range(50_000))
    image = Image.load(written(elf(symbols=MARKS + rows, names=NAMES + names)))
    assert len(image.functions) == 50_000 and image.functions[0].name == "f000000" and image.functions[0].size == 2


def test_names_that_share_megabytes(written):
    path = written(elf(symbols=MARKS + b"".join(symbol(12 + n, BASE + 9) for n in range(100_000)), names=NAMES + b"B" * 3_000_000 + b"\0"))
    assert refused(path) == "names of symbols of more than 64 MB"


def test_a_name_that_is_cut(written):
    image = Image.load(written(elf(symbols=MARKS + symbol(12, BASE + 9), names=NAMES + b"B" * 100_000 + b"\0")))
    assert [f.name for f in image.functions] == ["B" * 4096]


def test_symbols_of_another_size(written):
    assert refused(written(elf(entry_size=1))) == "a truncated or damaged ELF file"


def test_thousands_of_segments(written):
    path = written(elf(segments=3000))
    assert len(layout.plan(Image.load(path), board.load("generic")).regions) == 2
    assert refused(written(elf(segments=60_000))) == "60,000 program headers; an image of at most 4,096 is wanted"


def test_megabytes_of_code(written):
    path = written(elf(symbols=b"", program=PROGRAM + bytes.fromhex("00bf") * (3 << 20)))
    assert refused(path) == "6,291,472 bytes of code; an image of at most 4 MB is wanted"


def test_attributes_without_end(written):
    attributes = b"A" + struct.pack("<I", 1 << 24) + b"aeabi\0\1" + struct.pack("<I", 1 << 24) + b"\6\r" * (1 << 22)
    assert Image.load(written(elf(Section(b".ARM.attributes", attributes, kind=0x70000003)))).architecture == ""


def squeezed(megabytes: int) -> bytes:
    """That many megabytes of zeros: one of them compressed, that often, and what ends a stream."""
    packer = zlib.compressobj(9)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes << 20) % 65521 << 16 | 1  # Adler-32 of zeros
    return head + block * megabytes + b"\3\0" + struct.pack(">I", checksum)


BOMB = squeezed(1 << 10)


def test_the_bomb_is_one():
    assert zlib.decompress(squeezed(3)) == bytes(3 << 20) and len(BOMB) < 2 << 20


@pytest.mark.parametrize("section", [
    Section(b".debug_line", line_program(SET_ADDRESS + ONE_LINE_ON * (20 << 20) + END)),
    Section(b".debug_line", line_program(SET_ADDRESS + ONE_LINE_ON * (2 << 20) + END)),
    Section(b".debug_line", line_program(SET_ADDRESS + b"\2" + b"\x80" * 3_000_000 + b"\0" + END)),
    Section(b".debug_line", line_program(b"") * 60_000 + b"\0"),
    Section(b".debug_line", struct.pack("<III", 1, 1 << 30, 1) + BOMB, flags=0x800),
    Section(b".debug_line", struct.pack("<III", 1, 0xFFFFFFFF, 1) + BOMB, flags=0x800),
    Section(b".zdebug_line", b"ZLIB" + struct.pack(">Q", 1 << 30) + BOMB),
    Section(b".debug_line", struct.pack("<IHBBIBBBbBB", 60, 5, 4, 0, 30, 2, 1, 1, 0, 6, 1) + b"\0" + b"\xff" * 9 + b"\1" + bytes(60)),
], ids=["20 M rows", "2 M rows", "a number of 3 MB", "60,000 programs", "a bomb", "a bomb that lies", "an old bomb", "2 ** 63 folders of nothing"])
def test_lines_that_are_too_much(written, section):
    """No lines; everything else is there."""
    image = Image.load(written(elf(section, symbols=MARKS + symbol(7, BASE + 9))))
    assert image.source_line(BASE + 8) is None and image.function_at(BASE + 8).name == "loop"


def test_lines_that_are_compressed(written):
    plain = line_program(SET_ADDRESS + b"\1" + ONE_LINE_ON + b"\x15" + END)
    for section in (Section(b".debug_line", struct.pack("<III", 1, len(plain), 1) + zlib.compress(plain), flags=0x800),
                    Section(b".zdebug_line", b"ZLIB" + struct.pack(">Q", len(plain)) + zlib.compress(plain))):
        image = Image.load(written(elf(section)))
        assert image.source_line(BASE + 8) == "a.c:1"


def test_opcodes_of_a_line_program():
    """DWARF 4, 6.2.5: every standard opcode and the extended ones; what lies outside code is left out."""
    opcodes = SET_ADDRESS + b"\1" + b"\3\x7e" + b"\3\x0b\2\1\1" + b"\x08" + b"\1" + b"\x09\4\0" + b"\5\7\x06\x07\x0a\x0b\x0c\1\1" + b"\0\2\4\3" + b"\4\2\1" + END
    outside = b"\0\5\2" + struct.pack("<I", 0x100) + b"\1" + b"\2\1" + END
    section = {"line": line_program(opcodes + outside)}
    step = (255 - 13) // 6 * 2
    rows = dict(zip(*lines.read(section, [(BASE, BASE + 0x1000)]), strict=True))
    start = BASE + 8
    assert rows == {start: "a.c:1", start + 2: "a.c:10", start + 2 + step: "a.c:10", start + 6 + step: None}


@pytest.mark.parametrize("make", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/dev/null")],
                         ids=["a pipe", "/dev/zero", "/dev/null"])
def test_what_is_no_file(tmp_path, make):
    path = tmp_path / "odd.elf"
    make(path)
    assert refused(path) == "no regular file"


def test_a_file_of_gigabytes(tmp_path):
    path = tmp_path / "large.elf"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    assert refused(path) == "5,368,709,120 bytes; an image of at most 256 MB is wanted"
