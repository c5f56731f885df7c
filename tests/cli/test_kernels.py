"""`python -m emu.kernels`, and what somebody then does with the folder: run, edit, compare, test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from emu.build import compile as images
from emu.build import toolchain
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.kernels import new
from emu.machine.call import call
from kwsq import reference
from tests.cli.test_errors import edit
from tests.kernels.structs import cases

KWS = ("emu.run", "kws", "--kernels")


@pytest.fixture
def mine(kernel_folder: Path, tmp_path: Path) -> Path:
    """A copy of the new folder that a test may change, with one budget."""
    folder = shutil.copytree(kernel_folder, tmp_path / "mine")
    budgets = folder / "budgets.toml"
    budgets.write_text(budgets.read_text().rpartition("[[run]]")[0])
    return folder


def test_new_folder_is_whole_and_right(here, kernel_folder) -> None:
    """And it passes the gate, which it is written with; its tests are run by test_action.py."""
    assert sorted(path.relative_to(kernel_folder).as_posix() for path in kernel_folder.rglob("*") if path.is_file()) == [
        ".github/workflows/kernels.yml", "README.md", "budgets.toml", "kernels.toml", "src/dense.S", "src/pointwise.c", "src/requantize.h",
        "tests/test_kernels.py"]
    assert (kernel_folder / "README.md").read_text().startswith("# mine\n")
    done = here(kernel_folder, *KWS, ".")
    assert done.returncode == 0 and f"mine ({kernel_folder}) kernels" in done.stdout
    assert "kernels  pointwise_conv2d_s8, dense_s8 of mine, the others of c" in done.stdout
    assert here(kernel_folder, "emu.check").returncode == 0


@pytest.mark.parametrize("kernel", ["pointwise_conv2d_s8", "dense_s8"])
def test_its_kernels_are_right_for_every_legal_struct(kernel) -> None:
    image = Image.load(images.build(str(new.TEMPLATE), generated={}, float_abi=False, toolchain=toolchain.find(), script="library"))

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel))
    def check(case) -> None:
        params, x, offsets = case
        done = call(image, kernel, params, x, offsets=offsets)
        assert (done.output.ravel() == reference.run_kernel(kernel, params, x).ravel()).all()

    check()


def test_a_wrong_byte_is_refused_or_allowed(here, mine) -> None:
    edit(mine, "src/dense.S", "    strb    r0, [r6], #1\n", "    add     r0, r0, #2\n    strb    r0, [r6], #1\n")
    done = here(mine, *KWS, ".", "--json", "-")
    assert done.returncode == 1 and "error: layer qdense_16x10 is not bit-exact" in done.stderr
    (dense,) = [layer for layer in json.loads(done.stdout)["layers"] if layer["kernel"] == "dense_s8"]
    assert (dense["bit_exact"], dense["wrong_bytes"], dense["max_difference"]) == (False, 10, 2)
    csv, page = (here(mine, *KWS, ".", form, "-").stdout for form in ("--csv", "--html"))
    assert ",false,10,2," in csv and "NOT bit-exact: qdense_16x10 (dense_s8): 10 of 10 bytes differ, by 2 at most" in page
    allowed = here(mine, *KWS, ".", "--allow-mismatch")
    assert allowed.returncode == 0 and "mismatch qdense_16x10 (dense_s8): 10 of 10 bytes differ, by 2 at most" in allowed.stdout
    assert "note: allowed: layer qdense_16x10 is not bit-exact" in allowed.stderr
    for command in ("ablate", "mix", "annotate", "timeline", "roofline", "compare"):  # whatever looks into the run says so, too
        arguments = ("emu.experiment", command, *(("c", ".") if command == "compare" else ("--kernels", ".")))
        looked, allowed = here(mine, *arguments), here(mine, *arguments, "--allow-mismatch")
        said = looked.stderr.removeprefix("error: ")
        assert looked.returncode == 1 and "layer qdense_16x10 is not bit-exact: element" in said and "10 of 10 elements differ, by 2 at most" in said, looked.stderr
        assert (allowed.returncode, allowed.stderr, allowed.stdout) == (0, f"note: allowed: {said}", looked.stdout)


def test_reads_of_what_is_not_its_own_are_told(here, mine) -> None:
    """Of another layer's tensor, and behind all data: both lie in memory, so nothing faults."""
    assert here(mine, *KWS, ".").stderr == ""
    edit(mine, "src/pointwise.c", "int32_t acc = p->bias[o];", "extern const volatile int8_t network_input[]; int32_t acc = p->bias[o] + 0 * network_input[3];")
    note = "note: layer qpwconv2d_8x16 (pointwise_conv2d_s8) read {}: 784 times\n"
    assert here(mine, *KWS, ".").stderr == note.format("network_input, which is none of its tensors")
    edit(mine, "src/pointwise.c", "0 * network_input[3]", "0 * *(const volatile int8_t *)0x20017f00")
    assert here(mine, *KWS, ".").stderr == note.format("what is no object's")
    edit(mine, "src/pointwise.c", "0 * *(const volatile int8_t *)0x20017f00", '0 * ((const volatile char *)"a constant without a symbol")[o]')
    assert here(mine, *KWS, ".").stderr == ""


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_folder_at_a_revision(here, mine) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=mine, check=True)
    edit(mine, "src/dense.S", "    mov     r4, r0\n", "    nop\n    mov     r4, r0\n")
    done = here(mine, "emu.experiment", "compare", ".@HEAD", ".", "--json", "-")
    first, second = [side["totals"]["instructions"] for side in json.loads(done.stdout)["sides"]]
    assert second == first + 1
    missing = here(mine.parent, "emu.experiment", "compare", f"{mine}@none", "c")
    assert missing.returncode == 2 and "no revision 'none' in the git repository" in missing.stderr


