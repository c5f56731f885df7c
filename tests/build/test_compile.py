"""Building: what is reused, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from emu.build import cache as caches
from emu.build import compile as images
from emu.build import driver, kernel_folder
from emu.build import sources as sources_module
from emu.build.compile import machine_flags
from emu.build.driver import first_error
from emu.build.elf import Image
from emu.errors import BuildError, UsageError
from emu.isa import cpu as cores
from emu.machine.code import decoded

build = partial(images.build, opt="O0")  # where the optimization does not matter: a third of the compiler's time


def files(cache, pattern="**/*"):
    return sorted(p for p in cache.glob(pattern) if p.is_file() and p.name != "compilers.json")


def drafts(cache):
    return [p for p in cache.glob("**/.*") if p.exists()]


def test_every_set_is_listed():
    assert {"c", "float", "thumb2"} <= set(kernel_folder.names())


@pytest.mark.parametrize("opt", ["O0", "O1", "O2", "O3", "Os", "Og", "Ofast"])
def test_every_optimization_builds(network, toolchain, opt):
    assert build("c", generated=network, float_abi=False, toolchain=toolchain, opt=opt).exists()
    assert build("float", generated={}, float_abi=True, toolchain=toolchain, opt=opt, script="library").exists()


def test_second_build_runs_no_compiler(cache, network, toolchain):
    first = build("c", generated=network, float_abi=False, toolchain=toolchain)
    broken = replace(toolchain, path="/no/such/compiler")
    assert build("c", generated=network, float_abi=False, toolchain=broken) == first
    assert not drafts(cache)


def test_warm_build_is_fast(cache, network, toolchain):
    build("c", generated=network, float_abi=False, toolchain=toolchain)
    started = time.process_time()
    for _ in range(20):
        build("c", generated=network, float_abi=False, toolchain=toolchain)
    assert (time.process_time() - started) / 20 < 0.02  # about 1 ms; room for a slow machine


def test_editing_one_kernel_compiles_one_file(cache, sources, toolchain):
    arguments = {"generated": {}, "float_abi": False, "toolchain": toolchain, "script": "library", "source_root": sources}
    first = build("c", **arguments)
    before = set(files(cache, "objects/*"))
    kernel = sources / "armsrc/kernels/c/max_pool2d.c"
    kernel.write_text(kernel.read_text() + "\nint added(void);\nint added(void) { return 1; }\n")
    second = build("c", **arguments)
    assert second != first
    assert len(set(files(cache, "objects/*")) - before) == 1


@pytest.mark.parametrize("changed", ["armsrc/include/kernels.h", "armsrc/include/window.h", "armsrc/kernels/c/requantize.h", "armsrc/firmware/firmware.ld",
                                     "armsrc/firmware/network.h"])
def test_every_input_is_in_the_key(cache, sources, network, toolchain, changed):
    arguments = {"generated": network, "float_abi": False, "toolchain": toolchain, "source_root": sources}
    first = build("c", **arguments)
    path = sources / changed
    path.write_text(path.read_text() + "\n/* changed */\n")
    assert build("c", **arguments) != first


@pytest.mark.parametrize("asked", ["common.c", "deep/er/values.h"])
def test_whatever_a_source_includes_is_in_the_key(cache, sources, toolchain, asked):
    """A .c that another one includes, a header in a folder below, and one that only that header names."""
    arguments = {"generated": {}, "float_abi": False, "toolchain": toolchain, "script": "library", "source_root": sources}
    folder = sources / "armsrc/kernels/c"
    for name in (asked, "last.inc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / asked).write_text('#include "last.inc"\n' if "/" not in asked else '#include "../../last.inc"\n')
    (folder / "last.inc").write_text("enum { VALUE = 1 };\n")
    kernel = folder / "max_pool2d.c"
    kernel.write_text(kernel.read_text() + f'\n#include "{asked}"\nint value(void);\nint value(void) {{ return VALUE; }}\n')
    first = build("c", **arguments)
    (folder / "last.inc").write_text("enum { VALUE = 77 };\n")
    assert build("c", **arguments).read_bytes() != first.read_bytes()


def test_image_is_the_same_wherever_the_sources_stand(cache, sources, network, toolchain, monkeypatch, tmp_path):
    arguments = {"generated": network, "float_abi": False, "toolchain": toolchain}
    here = build("c", **arguments).read_bytes()
    monkeypatch.setenv("THUMBCYCLE_CACHE", str(tmp_path / "other"))
    assert build("c", **arguments, source_root=sources).read_bytes() == here


def test_builders_at_the_same_time(cache, network, toolchain):
    def one(_):
        return build("c", generated=network, float_abi=False, toolchain=toolchain).read_bytes()

    with ThreadPoolExecutor(4) as pool:
        images = set(pool.map(one, range(4)))
    assert len(images) == 1
    assert not drafts(cache)


def test_compiler_settings_of_the_shell_do_not_take_part(cache, network, toolchain, monkeypatch):
    monkeypatch.setenv("CPATH", "/no/such/folder")
    monkeypatch.setenv("GCC_EXEC_PREFIX", "/no/such/folder/")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert build("c", generated=network, float_abi=False, toolchain=toolchain).exists()


@pytest.mark.parametrize(("options", "message"), [
    ({"kernels": "thumb"}, "no kernel set 'thumb' .*thumb2.*did you mean thumb2"),
    ({"kernels": "../c"}, "no kernel set"),
    ({"opt": "O9"}, "no optimization 'O9' .*O3"),
    ({"opt": "-O3"}, "did you mean O3"),
    ({"script": "firmwear"}, "did you mean firmware"),
])
def test_unknown_names(cache, network, toolchain, options, message):
    with pytest.raises(UsageError, match=message):
        build(**{"kernels": "c", "generated": network, "float_abi": False, "toolchain": toolchain, **options})


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_every_core_builds(network, toolchain, cpu):
    """And the flags come from the core's table. In the cache of all tests, of which others want most of this."""
    fpu = cores.find(cpu).fpu
    assert machine_flags(cpu, False) == (f"-mcpu={cpu}", "-mfloat-abi=soft")
    assert machine_flags(cpu, True) == (f"-mcpu={cpu}", *(("-mfloat-abi=hard", f"-mfpu={fpu}") if fpu else ("-mfloat-abi=soft",)))
    for script, generated in (("firmware", network), ("library", {})):
        image = Image.load(images.build("c", generated=generated, float_abi=False, toolchain=toolchain, cpu=cpu, script=script))
        assert not np.any(decoded(image)["flags"] & int(cores.find(cpu).lacks))


