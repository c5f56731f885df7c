"""Folders of kernels: what is built of them, whose each kernel then is, and everything that can be wrong with one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from armsrc import kernelset
from emu import kws
from emu.build import kernel_folder
from emu.build.cache import REPOSITORY
from emu.build.compile import build, implementations
from emu.build.elf import Image
from emu.build.sources import COMPILE_FLAGS
from emu.build.toolchain import find
from emu.errors import BuildError, InputError, UsageError

C, T = (REPOSITORY / "armsrc/kernels" / name for name in ("c", "thumb2"))
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
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(mine)))
    c, _, _ = kws.judged(kws.Job(kernels="c"))
    assert not wrong and [(row.cycles, row.traffic) for row in profile.layers] == [(row.cycles, row.traffic) for row in c.layers]
    about = profile.about["kernel_set"]
    assert profile.about["kernels"] == f"mine ({mine})" and about["implements"] == dict.fromkeys(about["implements"], "c") | {"dense_s8": "mine"}


def test_words_by_memcpy_are_loads(tmp_path, toolchain) -> None:
    """As where there is a C library; a folder can ask for the call."""
    text = STUB.replace("NAME", "dense_s8").replace("(void)x; (void)y;", "int value; __builtin_memcpy(&value, x, 4); memcpy(y, &value, 4);")
    files = {"dense.c": f"#include <stddef.h>\nvoid *memcpy(void *restrict to, const void *restrict from, size_t n);\n{text}"}
    sizes = [next(f.size for f in library(folder(tmp_path / name, {**files, "kernels.toml": toml}), toolchain).functions if f.name == "dense_s8")
             for name, toml in (("loads", ""), ("calls", 'flags = ["-fno-builtin"]\n'))]
    assert sizes[0] == 6 < sizes[1]  # LDR, STR, BX


def test_a_base_and_its_includes(tmp_path, toolchain) -> None:
    path = folder(tmp_path / "mine", {"kernels.toml": 'base = "thumb2"\n', "dense.S": (REPOSITORY / "armsrc/kernels/thumb2/dense.S").read_text(),
                                      "pack.py": "from armsrc.kernels.thumb2.pack import pack\n"})
    assert owners(path, toolchain)["dense_s8"] == "mine" and owners(path, toolchain)["conv2d_s8"] == "thumb2"
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(path)))
    assert not wrong and [row.cycles for row in profile.layers] == [row.cycles for row in kws.judged(kws.Job())[0].layers]


def test_a_set_of_the_project_may_have_a_base(sources, toolchain) -> None:
    folder(sources / "armsrc/kernels/half", {"kernels.toml": 'base = "c"\n', "dense.c": DENSE})
    image = Image.load(build("half", generated={}, float_abi=False, toolchain=toolchain, script="library", source_root=sources))
    assert image.source_line(image.symbols["dense_s8"].address).startswith("armsrc/kernels/half/dense.c:")


def test_functions_with_other_names(mine, toolchain) -> None:
    folder(mine, {"dense.c": DENSE.replace("dense_s8", "fast_dense"), "kernels.toml": '[kernels]\ndense = "fast_dense"\n'})
    image = library(mine, toolchain)
    assert image.symbols["dense_s8"].address == image.symbols["fast_dense"].address
    assert image.function_at(image.symbols["dense_s8"].address).name == "fast_dense"
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(mine)))
    assert not wrong and profile.layers[-1].kernel == "dense_s8"


def test_cpp_without_exceptions(mine, toolchain) -> None:
    if subprocess.run([toolchain.path, "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True).stdout.strip() == "cc1plus":
        pytest.skip("the compiler has no C++ (cc1plus)")
    (mine / "dense.c").unlink()
    text = STUB.replace("NAME", "dense_s8").replace("{ (void)p;", "{ static_assert(sizeof(*p) > 8); (void)p;")
    folder(mine, {"dense.cpp": text})
    assert owners(mine, toolchain)["dense_s8"] == "mine" and kernel_folder.find(str(mine)).holds_c
    folder(mine, {"dense.cpp": text.replace('#include "kernels.h"', '#include "kernels.h"\nnamespace own {') + "}\n"})
    with pytest.raises(BuildError, match=r"has no kernel: .*\(there is _ZN3own8dense_s8.*: in C\+\+ it needs extern .C.\)$"):
        library(mine, toolchain)
    folder(mine, {"dense.cpp": text + "struct Table { Table(); int n; };\nint begin();\nTable::Table() : n(begin()) {}\nint begin() { return 3; }\nTable table;\n"})
    for built in (lambda: library(mine, toolchain), lambda: kws.judged(kws.Job(kernels=str(mine)))):  # the linker collects what nothing names
        with pytest.raises(BuildError, match=r"it has constructors of global objects \(\.init_array\), and nothing calls them"):
            built()
    folder(mine, {"dense.cpp": text + "void f();\nvoid f() { throw 3; }\n"})
    with pytest.raises(BuildError, match=r"dense\.cpp:4:18: error: exception handling disabled"):
        library(mine, toolchain)


@pytest.mark.parametrize("archived", [False, True])
def test_objects_and_archives_as_they_are(tmp_path, toolchain, archived) -> None:
    """An archive beside a source, or an object alone; what changes in it changes the image."""
    path = folder(tmp_path / "mine", {"empty.c": "enum { NOTHING };\n"} if archived else {"kernels.toml": 'sources = ["../*.o"]\n'})
    made = compiled(tmp_path / "dense.o", DENSE, toolchain, "-std=c11")
    if archived:
        subprocess.run([str(toolchain.path).replace("gcc", "ar"), "rc", path / "libmine.a", made], check=True)
    assert owners(path, toolchain)["dense_s8"] == "mine"
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(path)))
    assert not wrong and "dense_s8" not in profile.about["kernel_set"]["compiled"] or archived
    first = library(path, toolchain).sha256
    compiled(made, DENSE.replace("int32_t *column = scratch", "asm volatile (\"nop\"); int32_t *column = scratch"), toolchain, "-std=gnu11")
    if archived:
        subprocess.run([str(toolchain.path).replace("gcc", "ar"), "rc", path / "libmine.a", made], check=True)
    assert library(path, toolchain).sha256 != first


@pytest.mark.parametrize(("also", "message"), [("dense.c", r"in .*mine/dense\.c and in .*mine/lib\.a$"), ("", r"in .*mine/lib\.a and in .*mine/lib\.a itself$")])
def test_a_kernel_that_an_archive_has_too(mine, toolchain, tmp_path, also, message) -> None:
    """A linker would take one of them and say nothing."""
    made = [compiled(tmp_path / f"{name}.o", STUB.replace("NAME", "dense_s8") + f"int helper(void);\nint helper(void) {{ return {name}; }}\n", toolchain) for name in ("1", "2")]
    subprocess.run([str(toolchain.path).replace("gcc", "ar"), "rc", mine / "lib.a", *(made[:1] if also else made)], check=True)
    if not also:
        (mine / "dense.c").unlink()
    with pytest.raises(BuildError, match=f"dense_s8 is defined twice, {message}"):
        library(mine, toolchain)


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


@pytest.mark.parametrize(("name", "how"), [
    ("value.h", "#define NAME \"value.h\"\n#include NAME\n"), ("value.h", '#include /* here */ "value.h"\n'), ("value.h", '#include \\\n  "value.h"\n'),
    ("a value.h", "#define NAME \"a value.h\"\n#include NAME\n"), ("value.h", '#include "HERE/value.h"\n'), ("value.h", '#define NAME "HERE/value.h"\n#include NAME\n'),
    ("value.inc", '__asm__(".include \\"value.inc\\"");\n'), ("value.h", '#if __has_include("other.h")\n__asm__("nop");\n#endif\n')])
def test_however_a_file_is_included_what_changes_in_it_changes_the_image(mine, toolchain, name, how) -> None:
    """Nobody has to see in the source's text what it includes."""
    folder(mine, {"dense.c": how.replace("HERE", str(mine)) + DENSE, name: '__asm__("nop");\n' if name.endswith(".h") else "nop\n"})
    first, again = library(mine, toolchain), library(mine, toolchain)
    assert first.path == again.path
    folder(mine, {"other.h" if "has_include" in how else name: '__asm__("nop; nop");\n' if name.endswith(".h") else "nop\nnop\n"})
    assert library(mine, toolchain).sha256 != first.sha256


