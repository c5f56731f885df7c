"""clang as --cc: the same sources, another family of compilers. Skipped where there is none."""

from __future__ import annotations

import shutil

import pytest

from emu import kws
from emu.build import kernel_folder, toolchain
from emu.build.cache import REPOSITORY
from emu.build.compile import build
from emu.build.driver import first_error
from emu.build.elf import Image
from emu.build.sources import Files, Job, of_set
from emu.errors import BuildError
from tests.build.test_toolchain import fake_compiler

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
# What clang makes calls of: copies and clears of structs, 64-bit arithmetic.
HELPERS = """
struct block { int words[40]; };
void copy(struct block *a, const struct block *b);
void clear(struct block *a);
void *fill(char *a, unsigned n);
long long f(long long a, long long b, int n, unsigned u, int i);
void copy(struct block *a, const struct block *b) { *a = *b; }
void clear(struct block *a) { *a = (struct block){{0}}; }
void *fill(char *a, unsigned n) { __builtin_memset(a, 7, n); __builtin_memmove(a + 1, a, n); return __builtin_memcpy(a + n, a, n); }
long long f(long long a, long long b, int n, unsigned u, int i)
{
    return a * b + a / b + (a << n) + (a >> n) + u / (unsigned)n + i % n + __builtin_clz(u);
}
"""
needs_clang = pytest.mark.skipif(not (shutil.which("clang") and shutil.which("ld.lld")), reason="clang or lld is not installed")


@needs_clang
@pytest.mark.parametrize("core", CORES)
def test_the_spotter_is_bit_exact(core) -> None:
    profile, wrong, _ = kws.judged(kws.Job(kernels="c", core=core, cc="clang"))
    assert not wrong and profile.totals.bit_exact and "clang" in profile.about["toolchain"]["version"]


@needs_clang
def test_assembly_counts_the_same_and_float_is_as_near() -> None:
    ours, wrong, _ = kws.judged(kws.Job(cc="clang"))
    gcc, _, _ = kws.judged(kws.Job())
    assert not wrong and [(row.instructions, row.cycles) for row in ours.layers] == [(row.instructions, row.cycles) for row in gcc.layers]
    profile, _, _ = kws.judged(kws.Job(kernels="float", cc="clang"))
    assert profile.totals.max_abs_error < 1e-4


@needs_clang
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_what_it_calls_is_there(core) -> None:
    image = Image.load(build("c", generated={"f.c": HELPERS}, float_abi=False, toolchain=toolchain.find("clang"), script="library", cpu=core))
    assert {f"__aeabi_{name}" for name in ("memcpy", "memcpy4", "memmove", "memset", "memclr4", "memclr")} <= image.symbols.keys()
    assert image.function_at(image.symbols["__aeabi_memcpy4"].address).name == "memcpy"


@needs_clang
def test_sources_may_include_string_h(tmp_path) -> None:
    """As libraries do; Debian's clang has no C library for Arm. They may be C++, too."""
    for name in ("a.c", "b.cpp"):
        (tmp_path / name).write_text('''#include <string.h>
#include "kernels.h"
void KERNEL(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)
{
    memset(y, memcmp(x, scratch, 1) > 0, (size_t)p->out_c);
    memmove(scratch, memcpy(y, x, 1), 1);
}
'''.replace("KERNEL", "dense_s8" if name == "a.c" else "pointwise_conv2d_s8"))
    image = Image.load(build(str(tmp_path), generated={}, float_abi=False, toolchain=toolchain.find("clang"), script="library"))
    assert image.symbols["dense_s8"].size and image.symbols["pointwise_conv2d_s8"].size


@needs_clang
def test_its_string_h_is_part_of_what_it_made(tmp_path) -> None:
    """It names no system header among what it read, so another string.h would leave what is in the cache."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.c").write_text('#include <string.h>\n#include "kernels.h"\nvoid dense_s8(const dense_s8_params *p, const int8_t *x, int8_t *y, void *s)'
                                "\n{ memcpy(y, x, (size_t)p->out_c); (void)s; }\n")
    job = Job(REPOSITORY, toolchain.find("clang"), kernel_folder.chain(str(folder), False), {}, "cortex-m4", "library", False, "O3", (), (), ())
    assert "armsrc/libc/string.h" in of_set(job, Files(REPOSITORY, {}), 0, ())[0].included


@needs_clang
def test_what_its_assembler_does_not_take(sources) -> None:
    (sources / "armsrc/kernels/c/gnu.S").write_text("    .syntax unified\n    .thumb\n    .macro get\n    ldrsb.w r7, [r0], #1\n    .endm\n    get\n")
    with pytest.raises(BuildError, match=r"^armsrc/kernels/c/gnu\.S:6:5: error: too many operands .*--cc arm-none-eabi-gcc\)$"):
        build("c", generated={}, float_abi=False, toolchain=toolchain.find("clang"), script="library", source_root=sources)


@needs_clang
def test_errors_are_one_line(sources, network) -> None:
    clang = toolchain.find("clang")
    with pytest.raises(BuildError, match="^float kernels need an FPU, which cortex-m3 has not .*clang has not$"):
        build("float", generated={}, float_abi=True, toolchain=clang, script="library", cpu="cortex-m3")
    (sources / "armsrc/kernels/c/max_pool2d.c").unlink()
    with pytest.raises(BuildError, match="kernel set 'c' does not link: .*max_pool2d_s8") as error:
        build("c", generated=network, float_abi=False, toolchain=clang, source_root=sources)
    assert "\n" not in str(error.value)


@needs_clang
@pytest.mark.parametrize("flag", ["-fgcse", "--param=max-unroll-times=2", "-mnonsense"])
def test_options_that_it_would_ignore_are_refused(flag) -> None:
    with pytest.raises(BuildError, match=rf"error: .*{flag}"):
        build("c", generated={}, float_abi=False, toolchain=toolchain.find("clang"), script="library", extra_flags=[flag])


def test_a_linker_is_part_of_what_it_is(cache, tmp_path, monkeypatch) -> None:
    clang = fake_compiler(tmp_path / "bin" / "clang", "fake clang version 1.0")
    monkeypatch.setenv("PATH", "/usr/no/such")
    with pytest.raises(BuildError, match="clang links with ld.lld or arm-none-eabi-ld, and none is on PATH: apt install lld"):
        toolchain.find(str(clang))
    gnu = fake_compiler(tmp_path / "bin" / "arm-none-eabi-ld")
    first = toolchain.find(str(clang))
    assert first.link_flags == (f"--ld-path={gnu}",) and first.flags[0] == "--target=arm-none-eabi"
    lld = fake_compiler(tmp_path / "bin" / "ld.lld")
    second = toolchain.find(str(clang))
    assert second.link_flags == (f"--ld-path={lld}",) and second.identity != first.identity


def test_an_error_in_a_macro_has_its_callers_place() -> None:
    assert first_error("<instantiation>:1:2: error: no\nx.S:9:3: note: while in macro instantiation\n") == "x.S:9:3: error: no"
    assert first_error("<instantiation>:1:2: error: no\n") == "<instantiation>:1:2: error: no"