def test_unknown_core(cache, network, toolchain):
    with pytest.raises(UsageError, match="no core 'cortex-m1' .did you mean cortex-m"):
        build("c", generated=network, float_abi=False, toolchain=toolchain, cpu="cortex-m1")


def test_float_needs_an_fpu_or_libgcc(cache, toolchain, tmp_path):
    """A compiler without libgcc for the core, as PyPI's is."""
    bare = tmp_path / "bare-gcc"
    bare.write_text(f"#!/bin/sh\ncase \"$*\" in *-lgcc*) echo 'ld: cannot find -lgcc' >&2; exit 1;; esac\nexec {toolchain.path} \"$@\"\n")
    bare.chmod(0o755)
    with pytest.raises(BuildError, match="^float kernels need an FPU, which cortex-m3 has not .cortex-m4, cortex-m7, cortex-m33 have., or a libgcc "
                                         "for it, which .*bare-gcc has not$"):
        build("float", generated={}, float_abi=True, toolchain=replace(toolchain, path=bare), script="library", cpu="cortex-m3")


def test_the_runtime_is_ours_whatever_the_compiler_brings(cache, toolchain):
    """Multiplication, division and shifts of C for the M0+ link without libgcc, in an image that calls them alone."""
    text = """long long f(long long a, long long b, int n, unsigned u, int i);
long long f(long long a, long long b, int n, unsigned u, int i)
{
    return a * b + a / b + (a << n) + (long long)((unsigned long long)a >> n) + (a >> n) + u / (unsigned)n + i / n + i % n + __builtin_clz(u);
}
"""
    image = Image.load(build("c", generated={"f.c": text}, float_abi=False, toolchain=toolchain, script="library", cpu="cortex-m0plus"))
    for name in ("lmul", "ldivmod", "llsl", "llsr", "lasr", "uidiv", "idiv", "idivmod"):
        assert image.function_at(image.symbols[f"__aeabi_{name}"].address)


@pytest.mark.parametrize(("file", "text", "message"), [
    ("bad.c", "int f(void)\n{\n    return undeclared;\n}\n", r"^armsrc/kernels/c/bad\.c:3:12: error: 'undeclared' undeclared"),
    ("bad.c", '#include "absent.h"\n', r"^armsrc/kernels/c/bad\.c:1:10: fatal error: absent\.h"),
    ("bad.S", "    .syntax unified\n    frobnicate r0\n", r"^armsrc/kernels/c/bad\.S:2: Error: bad instruction .*\(assembled for cortex-m4\)$"),
])
def test_kernel_that_does_not_compile(cache, sources, toolchain, file, text, message):
    (sources / "armsrc/kernels/c" / file).write_text(text)
    with pytest.raises(BuildError, match=message) as error:
        build("c", generated={}, float_abi=False, toolchain=toolchain, script="library", source_root=sources)
    assert "\n" not in str(error.value)
    assert not files(cache, "images/*")
    assert not drafts(cache)


