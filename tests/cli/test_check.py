"""`python -m emu.check` as a workflow runs it: this tree's own budgets, and every way to fail them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from emu.build.cache import REPOSITORY
from emu.check import budgets
from emu.check.budgets import Budget, Figures
from tests.cli.conftest import Done, called_in, run_in
from tests.cli.test_errors import broken, edit

CHECK = "emu.check"
OUTSIDE_GITHUB = {"GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": ""}
OTHER = "arm-none-eabi-gcc 1.0"
Write = Callable[..., str]


@pytest.fixture(scope="session")
def whole() -> Done:
    """This tree's own budgets, checked once."""
    return check("--json", "-")


@pytest.fixture(scope="session")
def own(whole: Done) -> dict[tuple[str, str], Budget]:
    """The keyword spotter's runs as the compiler that is here makes them: (kernels, core) -> budget with its figures."""
    wanted = sorted(budgets.load(str(REPOSITORY / "budgets.toml")).runs, key=lambda budget: budget.options)
    return {(budget.kernels, budget.core): replace(budget, compiler=run["compiler"],
                                                   layers={row["name"]: Figures(**row["measured"]) for row in run["layers"]})
            for budget, run in zip(wanted, json.loads(whole.stdout)["runs"], strict=True) if not budget.shapes}


@pytest.fixture
def write(tmp_path: Path, own) -> Write:
    """Writes a file with one run's budget, of which a layer's figures are changed by so much; its path."""

    def written(kernels: str = "thumb2", core: str = "cortex-m4", layer: str = "qdense_16x10", compiler: str | None = None,
                **by: int) -> str:
        run = own[kernels, core]
        figures = run.layers[layer]
        figures = replace(figures, **{figure: getattr(figures, figure) + change for figure, change in by.items()})
        run = replace(run, layers={**run.layers, layer: figures}, compiler=compiler or run.compiler)
        budgets.save(budgets.Budgets(str(tmp_path / "b.toml"), "# Head.\n\n", (run,)))
        return str(tmp_path / "b.toml")

    return written


def check(*arguments: str, folder: Path = REPOSITORY, **environment: str) -> Done:
    return (called_in if folder == REPOSITORY else run_in)(folder, CHECK, *arguments, **{**OUTSIDE_GITHUB, **environment})


def test_this_tree_keeps_its_budgets(whole: Done) -> None:
    assert whole.returncode == 0, whole.stderr
    document = json.loads(whole.stdout)
    assert document["passed"] and len(document["runs"]) == len(budgets.load(str(REPOSITORY / "budgets.toml")).runs) >= 8
    for run in document["runs"]:
        assert run["bit_exact"] or run["kernels"] == "float" and run["bit_exact"] is None
        assert {row["verdict"] for row in run["layers"]} <= {"same", "not comparable"}, "an improvement: python -m emu.check --update"
        assert all(row["verdict"] == "same" for row in run["layers"]) or run["compiler"] != run["budget_compiler"]


def test_the_file_is_as_the_gate_writes_it(tmp_path: Path) -> None:
    text = (REPOSITORY / "budgets.toml").read_text()
    budgets.save(replace(budgets.load(str(REPOSITORY / "budgets.toml")), file=str(tmp_path / "b.toml")))
    assert (tmp_path / "b.toml").read_text() == text


@pytest.mark.parametrize("figure", budgets.FIGURES)
def test_a_count_that_grew_fails(write, figure) -> None:
    done = check("--budgets", write(**{figure: -1}))
    assert done.returncode == 1
    assert re.search(rf"^error: thumb2 on cortex-m4: qdense_16x10 grew: {figure.replace('_', ' ')} [\d,]+ -> [\d,]+ \(\+1, \+", done.stderr)
    assert "qdense_16x10 grew" in done.stdout and " grew " in done.stdout


def test_a_slower_kernel_grows(copy: Path, write) -> None:
    edit(copy, "armsrc/kernels/thumb2/dense_few.inc", "    push    {r1, r2}\n    few_next_tile\n", "    push    {r1, r2}\n    nop.w\n    few_next_tile\n")
    done = check("--budgets", write(), folder=copy)
    assert done.returncode == 1
    grew = re.search(r"qdense_16x10 grew: instructions (\d+) -> (\d+) \(\+1, \+0\.\d\d%\); cycles", done.stderr)
    assert grew and int(grew[2]) == int(grew[1]) + 1


