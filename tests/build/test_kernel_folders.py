"""Folders of kernels: what is built of them, whose each kernel then is, and everything that can be wrong with one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from emu import kws
from emu.build import kernel_folder
from emu.build.cache import REPOSITORY
from emu.build.compile import build, implementations
from emu.build.elf import Image
from emu.build.sources import COMPILE_FLAGS
from emu.build.toolchain import find
from emu.errors import BuildError, InputError, UsageError

C = REPOSITORY / "armsrc/kernels/c"
DENSE = (C / "pointwise.c").read_text().partition("void pointwise_conv2d_s8")[0] + "void dense_s8" + (
    C / "pointwise.c").read_text().partition("void dense_s8")[2]  # without the other kernel of the file
STUB = '#include "kernels.h"\nvoid NAME(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch) { (void)p; (void)x; (void)y; (void)scratch; }\n'


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a dense kernel that includes the base's headers."""
    return folder(tmp_path / "mine", {"dense.c": DENSE})


def folder(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def library(path: Path, toolchain, **options) -> Image:
    return Image.load(build(str(path), generated={}, float_abi=False, toolchain=toolchain, script="library", **options))


def owners(path: Path, toolchain) -> dict[str, str]:
    return {kernel: owner.name for kernel, owner in implementations(str(path), float_abi=False, toolchain=toolchain).items()}


def compiled(path: Path, text: str, toolchain, *flags: str) -> Path:
    """An object file."""
    source = path.with_suffix(".c")
    source.write_text(text)
    subprocess.run([toolchain.path, "-mcpu=cortex-m4", *COMPILE_FLAGS, "-O2", *flags, f"-I{REPOSITORY}/armsrc/include", f"-I{C}", "-c", source, "-o", path],
                   check=True)
    source.unlink()
    return path


def test_one_kernel_and_the_rest_from_c(mine, toolchain) -> None:
    """The same sources make the same code, wherever they lie."""
    profile, wrong = kws.judged(kws.Job(kernels=str(mine)))
    c, _ = kws.judged(kws.Job(kernels="c"))
    assert not wrong and [(row.cycles, row.traffic) for row in profile.layers] == [(row.cycles, row.traffic) for row in c.layers]
    about = profile.about["kernel_set"]
    assert profile.about["kernels"] == f"mine ({mine})" and about["implements"] == dict.fromkeys(about["implements"], "c") | {"dense_s8": "mine"}


def test_a_base_and_its_includes(tmp_path, toolchain) -> None:
    path = folder(tmp_path / "mine", {"kernels.toml": 'base = "thumb2"\n', "dense.S": (REPOSITORY / "armsrc/kernels/thumb2/dense.S").read_text()})
    assert owners(path, toolchain)["dense_s8"] == "mine" and owners(path, toolchain)["conv2d_s8"] == "thumb2"
    profile, wrong = kws.judged(kws.Job(kernels=str(path)))
    assert not wrong and [row.cycles for row in profile.layers] == [row.cycles for row in kws.judged(kws.Job())[0].layers]


def test_a_set_of_the_project_may_have_a_base(sources, cache, toolchain) -> None:
    folder(sources / "armsrc/kernels/half", {"kernels.toml": 'base = "c"\n', "dense.c": DENSE})
    image = Image.load(build("half", generated={}, float_abi=False, toolchain=toolchain, script="library", source_root=sources))
    assert image.source_line(image.symbols["dense_s8"].address).startswith("armsrc/kernels/half/dense.c:")


def test_functions_with_other_names(mine, toolchain) -> None:
    folder(mine, {"dense.c": DENSE.replace("dense_s8", "fast_dense"), "kernels.toml": '[kernels]\ndense = "fast_dense"\n'})
    image = library(mine, toolchain)
    assert image.symbols["dense_s8"].address == image.symbols["fast_dense"].address
    assert image.function_at(image.symbols["dense_s8"].address).name == "fast_dense"
    profile, wrong = kws.judged(kws.Job(kernels=str(mine)))
    assert not wrong and profile.layers[-1].kernel == "dense_s8"


def test_cpp_without_exceptions(mine, toolchain) -> None:
    (mine / "dense.c").unlink()
    folder(mine, {"dense.cpp": 'extern "C" {\n#include "dot.h"\n#include "requantize.h"\n}\n' + "template <int N> struct Zero { static constexpr int value = N; };\n"
                  + STUB.partition("\n")[2].replace("NAME", "dense_s8").replace("void dense", 'extern "C" void dense')})
    if subprocess.run([toolchain.path, "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True).stdout.strip() == "cc1plus":
        pytest.skip("the compiler has no C++ (cc1plus)")
    (mine / "dense.cpp").write_text((mine / "dense.cpp").read_text().replace("#include \"dot.h\"\n#include \"requantize.h\"\n", '#include "kernels.h"\n'))
    assert owners(mine, toolchain)["dense_s8"] == "mine"
    (mine / "dense.cpp").write_text((mine / "dense.cpp").read_text().replace('extern "C" void', "void").replace("dense_s8(", "dense_s8_(")
                                    .replace("dense_s8_(", "dense_s8(", 1))


@pytest.mark.parametrize("archived", [False, True])
def test_objects_and_archives_as_they_are(tmp_path, toolchain, archived) -> None:
    """An archive beside a source, or an object alone; what changes in it changes the image."""
    path = folder(tmp_path / "mine", {"empty.c": "enum { NOTHING };\n"} if archived else {"kernels.toml": 'sources = ["../*.o"]\n'})
    made = compiled(tmp_path / "dense.o", DENSE, toolchain, "-std=c11")
    if archived:
        subprocess.run([str(toolchain.path).replace("gcc", "ar"), "rc", path / "libmine.a", made], check=True)
    assert owners(path, toolchain)["dense_s8"] == "mine"
    profile, wrong = kws.judged(kws.Job(kernels=str(path)))
    assert not wrong and "dense_s8" not in profile.about["kernel_set"]["compiled"] or archived
    first = library(path, toolchain).sha256
    compiled(made, DENSE.replace("int32_t *column = scratch", "asm volatile (\"nop\"); int32_t *column = scratch"), toolchain, "-std=gnu11")
    if archived:
        subprocess.run([str(toolchain.path).replace("gcc", "ar"), "rc", path / "libmine.a", made], check=True)
    assert library(path, toolchain).sha256 != first


def test_everything_is_in_the_key(mine, toolchain, tmp_path) -> None:
    folder(tmp_path / "elsewhere", {"value.h": "enum { VALUE = 1 };\n"})
    folder(mine, {"kernels.toml": 'include = ["../elsewhere"]\n', "value.c": '#include <value.h>\nint value(void);\nint value(void) { return VALUE + MORE; }\n'})
    texts = ['flags = ["-DMORE=0"]\n', 'flags = ["-DMORE=5"]\n']
    images = set()
    for text in texts:
        (mine / "kernels.toml").write_text(text + 'include = ["../elsewhere"]\n')
        images.add(library(mine, toolchain).sha256)
    (tmp_path / "elsewhere/value.h").write_text("enum { VALUE = 2 };\n")
    images.add(library(mine, toolchain).sha256)
    assert len(images) == 3