def test_generated_file_that_does_not_compile(cache, toolchain):
    with pytest.raises(BuildError, match=r"^generated/network\.c:1:22: error: .nonsense. undeclared"):
        build("c", generated={"network.c": "int f(void) { return nonsense; }\n"}, float_abi=False, toolchain=toolchain)


@pytest.mark.parametrize("script", ["firmware", "library"])
def test_set_without_a_kernel_names_it(cache, sources, network, toolchain, script):
    (sources / "armsrc/kernels/c/max_pool2d.c").unlink()
    with pytest.raises(BuildError, match="kernel set 'c' does not link: .*max_pool2d_s8") as error:
        build("c", generated=network if script == "firmware" else {}, float_abi=False, toolchain=toolchain, script=script, source_root=sources)
    assert "\n" not in str(error.value)
    assert not files(cache, "images/*")
    assert not drafts(cache)


def test_image_too_large_for_the_board(cache, network, toolchain):
    text = network["network.c"].replace("network_scratch[64]", "network_scratch[50000]")
    with pytest.raises(BuildError, match=r"does not link: section `\.bss' will not fit in region `RAM'"):
        build("c", generated={"network.c": text}, float_abi=False, toolchain=toolchain)


def test_float_arithmetic_cannot_get_into_an_int8_image(cache, sources, toolchain):
    (sources / "armsrc/kernels/c/sly.c").write_text("float sly(float a, float b);\nfloat sly(float a, float b) { return a * b; }\n")
    with pytest.raises(BuildError, match="__aeabi_fmul"):
        build("c", generated={}, float_abi=False, toolchain=toolchain, script="library", source_root=sources)


def test_compiler_that_hangs(cache, network, toolchain, tmp_path, monkeypatch):
    slow = tmp_path / "slow-gcc"
    slow.write_text("#!/bin/sh\nsleep 60 &\nwait\n")
    slow.chmod(0o755)
    monkeypatch.setattr(driver, "COMPILE_TIMEOUT", 0.3)
    started = time.perf_counter()
    with pytest.raises(BuildError, match=r"no answer in 0\.3 s, killed"):
        build("c", generated=network, float_abi=False, toolchain=replace(toolchain, path=slow))
    assert time.perf_counter() - started < 20
    assert not drafts(cache)


def test_cache_that_cannot_be_written(network, toolchain, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("THUMBCYCLE_CACHE", str(blocked / "cache"))
    with pytest.raises(BuildError, match="cannot write the build cache .*THUMBCYCLE_CACHE"):
        build("c", generated=network, float_abi=False, toolchain=toolchain)
    monkeypatch.setenv("THUMBCYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("emu.build.cache.draft_beside", lambda path: blocked)  # as where the cache is there, and read-only, which root may write
    with pytest.raises(BuildError, match="cannot write the build cache .*THUMBCYCLE_CACHE"):
        build("c", generated=network, float_abi=False, toolchain=toolchain)


def test_first_error_falls_back_to_the_last_line():
    assert first_error("") == "the compiler failed without a word"
    assert first_error("one\ntwo\n") == "two"


def test_sources_compile_without_warnings(toolchain, tmp_path):
    from emu.build.cache import REPOSITORY
    from emu.build.process import run

    for folder, float_abi, cpu in (("kernels/c", False, "cortex-m4"), ("kernels/c", False, "cortex-m0plus"), ("kernels/float", True, "cortex-m4"),
                                   ("firmware", False, "cortex-m4"), ("firmware", False, "cortex-m0plus")):
        for source in sorted((REPOSITORY / "armsrc" / folder).glob("*.c")):
            result = run([str(toolchain.path), *toolchain.flags, *machine_flags(cpu, float_abi), *sources_module.COMPILE_FLAGS, *sources_module.C_FLAGS, "-O2", "-Werror",
                          "-Wconversion", "-Wdouble-promotion", "-Wundef", "-Iarmsrc/include", "-c", str(source), "-o", str(tmp_path / "o.o")],
                         cwd=REPOSITORY, timeout=60)
            assert result.returncode == 0, result.stderr
    assert os.path.exists(tmp_path / "o.o")


def test_where_the_cache_is(monkeypatch, tmp_path):
    """An installed package leaves its folder alone: site-packages/build is somebody else's name."""
    monkeypatch.delenv(caches.VARIABLE, raising=False)
    assert caches.cache_dir() == caches.REPOSITORY / "build"
    monkeypatch.setattr(caches, "REPOSITORY", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert caches.cache_dir() == tmp_path / "x/thumbcycle"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert caches.cache_dir() == Path.home() / ".cache/thumbcycle"
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "own"))
    assert caches.cache_dir() == tmp_path / "own"
