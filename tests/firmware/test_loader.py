"""What a loader refuses, each in one line; what it takes; and that no file at all gets a traceback or the host's memory out of it."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.build.elf import Image
from emu.errors import InputError, ThumbcycleError
from emu.machine import board, layout
from tests.firmware.conftest import BARE, PROGRAMS, needs, ran

MAIN = '#include "firmware.h"\nint table[4] = {1, 2, 3, 4};\nint main(void) { return table[1] + table[2]; }\n'


@pytest.fixture(scope="session")
def small(builder) -> bytes:
    return builder.elf(MAIN).read_bytes()


def refused(path: Path, *, on: str = "generic", **options: object) -> str:
    with pytest.raises(InputError) as caught:
        layout.plan(Image.load(path), board.load(on), **options)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


def patched(path: Path, data: bytes, *changes: tuple[int, bytes]) -> Path:
    raw = bytearray(data)
    for offset, new in changes:
        raw[offset:offset + len(new)] = new
    path.write_bytes(raw)
    return path


def segments(data: bytes) -> list[int]:
    """File offsets of the program headers of loaded segments."""
    start, size, count = struct.unpack_from("<I", data, 28)[0], *struct.unpack_from("<HH", data, 42)
    return [start + n * size for n in range(count) if struct.unpack_from("<I", data, start + n * size)[0] == 1]


def vectors(data: bytes) -> int:
    """File offset of the vector table."""
    return struct.unpack_from("<I", data, segments(data)[0] + 4)[0]


def word(value: int) -> bytes:
    return struct.pack("<I", value)


def test_a_small_program(small, tmp_path):
    assert ran(patched(tmp_path / "fine.elf", small)).code == 5


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "not an ELF file"),
        (b"MZ and more", "not an ELF file"),
        (b"\x7fELF", "a truncated or damaged ELF file"),
        (b"\x7fELF" + bytes(200), "a truncated or damaged ELF file"),
    ],
)
def test_no_elf(tmp_path, data, line):
    path = tmp_path / "no.elf"
    path.write_bytes(data)
    assert refused(path) == line


def test_other_machines(small, tmp_path):
    assert refused(patched(tmp_path / "x", small, (18, b"\x3e\0"))) == "an ELF file for x64, not for 32-bit Arm"
    assert refused(patched(tmp_path / "b", small, (5, b"\2"))).endswith("not for 32-bit Arm")
    assert "not linked (ET_REL)" in refused(patched(tmp_path / "r", small, (16, b"\1\0")))
    assert refused(patched(tmp_path / "t", small[:600])).startswith("a truncated")


def test_big_endian_and_64_bit(builder, tmp_path):
    source, made = tmp_path / "t.c", tmp_path / "be.elf"
    source.write_text("int main(void) { return 0; }")
    command = [builder.gcc, "-nostdlib", "-Wl,-e,main", str(source), "-o", str(made)]
    subprocess.run([*command, "-mcpu=cortex-m4", "-mthumb", "-mbig-endian"], check=True, capture_output=True)
    assert refused(made) == "a big-endian Arm ELF file; Cortex-M images are little-endian"
    wide = bytearray(64)
    wide[:20] = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HH", 2, 183)
    wide[20:24] = word(1)
    struct.pack_into("<H", wide, 52, 64)
    made.write_bytes(wide)
    assert refused(made) == "a 64-bit ELF file for AArch64, not for 32-bit Arm"


@pytest.mark.parametrize(("flag", "line"), [("-mcpu=cortex-a7", "built for the A profile of Armv7"), ("-mcpu=cortex-r5", "built for the R profile of Armv7"),
                                            ("-mcpu=arm7tdmi", "built for Armv4T, which no Cortex-M is")])
def test_other_profiles(builder, tmp_path, flag, line):
    source, made = tmp_path / "t.c", tmp_path / "a.elf"
    source.write_text("int main(void) { return 0; }")
    subprocess.run([builder.gcc, flag, "-nostdlib", "-Wl,-e,main", str(source), "-o", str(made)], check=True, capture_output=True)
    assert refused(made).startswith(line)


def test_no_vector_table(builder, tmp_path):
    source, made = tmp_path / "t.c", tmp_path / "none.elf"
    source.write_text("int main(void) { for (;;) ; }")
    subprocess.run([builder.gcc, "-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-Wl,-e,main", str(source), "-o", str(made)], check=True, capture_output=True)
    line = refused(made)
    assert line.startswith("no vector table: neither a section or symbol of a name like .isr_vector")
    assert "--from-entry starts at the entry 0x00008000" in line
    plan = layout.plan(Image.load(made), board.load("generic"), from_entry=True)
    assert plan.pc == 0x8000
    assert plan.remarks[0].startswith("no vector table: started at the entry main as a debugger would, the stack at the end of ram (0x")


def test_arm_code_at_the_entry(small, tmp_path):
    entry = struct.unpack_from("<I", small, 24)[0]
    path = patched(tmp_path / "arm.elf", small, (24, word(entry & ~1)))
    assert "has no Thumb bit: Arm code" in refused(path, from_entry=True)
    path = patched(tmp_path / "weeds.elf", small, (24, word(0x20001001)))
    assert refused(path, from_entry=True) == "the entry 0x20001000 is no code of the image"


@pytest.mark.parametrize(
    ("sp", "reset", "line"),
    [
        (0x20010000, 0x080001, "points to no code"),
        (0x20010000, 0x0800FFF1, "the reset vector 0x0800fff1 in the vector table at 0x08000000 points to no code"),
        (0x20010000, None, "has no Thumb bit: the core would fault before its first instruction"),
        (0x20010000, 0x20000001, "points to no code"),
        (0, 0, "the initial stack pointer 0x00000000 in the vector table at 0x08000000 points into no RAM"),
        (0x30000000, 1, "the initial stack pointer 0x30000000 in the vector table at 0x08000000 points into no RAM"),
        (0x08000400, 1, "points into no RAM"),
        (0x20000000, 1, "points into no RAM"),
        (0x20001001, 1, "the initial stack pointer 0x20001001 in the vector table at 0x08000000 is no multiple of 4"),
    ],
)
def test_entry_and_stack(small, tmp_path, sp, reset, line):
    at = vectors(small)
    good = struct.unpack_from("<I", small, at + 4)[0]
    reset = good & ~1 if reset is None else good if reset == 1 else reset
    assert line in refused(patched(tmp_path / "odd.elf", small, (at, word(sp)), (at + 4, word(reset))))


def test_segments_that_overlap(small, tmp_path):
    first, second = segments(small)[:2]
    path = patched(tmp_path / "twice.elf", small, (second + 8, word(0x08000010)), (second + 12, word(0x08000010)))
    assert refused(path).startswith("segments overlap where they are loaded: ")
    path = patched(tmp_path / "run.elf", small, (second + 8, word(0x08000010)))
    assert refused(path).startswith("segments overlap where they are used: ")
    assert first


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        (8, 0x40000000, "a segment of 16 bytes at 0x40000000 lies outside the memories of board "),
        (12, 0xE0000000, "a segment of 16 bytes at 0xe0000000 lies outside the memories of board "),
        (20, 0xFFFFFFF0, "goes beyond the address space"),
        (20, 0x10000000, "a segment of 268,435,456 bytes at 0x20000000 lies outside the memories of board "),
        (12, 0xFFFFFFFC, "goes beyond the address space"),
    ],
)
@pytest.mark.parametrize("on", ["generic", "stm32f407"])
def test_segments_outside_memory(small, tmp_path, field, value, line, on):
    assert line in refused(patched(tmp_path / "far.elf", small, (segments(small)[1] + field, word(value))), on=on)


def test_a_board_without_that_memory(builder):
    elf = builder.elf(MAIN)
    line = refused(elf, on="lm3s6965")
    assert line.startswith("a segment of ") and "at 0x08000000 lies outside the memories of board lm3s6965 (flash 0x00000000-0x0003ffff, sram 0x20000000-" in line
    assert ran(elf, board="stm32f407").code == 5


def test_a_named_vector_table(builder):
    """Two tables: the second, of a name that nobody knows, starts another main."""
    text = MAIN + """
    static void other(void) { leave(77); }
    __attribute__((section(".text.z"), used, aligned(128))) void (*const second[])(void) = {(void (*)(void))0x20010000, other};
    """
    elf = builder.elf(text)
    place = Image.load(elf).symbols["second"].address
    assert ran(elf).code == 5
    assert ran(elf, vectors=place).code == 77
    assert refused(elf, vectors=0x09000000) == "no vector table at 0x09000000: the image loads nothing there"


def test_a_table_found_by_its_symbol(builder):
    """Not at the lowest address, not in a section of its own."""
    script = (PROGRAMS / "bare.ld").read_text().replace("*(.text*) *(.rodata*)", "*(.text*) *(.rodata*) . = ALIGN(512); KEEP(*(.table))")
    script = script.replace(".isr_vector : { KEEP(*(.isr_vector)) } > flash", "")
    path = builder.folder / "symbol.ld"
    path.write_text(script)
    source = builder.folder / "symbol.c"
    source.write_text((PROGRAMS / "bare.c").read_text().replace('".isr_vector"', '".table"').replace(" vectors[]", " g_pfnVectors[]"))
    base = ("-nostdlib", "-ffreestanding", "-T", str(path), str(source), "-lgcc", "-Wl,--no-warn-rwx-segments")
    elf = builder.elf(MAIN, base=base)
    done = ran(elf)
    assert done.code == 5
    assert done.system.plan.vectors == Image.load(elf).symbols["g_pfnVectors"].address != 0x08000000


def test_code_that_is_copied_to_ram(start):
    """By the start-up code, with .data; its bytes are decoded where they run."""
    text = """#include "firmware.h"
    __attribute__((section(".ramfunc"), noinline, long_call)) static uint32_t sum(uint32_t n) { uint32_t s = 0; while (n) s += n--; return s; }
    __attribute__((section(".data"), noinline, long_call)) static uint32_t twice(uint32_t n) { return sum(n) * 2; }
    int main(void) { return twice(10); }"""
    done = start(text, "-g0", "-Wa,-W")
    assert done.code == 110
    ram = [s for s in done.system.counts().streams if s.start >> 28 == 2]
    assert sum(s.count * s.length for s in ram) > 30


@pytest.mark.parametrize("name", ["program.cpp"])
@pytest.mark.parametrize("nano", [False, True])
def test_cpp(start, name, nano):
    """Constructors, virtual functions, templates, exceptions, the standard library."""
    text = """#include <cstdio>
    #include <map>
    #include <stdexcept>
    #include <string>
    #include <vector>
    struct Shape { virtual ~Shape() = default; virtual int area() const = 0; };
    struct Square : Shape { int side; explicit Square(int s) : side(s) {} int area() const override { return side * side; } };
    struct Noisy { int value; Noisy() : value(40) {} ~Noisy() { std::puts("destroyed"); } };
    static Noisy noisy;
    static std::vector<int> filled(3, 5);
    int main() {
        std::map<std::string, int> words;
        for (const char *word : {"b", "a", "b"})
            words[word]++;
        int sum = 0;
        Shape *shape = new Square(3);
        sum += shape->area();
        delete shape;
    #ifdef NANO
        std::puts("caught"), sum += 100; // its library was built without exceptions
    #else
        try { throw std::runtime_error("caught"); } catch (const std::exception &error) { std::puts(error.what()); sum += 100; }
    #endif
        for (const auto &[word, count] : words)
            std::printf("%s=%d ", word.c_str(), count);
        std::printf("%d %d\\n", noisy.value, (int)filled.size());
        return sum;
    }"""
    base = ("--specs=rdimon.specs", *(("--specs=nano.specs", "-DNANO") if nano else ()), "-Wl,--gc-sections", "-lstdc++")
    done = start(text, "-std=c++17", "-ffunction-sections", "-fdata-sections", base=base, name=name)
    assert done.code == 109
    assert done.out == "caught\na=1 b=2 40 3\ndestroyed\n"


def test_cpp_without_a_library(start):
    text = """extern "C" int main();
    struct Counter { int count; Counter() : count(3) {} };
    static Counter counter;
    int main() { return counter.count; }"""
    assert start(text, "-fno-exceptions", "-fno-rtti", name="program.cpp").code == 3


@needs("clang")
def test_clang(builder, tmp_path):
    """What clang makes of C and C++, linked by gcc's linker: other code, other symbols."""
    source, objects = tmp_path / "t.cpp", []
    source.write_text("""#include <stdint.h>
    struct Sum { uint32_t total; Sum() : total(1) {} void add(uint32_t n) { total += n; } };
    static Sum sum;
    extern "C" int main() { for (uint32_t n = 1; n <= 10; n++) sum.add(n); uint64_t wide = sum.total; return (int)(wide * 3 / 2); }""")
    for path in (source, PROGRAMS / "bare.c"):
        objects.append(str(tmp_path / f"{path.name}.o"))
        done = subprocess.run(["clang", "--target=arm-none-eabi", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft", "-O2", "-g", "-ffreestanding", "-fno-exceptions",
                               "-c", str(path), "-o", objects[-1]], capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
    elf = tmp_path / "clang.elf"
    script = [flag for flag in BARE if not flag.endswith(".c")]
    done = subprocess.run([builder.gcc, "-mcpu=cortex-m4", "-mthumb", *objects, *script, "-o", str(elf)], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert ran(elf).code == 84


def test_a_stripped_image(builder, tmp_path):
    """Without symbols all executable bytes may be code."""
    elf, stripped = builder.elf(MAIN.replace("return table[1] + table[2];", "leave(table[1] + table[2]);")), tmp_path / "stripped.elf"
    subprocess.run([builder.gcc.replace("gcc", "strip"), str(elf), "-o", str(stripped)], check=True)
    assert ran(stripped).code == 5
    raw = bytearray(stripped.read_bytes())
    raw[32:36], raw[46:52] = bytes(4), bytes(6)  # not even section headers
    stripped.write_bytes(raw)
    assert ran(stripped).code == 5


# --- files that mean harm ---


def _survives(path: Path, **options: object) -> None:
    """Loaded and run, or refused in one line; memory stays what an honest program takes."""
    tracemalloc.start()
    try:
        done = ran(path, limit=20_000, **options)
        assert "\n" not in done.result.ending.text
    except ThumbcycleError as error:
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 256 << 20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files(small, tmp_path, data):
    """Words of the headers, the section table or anywhere else, replaced by the values that break readers."""
    interesting = st.one_of(st.sampled_from([0, 1, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0x20000000, 0x08000000, 0x40000000, 0xFFFF, 4, 3]),
                            st.integers(0, 0xFFFFFFFF))
    sections = struct.unpack_from("<I", small, 32)[0]
    places = st.one_of(st.integers(4, 51), st.integers(52, 52 + 32 * 5), st.integers(sections, len(small) - 5), st.integers(0, len(small) - 5))
    changes = data.draw(st.lists(st.tuples(places, interesting.map(word)), min_size=1, max_size=4))
    raw = patched(tmp_path / "damaged.elf", small, *changes).read_bytes()
    cut = data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))
    (tmp_path / "damaged.elf").write_bytes(raw[:cut])
    _survives(tmp_path / "damaged.elf")


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0xFFFFFFFF, 0x03FFFFFF, 0x10000000])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_huge_segments(small, tmp_path, size, which):
    found = segments(small)
    if which < len(found):
        _survives(patched(tmp_path / "huge.elf", small, (found[which] + 20, word(size))))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=st.binary(min_size=4, max_size=400), seed=st.integers(0, 7))
