"""`python -m emu.kernels`, and what somebody then does with the folder: run, edit, compare, test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from emu.build import compile as images
from emu.build import toolchain
from emu.build.cache import REPOSITORY, cache_dir
from emu.build.elf import Image
from emu.kernels import new
from emu.machine.call import call
from kwsq import reference
from tests.cli.conftest import run_in
from tests.cli.test_errors import edit
from tests.kernels.structs import cases

KWS = ("emu.run", "kws", "--kernels")
HERE = {"PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder as the command writes it; not to be changed."""
    folder = tmp_path_factory.mktemp("new") / "mine"
    done = run_in(REPOSITORY, "emu.kernels", "new", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, with one budget."""
    folder = shutil.copytree(made, tmp_path / "mine")
    budgets = folder / "budgets.toml"
    budgets.write_text(budgets.read_text().rpartition("[[run]]")[0])
    return folder


def test_new_folder_is_whole_and_right(made) -> None:
    assert sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()) == [
        ".github/workflows/kernels.yml", "README.md", "budgets.toml", "kernels.toml", "src/dense.S", "src/pointwise.c", "src/requantize.h",
        "tests/test_kernels.py"]
    assert (made / "README.md").read_text().startswith("# mine\n")
    done = run_in(made, *KWS, ".", **HERE)
    assert done.returncode == 0 and f"mine ({made}) kernels" in done.stdout
    assert "kernels  pointwise_conv2d_s8, dense_s8 of mine, the others of c" in done.stdout
    assert run_in(made, "emu.check", **HERE).returncode == 0


def test_its_own_tests_pass(made) -> None:
    variables = {**os.environ, **HERE, "THUMBCYCLE_CACHE": str(cache_dir())}
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "emu.pytest_plugin", "-p", "no:cacheprovider", "-q"], cwd=made, env=variables,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and "17 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("kernel", ["pointwise_conv2d_s8", "dense_s8"])
def test_its_kernels_are_right_for_every_legal_struct(kernel) -> None:
    image = Image.load(images.build(str(new.TEMPLATE), generated={}, float_abi=False, toolchain=toolchain.find(), script="library"))

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel))
    def check(case) -> None:
        params, x, offsets = case
        done = call(image, kernel, params, x, offsets=offsets)
        assert (done.output.ravel() == reference.run_kernel(kernel, params, x).ravel()).all()

    check()


def test_a_wrong_byte_is_refused_or_allowed(mine) -> None:
    edit(mine, "src/dense.S", "    strb    r0, [r6], #1\n", "    add     r0, r0, #2\n    strb    r0, [r6], #1\n")
    done = run_in(mine, *KWS, ".", "--json", "-", **HERE)
    assert done.returncode == 1 and "error: layer qdense_16x10 is not bit-exact" in done.stderr
    (dense,) = [layer for layer in json.loads(done.stdout)["layers"] if layer["kernel"] == "dense_s8"]
    assert (dense["bit_exact"], dense["wrong_bytes"], dense["max_difference"]) == (False, 10, 2)
    allowed = run_in(mine, *KWS, ".", "--allow-mismatch", **HERE)
    assert allowed.returncode == 0 and "mismatch qdense_16x10 (dense_s8): 10 of 10 bytes differ, by 2 at most" in allowed.stdout
    assert "note: allowed: layer qdense_16x10 is not bit-exact" in allowed.stderr


def test_a_folder_at_a_revision(mine) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=mine, check=True)
    edit(mine, "src/dense.S", "    mov     r4, r0\n", "    nop\n    mov     r4, r0\n")
    done = run_in(mine, "emu.experiment", "compare", ".@HEAD", ".", "--json", "-", **HERE)
    sides = json.loads(done.stdout)["sides"]
    assert [side["totals"]["instructions"] for side in sides][1] == sides[0]["totals"]["instructions"] + 1
    missing = run_in(mine.parent, "emu.experiment", "compare", f"{mine}@none", "c", **HERE)
    assert missing.returncode == 2 and "no revision 'none' in the git repository" in missing.stderr


def test_a_new_folder_takes_no_place(made, one_line_error, tmp_path) -> None:
    assert f"{made} is there already, and is no empty folder" in one_line_error(3, "emu.kernels", "new", str(made))
    (tmp_path / "file").write_text("")
    assert "is there already" in one_line_error(3, "emu.kernels", "new", str(tmp_path / "file"))
    assert "cannot write" in one_line_error(3, "emu.kernels", "new", str(tmp_path / "file" / "below"))


def test_list(made, run, one_line_error) -> None:
    done = run("emu.kernels", "list", str(made), "--json", "/dev/stderr")
    assert "1 C, 1 assembly" in done.stdout
    sets = {one["name"]: one for one in json.loads(done.stderr)["sets"]}
    assert {"c", "float", "thumb2", "mine"} <= sets.keys() and sets["mine"]["implements"] == ["pointwise_conv2d_s8", "dense_s8"]
    assert sets["mine"]["base"] == "c" and sets["c"]["implements"] is None
    assert "did you mean thumb2" in one_line_error(2, "emu.kernels", "list", "thumb")


def test_budgets_name_folders_from_where_they_stand(made, one_line_error, tmp_path) -> None:
    (tmp_path / "b.toml").write_text(f'[[run]]\nkernels = "{os.path.relpath(made, tmp_path)}"\n')
    done = run_in(REPOSITORY, "emu.check", "--budgets", str(tmp_path / "b.toml"), "--update")
    assert done.returncode == 0 and "first figures" in done.stdout
    (tmp_path / "b.toml").write_text('[[run]]\nkernels = "./none"\n')
    assert "b.toml:1: no kernel set './none': there is no such folder" in one_line_error(3, "emu.check", "--budgets", str(tmp_path / "b.toml"), "--update")


def test_assembly_is_compared_whatever_the_compiler(mine) -> None:
    """Beside C: the layers that assembly implements."""
    edit(mine, "budgets.toml", 'compiler = "', 'compiler = "another ')
    (mine / "src/pointwise.c").unlink()
    edit(mine, "kernels.toml", '"src/*.c", ', "")  # a folder that holds C is C's
    verdicts = {layer["name"]: layer["verdict"] for layer in json.loads(run_in(mine, "emu.check", "--json", "-", **HERE).stdout)["runs"][0]["layers"]}
    assert verdicts["qdense_16x10"] == "same" and verdicts["qconv2d_3x3_8"] == "not comparable"