@pytest.mark.parametrize(("text", "message"), [
    ("sources = [", r"kernels\.toml: Invalid value"),
    ('source = ["dense.c"]', r"kernels\.toml:1: no key is called 'source' .did you mean sources.*; there are sources, include"),
    ('\nsources = "dense.c"', r":2: sources must be a list of files, as sources = ..\*\.c.., not 'dense\.c'$"),
    ('sources = ["*.c", "no/*.S"]', r":1: sources: there is no file 'no/\*\.S' in "),
    ('sources = ["*"]', r":1: sources: kernels\.toml is none of \.c, \.cc"),
    ('include = ["no"]', r":1: include: there is no folder 'no' in "),
    ('flags = ["-Iinclude"]', r":1: flags: -Iinclude: folders stand in include = "),
    ('flags = ["-O2 -funroll-loops"]', r":1: flags: -O2 -funroll-loops: one option a text, as flags = \[.-O2., .-funroll-loops.\]$"),
    ('flags = ["-mcpu=cortex-m3"]', r":1: flags: -mcpu=cortex-m3 cannot be given: the core's name says"),
    ('flags = ["-include", "x.h"]', r":1: flags: -include cannot be given: an option that only changes the code is wanted .-O\.\.\., -std="),
    ('flags = ["-fstack-usage"]', r":1: flags: -fstack-usage cannot be given: it reads or writes files of its own$"),
    ('flags = ["-DA=1\\n2"]', r":1: flags: '-DA=1.n2' cannot be given: it cannot be printed$"),
    ("compiler = 3", r":1: compiler must be a compiler's name or path, not 3"),
    ('base = "thumb"', r":1: base: no kernel set is called 'thumb' .did you mean thumb2"),
    ('base = "float"', r":1: base: float has no int8 kernels"),
    ('base = "c"\n[[kernels]]\n', r":2: kernels must be a table \[kernels\] of layer kinds and functions, not "),
    ("kernels = 3", r":1: kernels must be a table \[kernels\] of layer kinds and functions, not 3"),
    ('[kernels]\ndens = "dense_s8"', r":2: no layer kind is called 'dens' .did you mean dense"),
    ('[kernels]\ndense = "9 lives"', r":2: dense must be the name of a function, not '9 lives'"),
])
def test_what_a_kernels_toml_may_not_say(mine, text, message) -> None:
    (mine / "kernels.toml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        kernel_folder.find(str(mine))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("files", "message"), [
    ({"kernels.toml": '[kernels]\ndense = "dense_s9"\n'}, r"kernels\.toml: dense = 'dense_s9', but no source or object defines it .did you mean dense_s8"),
    ({"kernels.toml": '[kernels]\ndense = "other"\n', "other.c": STUB.replace("NAME", "other")}, r"dense = 'other', but dense_s8 is defined, too$"),
    ({"two.c": STUB.replace("NAME", "dense_s8")}, r"dense_s8 is defined twice, in .*mine/dense\.c and in .*mine/two\.c$"),
    ({"dense.c": STUB.replace("NAME", "dense_s9")}, r"kernel set mine \(.*\) has no kernel: it defines none of conv2d_s8, .*it defines dense_s9; dense_s8 is wanted"),
    ({"dense.c": STUB.replace("NAME", "nothing") + "void conv2d_f32(const conv2d_f32_params *p, const float *x, float *y, void *scratch) { (void)p; (void)x; (void)y; (void)scratch; }\n"},
     r"has no kernel: .*it defines conv2d_f32, and the kernels of this run are int8.$"),
    ({"dense.c": DENSE, "heap.c": "void *malloc(unsigned n);\nvoid *heap(void);\nvoid *heap(void) { return malloc(3); }\n"},
     r"undefined reference to `malloc' .there is no C library: kernels have no heap"),
    ({"dense.c": DENSE, "more.c": "void far(void);\nvoid more(void);\nvoid more(void) { far(); }\n"},
     r"more\.c:3: undefined reference to `far' .a folder's sources are linked whole, .*: list those that kernels need, or an archive.$"),
    ({"dense.c": DENSE, "half.c": "float half(float x);\nfloat half(float x) { return x / 2; }\n"}, r"`__aeabi_fmul' .float arithmetic, for which"),
    ({"dense.c": "", "dense.S": ".syntax unified\n.thumb\n.type dense_s8, %function\ndense_s8: bx lr\n"},
     r"kernel set mine \(.*\): dense_s8 in /.*/mine/dense\.S is local to its file: \.global is wanted, in C no static$"),
    ({"dense.c": "static void __attribute__((used)) dense_s8(void) {}\n"}, r"dense_s8 in /.*/dense\.c is local to its file"),
    ({"dense.c": STUB.replace("void NAME", "__attribute__((weak)) void dense_s8")}, r"dense_s8 is weak, so another definition of it could run in its place"),
    ({"more.c": "int memcmp(const void *a, const void *b, unsigned n);\nint memcmp(const void *a, const void *b, unsigned n) { (void)a; (void)b; return (int)n; }\n"},
     r"kernel set 'mine' does not link: .*multiple definition of `memcmp'"),
    ({"dense.c": "int f(void) { return 1 }\n"}, r"^/.*mine/dense\.c:1:23: error: "),
])
def test_sets_that_are_not_right(mine, toolchain, files, message) -> None:
    folder(mine, files)
    with pytest.raises(BuildError, match=message) as error:
        library(mine, toolchain)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("x.o", b"junk", r"x\.o: no object file, or a damaged one"),
    ("x.a", b"!<thin>\n", r"x\.a: a thin archive"),
    ("x.a", b"!<arch>\n" + b" " * 60, r"x\.a: a damaged archive"),
])
def test_objects_that_are_none(mine, toolchain, name, content, message) -> None:
    (mine / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        library(mine, toolchain)


def test_an_object_for_another_machine_or_of_lto(mine, toolchain, tmp_path) -> None:
    compiled(mine / "big.o", "int f(void) { return 1; }\n", toolchain, "-mbig-endian")
    with pytest.raises(InputError, match=r"big\.o: compiled for big-endian Arm"):
        library(mine, toolchain)
    (mine / "big.o").unlink()
    compiled(mine / "arm.o", "int f(void);\nint f(void) { return 1; }\n", toolchain, "-mcpu=arm7tdmi", "-marm")
    with pytest.raises(InputError, match=r"arm\.o: compiled for a core with Arm state, which no Cortex-M has; -mcpu=cortex-m4 -mthumb, "):
        library(mine, toolchain)
    (mine / "arm.o").unlink()
    compiled(mine / "hard.o", "float f(float x);\nfloat f(float x) { return x; }\n", toolchain, "-mfloat-abi=hard")
    with pytest.raises(BuildError, match=r"hard\.o uses VFP register arguments, the image does not .it was compiled with -mfloat-abi=hard; soft is wanted.$"):
        library(mine, toolchain)
    (mine / "hard.o").unlink()
    compiled(mine / "lto.o", "int f(void) { return 1; }\n", toolchain, "-flto")
    with pytest.raises(InputError, match=r"lto\.o: compiled with -flto, so there is no code in it"):
        library(mine, toolchain)
    (mine / "lto.o").unlink()
    shutil.copy("/bin/true", mine / "host.o")
    with pytest.raises(InputError, match=r"host\.o: no object file for 32-bit Arm"):
        library(mine, toolchain)


def test_folders_that_are_none(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no kernel set '\./none': there is no such folder"):
        kernel_folder.find("./none")
    with pytest.raises(UsageError, match=r"^no kernel set 'thumb' \(there are c, .*, thumb2, and no folder thumb here\); did you mean thumb2\?$"):
        kernel_folder.find("thumb")
    (tmp_path / "dense.c").write_text(DENSE)
    with pytest.raises(UsageError, match="^no kernel set .*: that is no folder$"):
        kernel_folder.find(str(tmp_path / "dense.c"))
    with pytest.raises(UsageError, match="^no kernel set ''.*there are .*thumb2"):
        kernel_folder.find("")
    os.mkfifo(folder(tmp_path / "pipe", {"dense.c": DENSE}) / "kernels.toml")
    with pytest.raises(InputError, match="kernels.toml: no file"):  # and does not wait for somebody to write into it
        kernel_folder.find(str(tmp_path / "pipe"))
    with pytest.raises(InputError, match=r"no sources in it: \.c, \.cc, .* files are wanted, or kernels\.toml"):
        kernel_folder.find(str(folder(tmp_path / "empty", {"README": ""})))


def test_sets_that_are_each_others_base(sources) -> None:
    for name, base in (("one", "two"), ("two", "one")):
        folder(sources / f"armsrc/kernels/{name}", {"kernels.toml": f'base = "{base}"\n', "dense.c": DENSE})
    with pytest.raises(InputError, match="the sets one and two are each other's base"):
        kernel_folder.chain("one", False, sources)


def test_the_compiler_that_it_asks_for(mine, tmp_path) -> None:
    (mine / "kernels.toml").write_text('compiler = "bin/cc"\n')
    with pytest.raises(BuildError, match=rf"^{mine}/kernels\.toml: compiler {mine}/bin/cc: no such compiler"):
        kernel_folder.find(str(mine)).toolchain(None)
    (mine / "bin").mkdir()
    (mine / "bin/cc").symlink_to(find().path)
    chosen = kernel_folder.find(str(mine))
    assert chosen.toolchain(None).path == mine / "bin/cc" and chosen.toolchain(str(find().path)).path == find().path


def test_its_packing_is_for_its_own_kernels_alone(mine, toolchain) -> None:
    """A base's pack.py must not pack for a kernel that reads the ABI's tables."""
    from emu.build.compile import packing

    folder(mine, {"pack.py": "import numpy as np\nfrom armsrc.kernelset import Packed\ndef pack(kernel, *params):\n    return Packed(np.arange(3, dtype=np.uint32))\n"})
    made = packing(implementations(str(mine), float_abi=False, toolchain=toolchain))
    assert made.pack("dense_s8", {}).words.tolist() == [0, 1, 2] and made.pack("conv2d_s8", {}) is None and not made.fuses("conv2d_max_pool2d_s8", {}, {})


@pytest.mark.parametrize(("text", "message"), [
    ("def packs(kernel, p):\n    return None\n", r"/pack\.py: it defines none of pack, fuses, scratch$"),
    ("pack = 3\n", r"/pack\.py: pack\('dense_s8'\): TypeError: 'int' object is not callable$"),
    ("import sys\ndef pack(kernel, p):\n    sys.exit(0)\n", r"/pack\.py:3: pack\('dense_s8'\): SystemExit: 0$"),
    ("def pack(kernel, p):\n    return p['no\\nne']\n", r"/pack\.py:2: pack\('dense_s8'\): KeyError: 'no\\nne'$"),
    ("def pack(kernel, p):\n    return 3\n", r"/pack\.py: pack\('dense_s8'\) returned 3: a Packed is wanted, or None$"),
    ("from armsrc.kernelset import Packed\nimport numpy as np\ndef pack(kernel, p):\n    return Packed(np.zeros(4))\n", r"returned words float64 \(4,\): uint32 \(n,\) is wanted$"),
    ("from armsrc.kernelset import Packed\nimport numpy as np\ndef pack(kernel, p):\n    return Packed(np.zeros(4, np.uint32), -4)\n", r"returned scratch -4: a number of bytes is wanted, at most 16,777,216$"),
    ("from armsrc.kernelset import Packed\nimport numpy as np\ndef pack(kernel, p):\n    return Packed(np.zeros(4, np.uint32), addresses=['dense_s8'])\n",
     r"returned addresses \['dense_s8'\]: a mapping is wanted, the index of a word -> the name of a symbol$"),
    *((f"from armsrc.kernelset import Packed\nimport numpy as np\ndef pack(kernel, p):\n    return Packed(np.zeros(4, np.uint32), addresses={{{wrong}}})\n",
       rf"returned addresses {wrong}: the index of a word and the name of a symbol are wanted$") for wrong in ("1.0: 'dense_s8'", "4: 'dense_s8'", "0: None")),
    ("from armsrc.kernelset import Packed\ndef pack(kernel, p):\n    return Packed([[1], [1, 2]])\n", r"returned words \[\[1\], \[1, 2\]\]: uint32 \(n,\) is wanted$"),
    ("def scratch(kernel, p):\n    return 10 ** 9\n", r"/pack\.py: scratch\('dense_s8'\) returned 1000000000: a number of bytes is wanted, at most 16,777,216$"),
    ("def scratch(kernel, p):\n    return '3'\n", r"/pack\.py: scratch\('dense_s8'\) returned '3': a number of bytes is wanted, at most 16,777,216$"),
    ("raise ValueError('two\\nlines')\n", r"/pack\.py:1: ValueError: two lines$"),
])
def test_a_pack_py_that_does_not_do_as_it_should(mine, text, message) -> None:
    folder(mine, {"pack.py": text})
    with pytest.raises(BuildError, match=message) as error:
        kws.judged(kws.Job(kernels=str(mine)))
    assert "\n" not in str(error.value)


def test_a_pair_of_layers_is_not_fused_where_the_folder_has_a_kernel_for_one(mine) -> None:
    folder(mine, {"kernels.toml": f'base = "fused"\ninclude = ["{C}"]\n'})
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(mine)))
    assert not wrong and [row.name.count("+") for row in profile.layers] == [1, 1, 0, 0]  # the average pool and the dense layer stand alone