def test_random_code(small, tmp_path, code, seed):
    """Machine code that means nothing, in place of the program's, on several boards."""
    start = struct.unpack_from("<I", small, vectors(small) + 4)[0] - 1 - 0x08000000 + vectors(small)
    _survives(patched(tmp_path / "random.elf", small, (start, code)), ignore_peripherals=bool(seed & 1), board="stm32f407" if seed & 2 else "generic")


def test_garbage_symbols(small, tmp_path):
    """Symbols that say impossible things about real code."""
    sections, count = struct.unpack_from("<I", small, 32)[0], struct.unpack_from("<H", small, 48)[0]
    for header in (sections + 40 * n for n in range(count)):
        if struct.unpack_from("<I", small, header + 4)[0] == 2:  # SHT_SYMTAB
            at, size = struct.unpack_from("<II", small, header + 16)
            raw = bytearray(small)
            for n, place in enumerate(range(at + 16, at + size, 16)):
                struct.pack_into("<II", raw, place + 4, (0x08000001 + 37 * n, 0xFFFFFFF0, 0x20000000)[n % 3], (0xFFFFFFFF, 0, 3)[n % 3])
            path = tmp_path / "symbols.elf"
            path.write_bytes(raw)
            _survives(path)


def test_names_stay_on_one_line(builder, tmp_path):
    """A function whose name would clear the terminal."""
    text = '#include "firmware.h"\n__attribute__((noinline, used)) void evil_name_here(void) { REG(0x70000000) = 1; }\nint main(void) { evil_name_here(); return 0; }'
    data = builder.elf(text, "-g0").read_bytes()
    path = tmp_path / "evil.elf"
    path.write_bytes(data.replace(b"evil_name_here", b"\x1b[2J\nevil\rname"))
    ending = ran(path).result.ending.text
    assert ending.isprintable()
    assert "in \\x1b[2J\\nevil\\rname+0x" in ending


def test_debug_information_that_lies(small, tmp_path):
    with contextlib.suppress(ValueError):
        for offset in range(0, len(small) - 64, 997):
            _survives(patched(tmp_path / "lies.elf", small, (offset, bytes([0xFF] * 13))))