def test_a_wrong_byte_fails_and_is_never_written_down(copy: Path, write) -> None:
    broken(copy, "y[0] = 1;")
    file = write("c", cycles=1000)
    before = Path(file).read_text()
    done = check("--budgets", file, "--accept", "--junit", str(copy / "j.xml"), folder=copy)
    assert done.returncode == 1 and "error: c on cortex-m4: layer qdense_16x10 is not bit-exact" in done.stderr
    assert "written: nothing" in done.stdout and Path(file).read_text() == before
    assert xml.parse(copy / "j.xml").find(".//testcase[@name='bit-exact']/failure") is not None


@pytest.mark.parametrize(("body", "message"), [("return 1 +;", "dense.c:6"), ("*(volatile int *)0x30000000 = 1;", "outside memory")])
def test_a_kernel_that_cannot_run_fails_and_the_others_go_on(copy: Path, own, tmp_path: Path, body, message) -> None:
    broken(copy, body)
    budgets.save(budgets.Budgets(str(tmp_path / "b.toml"), "", (own["c", "cortex-m4"], own["thumb2", "cortex-m4"])))
    done = check("--budgets", str(tmp_path / "b.toml"), "--junit", str(tmp_path / "j.xml"), folder=copy)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(f"error: c on cortex-m4: .*{message}", done.stderr)
    failed, fine = xml.parse(tmp_path / "j.xml").getroot()
    assert (failed.get("errors"), fine.get("errors"), fine.get("failures")) == ("1", "0", "0")
    assert re.search(r"c on cortex-m4 .* failed", done.stdout) and re.search(r"thumb2 on cortex-m4 .* same", done.stdout)


def test_improvements_pass_and_are_written_on_request(write) -> None:
    file = write(cycles=10)
    done = check("--budgets", file)
    assert done.returncode == 0 and "qdense_16x10 improved: cycles" in done.stdout and "(-10, -" in done.stdout
    done = check("--budgets", file, "--update")
    assert done.returncode == 0 and "written: thumb2 on cortex-m4: qdense_16x10: cycles" in done.stdout
    text = Path(file).read_text()
    assert text.startswith("# Head.\n\n[[run]]\n")
    assert "written: nothing" in check("--budgets", file, "--update").stdout and Path(file).read_text() == text
    assert not re.search("improved|grew", check("--budgets", file).stdout)


def test_growth_is_only_written_when_it_is_accepted(write) -> None:
    file = write(cycles=-10)
    before = Path(file).read_text()
    assert check("--budgets", file, "--update").returncode == 1 and Path(file).read_text() == before
    assert check("--budgets", file, "--accept").returncode == 0
    assert check("--budgets", file).returncode == 0


def test_c_of_another_compiler_is_shown_and_does_not_fail(write, own) -> None:
    file = write("c", compiler=OTHER, cycles=-10)
    done = check("--budgets", file, "--json", "-")
    (run,) = json.loads(done.stdout)["runs"]
    assert done.returncode == 0 and {row["verdict"] for row in run["layers"]} == {"not comparable"}
    shown = check("--budgets", file, "--update").stdout
    assert f"belongs to {OTHER}, this is {own['c', 'cortex-m4'].compiler}" in shown and "written: nothing" in shown
    assert "compiler" in check("--budgets", file, "--accept").stdout
    assert budgets.load(file).runs[0] == own["c", "cortex-m4"]