@pytest.mark.parametrize("base", ["c", "thumb2"])
def test_a_kernel_may_leave_shapes_to_the_bases(tmp_path, base) -> None:
    """With the base's packing, too: then it costs what the base's does, and a branch."""
    body = f"{{ dense_s8_of_{base}(p, x, y, scratch); }}\n"
    source = STUB.replace("NAME", "dense_s8").replace("{ (void)p; (void)x; (void)y; (void)scratch; }\n", body)
    declared = STUB.replace("NAME", f"dense_s8_of_{base}").replace("{ (void)p; (void)x; (void)y; (void)scratch; }\n", ";\n").replace('#include "kernels.h"\n', "")
    files = {"kernels.toml": f'base = "{base}"\n', "dense.c": source.replace('#include "kernels.h"\n', '#include "kernels.h"\n' + declared)}
    path = folder(tmp_path / "mine", files | ({"pack.py": "from armsrc.kernels.thumb2.pack import pack\n"} if base == "thumb2" else {}))
    mine, wrong, _ = kws.judged(kws.Job(kernels=str(path)))
    bases, _, _ = kws.judged(kws.Job(kernels=base))
    assert not wrong and 0 < mine.layers[-1].cycles - bases.layers[-1].cycles < 10


def test_kernels_that_never_run_are_told(mine) -> None:
    from emu.report.table import whose

    folder(mine, {"dense.c": STUB.replace("NAME", "conv2d_max_pool2d_s8").replace("pointwise_s8", "fused_s8")})
    assert whose(kws.judged(kws.Job(kernels=str(mine)))[0].about) == ["none of mine, all of c"]


