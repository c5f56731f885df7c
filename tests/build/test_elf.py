"""Reading an ELF: placement, symbols, code, structs, lines, and files that are none."""

from __future__ import annotations

import re
import struct
import subprocess
import sys

import capstone
import pytest

from emu.build.cache import REPOSITORY, VARIABLE
from emu.build.compile import build
from emu.build.elf import Image
from emu.errors import InputError

FLASH, RAM = 0x08000000, 0x20000000


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """One for all of this module's tests, which only read what is built."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="module")
def firmware(cache, network, toolchain):
    # `used` keeps an initialized variable alive: a .data section is wanted here.
    text = network["network.c"].replace("network_layer_count = 6", "network_layer_count = 6; int32_t *const keep = &initialized")
    text = text.replace("{CONV2D, &conv, network_input", "{CONV2D, &conv, (const int8_t *)&initialized")
    return Image.load(build("c", generated={"network.c": text}, float_abi=False, toolchain=toolchain))


@pytest.fixture(scope="module")
def float_library(cache, toolchain):
    return Image.load(build("float", generated={}, float_abi=True, toolchain=toolchain, script="library"))


def memory(image):
    """What flash and RAM hold once loaded: address -> byte."""
    return {s.address + i: byte for s in image.segments for i, byte in enumerate(s.data)}


def word(image, address):
    loaded = memory(image)
    return struct.unpack("<I", bytes(loaded[address + i] for i in range(4)))[0]


def instructions(image):
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    loaded = memory(image)
    for start, end in image.code_ranges:
        code = bytes(loaded[a] for a in range(start, end))
        decoded = list(engine.disasm(code, start))
        assert sum(i.size for i in decoded) == len(code), f"not all code between {start:#x} and {end:#x}"
        yield from decoded


def test_vector_table(firmware):
    symbols = firmware.symbols
    assert word(firmware, FLASH) == symbols["__stack_top"].address
    assert word(firmware, FLASH + 4) == symbols["Reset_Handler"].address | 1 == firmware.entry | 1
    handlers = [word(firmware, FLASH + 4 * n) for n in (2, 3, 4, 5, 6, 11, 12, 14, 15)]
    assert set(handlers) == {symbols["default_handler"].address | 1}
    assert [word(firmware, FLASH + 4 * n) for n in (7, 8, 9, 10, 13)] == [0] * 5


def test_memories(firmware):
    symbols = firmware.symbols
    sizes = [symbols[name].address for name in ("__flash_start", "__flash_size", "__ram_start", "__ram_size")]
    assert sizes == [FLASH, 1024 << 10, RAM, 96 << 10]
    assert (symbols["__stack_limit"].address, symbols["__stack_top"].address) == (RAM, RAM + 4096)
    assert symbols["network_input"].section == ".noinit"
    assert symbols["__bss_end"].address <= symbols["network_input"].address
    assert symbols["__bss_start"].address <= symbols["network_scratch"].address < symbols["__bss_end"].address


def test_data_is_loaded_into_flash_and_runs_in_ram(firmware):
    variable, load = firmware.symbols["initialized"], firmware.symbols["__data_load"].address
    assert (variable.kind, variable.size, variable.section) == ("object", 4, ".data")
    assert RAM + 4096 <= variable.address < RAM + 8192
    assert all(FLASH <= address < FLASH + (1 << 20) for address in memory(firmware))
    assert word(firmware, load + variable.address - firmware.symbols["__data_start"].address) == 42


def test_sizes(firmware):
    assert firmware.flash_bytes == len(memory(firmware))
    assert firmware.stack_reserve == 4096
    assert firmware.ram_bytes - firmware.stack_reserve == firmware.symbols["__noinit_end"].address - RAM - 4096


def test_library_holds_every_kernel_and_loads_data_where_it_runs(float_library):
    kinds = ("conv2d", "depthwise_conv2d", "pointwise_conv2d", "dense", "max_pool2d", "global_avg_pool2d")
    assert {f"{kind}_f32" for kind in kinds} | {"firmware_done", "memcpy"} <= {f.name for f in float_library.functions}
    assert float_library.symbols["__stack_top"].address == RAM + (16 << 10)
    assert float_library.symbols["__free_start"].address % 8 == 0
    assert float_library.symbols["__flash_size"].address == float_library.symbols["__ram_size"].address == 8 << 20


def test_functions_are_sorted_and_found_by_address(firmware):
    addresses = [f.address for f in firmware.functions]
    assert addresses == sorted(set(addresses))
    assert all(f.size for f in firmware.functions)
    for function in firmware.functions:
        assert firmware.function_at(function.address) == firmware.function_at(function.end - 2) == function
    assert firmware.function_at(FLASH) is None
    assert firmware.function_at(RAM) is None


def test_code_ranges_leave_out_literals(firmware):
    reset = firmware.symbols["Reset_Handler"]
    covered = [a for a in range(reset.address, reset.end + 24, 2) if any(s <= a < e for s, e in firmware.code_ranges)]
    assert covered[0] == reset.address
    assert len(covered) * 2 < reset.size + 24
    assert sum(1 for _ in instructions(firmware)) > 300


def test_int8_image_has_no_float_instruction_and_no_library(firmware):
    assert [i for i in instructions(firmware) if i.mnemonic.startswith("v")] == []
    ours = set(re.findall(r"\b(\w+)\(", "".join(p.read_text() for p in (REPOSITORY / "armsrc").glob("**/*.[ch]"))))
    ours |= {"Reset_Handler", "default_handler", "firmware_done", "used"}
    kernels = {name for name in firmware.symbols if name.endswith("_s8")}
    assert {f.name for f in firmware.functions} <= ours | kernels
    assert not [name for name in firmware.symbols if re.match(r"__aeabi|_?malloc|_?free$|_sbrk|printf|__lib|_init", name)]


def test_float_image_computes_in_single_precision_only(float_library):
    mnemonics = {i.mnemonic for i in instructions(float_library)}
    assert "vfma.f32" in mnemonics or "vmla.f32" in mnemonics
    assert not [m for m in mnemonics if "f64" in m]
    assert not [name for name in float_library.symbols if re.match(r"__aeabi_(c?[fd]|u?[il]2[fd])", name)]


def test_float_start_up_enables_the_fpu_first(toolchain):
    network = """
    #include "network.h"
    int32_t network_scratch[4];
    void network_run(void) { dense_f32(0, 0, 0, 0); }
    """
    image = Image.load(build("float", generated={"network.c": network}, float_abi=True, toolchain=toolchain))
    reset = image.symbols["Reset_Handler"]
    code = [i for i in instructions(image) if reset.address <= i.address < reset.end]
    mnemonics = [i.mnemonic for i in code]
    assert not [m for m in mnemonics if m.startswith("v")]
    assert mnemonics.index("dsb") + 1 == mnemonics.index("isb") < mnemonics.index("bl")
    literals = [word(image, a) for a in range(reset.end & ~3, (reset.end & ~3) + 40, 4)]
    assert 0xE000ED88 in literals


def header_structs():
    """name -> fields of the structs in kernels.h, read by eye of a regular expression: every member is 4 bytes."""
    text = re.sub(r"/\*.*?\*/", "", (REPOSITORY / "armsrc/include/kernels.h").read_text(), flags=re.DOTALL)
    structs = {}
    for body, name in re.findall(r"typedef struct \{(.*?)\} (\w+);", text, flags=re.DOTALL):
        members = []
        for declaration in filter(None, map(str.strip, body.split(";"))):
            code = "ptr" if "*" in declaration else {"int32_t": "i4", "float": "f4"}[declaration.split()[0]]
            members += [(re.search(r"(\w+)$", part.strip()).group(1), code) for part in declaration.split(",")]
        structs[name] = {field: (4 * i, code, 4) for i, (field, code) in enumerate(members)}
    return structs


@pytest.mark.parametrize("which", ["firmware", "float_library"])
def test_structs_equal_the_header(which, request):
    image = request.getfixturevalue(which)
    found = {name: {f: (d.offset, d.code, d.size) for f, d in fields.items()} for name, fields in image.structs.items()}
    expected = header_structs()
    assert len(expected) == 9
    assert {name: found.get(name) for name in expected} == expected
    assert [list(found[name]) for name in expected] == [list(fields) for fields in expected.values()]


@pytest.mark.parametrize(("function", "file"), [("conv2d_s8", "armsrc/kernels/c/conv2d.c"), ("main", "armsrc/firmware/main.c"),
                                                ("Reset_Handler", "armsrc/firmware/startup.S"), ("firmware_done", "armsrc/firmware/done.S")])
def test_source_lines(firmware, function, file):
    symbol = firmware.symbols[function]
    path, line = firmware.source_line(symbol.address).rsplit(":", 1)
    assert path == file
    source = (REPOSITORY / path).read_text().splitlines()
    assert 1 <= int(line) <= len(source)
    if function == "firmware_done":
        assert source[int(line) - 1].strip() == "wfi"


def test_no_source_line_outside_code(firmware):
    assert firmware.source_line(RAM) is None
    assert firmware.source_line(0) is None


def test_second_load_does_not_import_elftools(firmware):
    assert firmware.structs
    program = (f"import sys; from emu.build.elf import Image; image = Image.load({str(firmware.path)!r}); image.structs; "
               "image.function_at(image.entry); print('elftools' in sys.modules, image.sha256, len(image.symbols))")
    answer = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    assert answer == ["False", firmware.sha256, str(len(firmware.symbols))]


def test_damaged_sidecar_is_read_anew(firmware, cache):
    for sidecar in (cache / "elf").iterdir():
        sidecar.write_text('{"schema": 1')
    assert Image.load(firmware.path) == firmware


def corrupt(data, offset, value, form="<H"):
    changed = bytearray(data)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


@pytest.mark.parametrize(("change", "message"), [
    (lambda d: b"", "not an ELF"),
    (lambda d: b"RIFF" + d[4:], "not an ELF"),
    (lambda d: d[:20], "truncated or damaged"),
    (lambda d: d[:60], "truncated|nothing to load"),
    (lambda d: d[:1000], "truncated"),
    (lambda d: d[:-200], "truncated"),
    (lambda d: corrupt(d, 18, 62), "for x64, not for 32-bit Arm|not for 32-bit Arm"),
    (lambda d: corrupt(d, 16, 1), "not linked"),
    (lambda d: corrupt(d, 32, 0x7FFFFFFF, "<I"), "truncated or damaged"),
])
def test_files_that_are_no_image(firmware, tmp_path, change, message):
    path = tmp_path / "broken.elf"
    path.write_bytes(change(firmware.path.read_bytes()))
    with pytest.raises(InputError, match=message) as error:
        Image.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"absent\.elf: No such file"):
        Image.load(tmp_path / "absent.elf")
    with pytest.raises(InputError, match="Is a directory"):
        Image.load(tmp_path)