def test_a_new_folder_takes_no_place(here, kernel_folder, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for folder, message in ((kernel_folder, f"{kernel_folder} is there already, and is no empty folder"), (tmp_path / "file", "is there already"),
                            (tmp_path / "file/below", "cannot write")):
        done = here(REPOSITORY, "emu.kernels", "new", str(folder))
        assert done.returncode == 3 and message in done.stderr and done.stderr.count("\n") == 1


def test_without_a_compiler_nothing_is_written(here, tmp_path) -> None:
    done = here(tmp_path, "emu.kernels", "new", "mine", "--cc", "nope")
    assert done.returncode == 4 and done.stderr == "error: --cc nope: no such compiler, or not executable\n" and not (tmp_path / "mine").exists()


def test_every_report_says_what_was_compiled_how(here, mine, tmp_path) -> None:
    """Options of a folder are not those of the kernels that its base brings."""
    edit(mine, "kernels.toml", "flags = []", 'flags = ["-Os", "-DMORE=1"]')
    for command in (("emu.run", "kws"), ("emu.run", "kws", "--stream"), *(("emu.experiment", name) for name in ("mix", "roofline", "annotate", "timeline"))):
        done = here(mine, *command, "--kernels", ".", "--json", str(tmp_path / "out.json"))
        assert done.returncode == 0 and "pointwise_conv2d_s8, dense_s8 of mine, the others of c" in done.stdout, command
        assert "-O3 -Os -DMORE=1 (-Os -DMORE=1 of mine's sources alone)" in done.stdout, command
        facts = json.loads((tmp_path / "out.json").read_text())
        facts = facts["rooflines"][0] if command[1] == "roofline" else facts
        assert facts["flags"][-3:] == ["-O3", "-Os", "-DMORE=1"] and facts["kernel_set"]["flags"] == ["-Os", "-DMORE=1"] and facts["toolchain"]["version"]


def test_what_a_pack_py_prints_is_no_part_of_a_report(here, mine) -> None:
    (mine / "pack.py").write_text("print('begun')\ndef pack(kernel, p):\n    print('packing', kernel)\n")
    done = here(mine, *KWS, ".", "--json", "-")
    assert done.returncode == 0 and json.loads(done.stdout)["layers"] and "begun\n" in done.stderr and "packing dense_s8\n" in done.stderr


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_a_new_folder_for_another_compiler_of_a_sets_name(here, tmp_path) -> None:
    """Its budgets are what its own kernels.toml asks for; and the next line runs it, not the project's set."""
    done = here(tmp_path, "emu.kernels", "new", "c", "--cc", "clang")
    assert done.returncode == 0 and done.stdout.endswith("next: python -m emu.run kws --kernels ./c\n") and '\ncompiler = "clang"' in (tmp_path / "c/kernels.toml").read_text()
    assert "clang" in (tmp_path / "c/budgets.toml").read_text() and here(tmp_path / "c", "emu.check").stdout.count(" same ") == 2


def test_list(here, kernel_folder) -> None:
    assert "1 C, 1 assembly" in here(kernel_folder, "emu.kernels", "list", ".").stdout
    done = here(REPOSITORY, "emu.kernels", "list", str(kernel_folder), "--json", "-")
    sets = {one["name"]: one for one in json.loads(done.stdout)["sets"]}
    assert {"c", "float", "thumb2", "mine"} <= sets.keys() and sets["mine"]["implements"] == ["pointwise_conv2d_s8", "dense_s8"]
    assert sets["mine"]["base"] == "c" and sets["c"]["implements"] is None
    wrong = here(REPOSITORY, "emu.kernels", "list", "thumb")
    assert wrong.returncode == 2 and "did you mean thumb2" in wrong.stderr


def test_list_of_float_kernels(here, tmp_path) -> None:
    """Alone, and beside int8 ones; what does not compile is told as ever."""
    stub = '#include "kernels.h"\nvoid NAME(const pointwise_f32_params *p, const float *x, float *y, void *scratch) { (void)p; (void)scratch; *y = *x; }\n'
    (tmp_path / "dense.c").write_text(stub.replace("NAME", "dense_f32"))
    assert " dense_f32 " in here(tmp_path, "emu.kernels", "list", ".").stdout
    (tmp_path / "more.c").write_text(stub.replace("NAME", "dense_s8").replace("f32", "s8").replace("float", "int8_t"))
    assert " dense_s8, dense_f32 " in here(tmp_path, "emu.kernels", "list", ".").stdout
    (tmp_path / "more.c").write_text("junk")
    wrong = here(tmp_path, "emu.kernels", "list", ".")
    assert wrong.returncode == 4 and "more.c:1:" in wrong.stderr


def test_budgets_name_folders_from_where_they_stand(here, kernel_folder, tmp_path) -> None:
    (tmp_path / "b.toml").write_text(f'[[run]]\nkernels = "{os.path.relpath(kernel_folder, tmp_path)}"\n')
    done = here(REPOSITORY, "emu.check", "--budgets", str(tmp_path / "b.toml"), "--update")
    assert done.returncode == 0 and "first figures" in done.stdout
    (tmp_path / "b.toml").write_text('[[run]]\nkernels = "./none"\n')
    done = here(REPOSITORY, "emu.check", "--budgets", str(tmp_path / "b.toml"), "--update")
    assert done.returncode == 3 and "b.toml:1: no kernel set './none': there is no such folder" in done.stderr


def test_assembly_is_compared_whatever_the_compiler(here, mine) -> None:
    """Beside a base in C: the layers that the folder's assembly implements."""
    edit(mine, "budgets.toml", 'compiler = "', 'compiler = "another ')
    (mine / "src/pointwise.c").unlink()
    edit(mine, "kernels.toml", '"src/*.c", ', "")  # a folder that holds C is C's
    verdicts = {layer["name"]: layer["verdict"] for layer in json.loads(here(mine, "emu.check", "--json", "-").stdout)["runs"][0]["layers"]}
    assert verdicts["qdense_16x10"] == "same" and verdicts["qconv2d_3x3_8"] == "not comparable"