def test_a_fused_kernel_that_nothing_is_packed_for(mine) -> None:
    folder(mine, {"dense.c": STUB.replace("NAME", "conv2d_max_pool2d_s8").replace("pointwise_s8", "fused_s8"), "pack.py": "def fuses(*a): return True\n"})
    with pytest.raises(InputError, match="qconv2d_3x3_8 and qmaxpool2d_2x2 as one conv2d_max_pool2d_s8, but packs nothing for it: its pack.py's fuses says yes"):
        kws.judged(kws.Job(kernels=str(mine)))


def test_a_link_to_its_own_folder_is_walked_once(mine, toolchain) -> None:
    (mine / "again").symlink_to(".")
    folder(mine, {"kernels.toml": 'sources = ["**/*.c"]\n'})
    assert owners(mine, toolchain)["dense_s8"] == "mine"


@pytest.mark.parametrize("cc", [None, "clang"])
def test_a_neighbour_whose_name_begins_as_the_projects(sources, tmp_path, cc) -> None:
    """thumbcycle and thumbcycle-kernels lie side by side on many a disk: source lines name the right files."""
    if cc and not shutil.which(cc):
        pytest.skip(f"{cc} is not on PATH")
    path = folder(Path(f"{sources}-kernels"), {"dense.c": DENSE, "max.S": (REPOSITORY / "armsrc/kernels/thumb2/max_pool2d.S").read_text(), "kernels.toml": f'include = ["{T}"]\n'})
    image = Image.load(build(str(path), generated={}, float_abi=False, toolchain=find(cc), script="library", source_root=sources))
    found = {kernel: image.source_line(image.symbols[kernel].address).rpartition(":")[0] for kernel in ("dense_s8", "max_pool2d_s8", "conv2d_s8")}
    assert found == {"dense_s8": f"{path}/dense.c", "max_pool2d_s8": f"{path}/max.S", "conv2d_s8": "armsrc/kernels/c/conv2d.c"}


def test_a_pack_that_takes_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kernelset, "_WATCH", kernelset._Watch(0.05))
    (tmp_path / "pack.py").write_text("import time\ndef pack(kernel, p):\n    time.sleep(0.3)\n")
    assert kernelset.load(tmp_path).pack("dense_s8", {}) is None
    assert capsys.readouterr().err == f"note: {tmp_path}/pack.py: pack('dense_s8') is not done after 0.05 seconds; Ctrl-C ends it\n"