def test_the_compiler_that_runs_is_asked_for_its_version(write, tmp_path: Path) -> None:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        pytest.skip("the cross compiler is not on PATH")
    (tmp_path / "gcc").write_text(f'#!/bin/sh\n[ "$*" = --version ] && {{ echo gcc 99; exit; }}\nexec {gcc} "$@"\n')
    (tmp_path / "gcc").chmod(0o755)
    done = check("--budgets", write("c", cycles=-1), "--cc", str(tmp_path / "gcc"), THUMBCYCLE_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0 and "this is gcc 99" in done.stdout and "c on cortex-m4: not comparable in qconv2d_3x3_8, " in done.stdout


def test_assembly_is_compared_whatever_the_compiler(write) -> None:
    assert "qdense_16x10 grew: cycles" in check("--budgets", write(compiler=OTHER, cycles=-1)).stderr
    assert check("--budgets", write(compiler=OTHER, layer="outside", cycles=-1)).returncode == 0
    assert check("--budgets", write(core="cortex-m7", compiler=OTHER, cycles=-1)).returncode == 0  # its place moved, perhaps
    assert "qdense_16x10 grew: instructions" in check("--budgets", write(core="cortex-m7", compiler=OTHER, instructions=-1)).stderr


def test_a_run_without_figures_wants_an_update(one_line_error, tmp_path: Path, own) -> None:
    file = tmp_path / "b.toml"
    file.write_text('# Mine.\n[[run]]\nkernels = "thumb2"\n')
    assert f"{file}:2: thumb2 on cortex-m4 has no figures; --update" in one_line_error(3, CHECK, "--budgets", str(file))
    done = check("--budgets", str(file), "--update")
    assert done.returncode == 0 and "written: thumb2 on cortex-m4: first figures" in done.stdout
    assert budgets.load(str(file)).runs[0] == own["thumb2", "cortex-m4"] and file.read_text().startswith("# Mine.\n[[run]]")


def test_an_update_leaves_a_run_without_figures_that_failed(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text('[[run]]\nkernels = "thumb2"\ncore = "cortex-m0plus"\n[[run]]\nkernels = "float"\nmemory = "stm32f407-24mhz"\n')
    done = check("--budgets", str(file), "--update")
    assert done.returncode == 1 and "error: thumb2 on cortex-m0plus: cortex-m0plus cannot execute the thumb2 kernels" in done.stderr
    floating, failed = budgets.load(str(file)).runs
    assert floating.name == "float on cortex-m4, memory stm32f407-24mhz" and floating.layers
    assert failed.layers is None and failed.compiler is None


@pytest.mark.parametrize(("row", "message"), [
    ('core = "cortex-m44"', "did you mean cortex-m4?"),
    ('kernels = "thumb"', "did you mean thumb2?"),
    ('memory = "sram9"', "no memory 'sram9'"),
    ('input = "yess"', "did you mean yes?"),
    ('opt = "O9"', "no optimization 'O9'"),
])
def test_names_that_do_not_exist(one_line_error, tmp_path: Path, row, message) -> None:
    rows = {"kernels": 'kernels = "thumb2"'} | {row.split()[0]: row}
    (tmp_path / "b.toml").write_text("\n[[run]]\n" + "\n".join(rows.values()))
    line = one_line_error(3, CHECK, "--budgets", str(tmp_path / "b.toml"), "--update")
    assert f"{tmp_path}/b.toml:2: " in line and message in line


def test_files_that_cannot_be_used(one_line_error, write, tmp_path: Path) -> None:
    file = write(cycles=1)
    before = Path(file).read_text()
    assert "none.toml: No such file" in one_line_error(3, CHECK, "--budgets", str(tmp_path / "none.toml"))
    for option in ("--junit", "--json", "--markdown"):
        target = str(tmp_path / "no" / "such")
        assert f"cannot write {target}: there is no folder" in one_line_error(3, CHECK, "--budgets", file, "--update", option, target)
    assert "two reports" in one_line_error(2, CHECK, "--budgets", file, "--update", "--junit", "-", "--json", "-")
    assert Path(file).read_text() == before
    done = check("--budgets", file, GITHUB_STEP_SUMMARY=str(tmp_path))
    assert done.returncode == 3 and f"cannot write {tmp_path} (GITHUB_STEP_SUMMARY): Is a directory" in done.stderr
    assert "no such compiler" in one_line_error(4, CHECK, "--budgets", file, "--cc", str(tmp_path / "gcc"))


def test_annotations_and_the_step_summary(write, tmp_path: Path) -> None:
    file, summary = write(cycles=-10), tmp_path / "summary.md"
    summary.write_text("before\n")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path), "GITHUB_STEP_SUMMARY": str(summary)}
    done = check("--budgets", file, **github)
    line = next(number for number, text in enumerate(Path(file).read_text().splitlines(), 1) if text.startswith("qdense_16x10"))
    annotation = f"::error file=b.toml,line={line},title=thumb2 on cortex-m4::qdense_16x10 grew: cycles "
    found = [text for text in done.stdout.splitlines() if text.startswith("::")]
    assert len(found) == 1 and found[0].startswith(annotation) and found[0].endswith("%25)")
    text = summary.read_text()
    assert text.startswith("before\n### thumbcycle") and re.search(r"^\| thumb2 on cortex-m4 \|.*\| \*\*grew\*\* \|$", text, re.MULTILINE)
    assert re.search(r"^- thumb2 on cortex-m4: qdense\\_16x10 grew", text, re.MULTILINE)
    quiet = check("--budgets", file, "--json", "-", **github)
    assert json.loads(quiet.stdout)["passed"] is False and annotation in quiet.stderr
    better = check("--budgets", write(cycles=10), **github)
    assert better.returncode == 0 and "::notice file=b.toml" in better.stdout and "::error" not in better.stdout


def test_junit(write, tmp_path: Path) -> None:
    for arguments, counts, kind in (({"cycles": -1}, ("9", "1", "0"), "failure"),
                                    ({"kernels": "c", "compiler": OTHER}, ("9", "0", "7"), "skipped")):
        check("--budgets", write(**arguments), "--junit", str(tmp_path / "j.xml"))
        (suite,) = xml.parse(tmp_path / "j.xml").getroot()
        assert tuple(suite.get(key) for key in ("tests", "failures", "skipped")) == counts and suite.get("errors") == "0"
        case = suite.find("testcase[@name='qdense_16x10']")
        assert len(suite.findall("testcase")) == 9 and case.find(kind).get("message") and case.get("classname").endswith(".cortex-m4")


def test_help_says_what_it_does() -> None:
    done = check("--help")
    assert done.returncode == 0 and "--accept" in done.stdout and "a count grew" in done.stdout


def test_shapes_have_budgets(tmp_path: Path) -> None:
    """A line a shape of a sweep file, whose own grids say nothing here."""
    (tmp_path / "x.toml").write_text('[[grid]]\nkernels = "c"\n[[shape]]\nkind = "dense"\nin_c = [4, 8]\n[[shape]]\nname = "a \\"pool\\""\nkind = "max_pool2d"\nsize = 4\nin_c = 4\nkernel = 2\n')
    file = tmp_path / "b.toml"
    file.write_text('[[run]]\nkernels = "thumb2"\nshapes = "x.toml"\n')
    assert check("--budgets", str(file), "--update").returncode == 0
    (run,) = budgets.load(str(file)).runs
    assert list(run.layers) == ["dense 4->4", "dense 8->8", 'a "pool"'] and run.line("dense 8->8") == 9 and all(figures.code > 100 for figures in run.layers.values())
    file.write_text(file.read_text().replace(f"cycles = {run.layers['dense 8->8'].cycles}", "cycles = 1").replace('"dense 4->4"', '"dense 4->5"'))
    done = check("--budgets", str(file), "--json", "-")
    assert done.returncode == 1 and done.stderr.startswith("error: thumb2 on cortex-m4, shapes x.toml: dense 4->4: no figures; --update writes them down (and 2 more)")
    assert json.loads(done.stdout)["runs"][0]["shapes"] == "x.toml"


@pytest.mark.parametrize(("text", "message"), [
    ('shapes = "mlperf"', ":1: no sweep file mlperf (did you mean mlperf-tiny?)"), ('shapes = "no.toml"', ":1: no sweep file no.toml"),
    ('shapes = "kinds"\ninput = "yes"', ":4: input is of the keyword spotter"),
])
def test_shapes_that_do_not_exist(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.toml").write_text(f'[[run]]\nkernels = "c"\n{text}\n')
    done = check("--budgets", str(tmp_path / "b.toml"), "--update")
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and message in done.stderr
