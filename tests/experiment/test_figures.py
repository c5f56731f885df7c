"""`figures`: what it measures, the goals, and the page of the docs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu import kws
from emu.build.cache import REPOSITORY
from emu.check import budgets
from emu.check.budgets import Figures
from emu.cli import run_command
from emu.errors import InputError
from emu.experiment.__main__ import main
from emu.experiment.commands.figures import FILE
from emu.experiment.figures import goals, measure
from emu.experiment.sweep import spec
from emu.report import figures as report

PAGE = REPOSITORY / "docs" / "kernel-figures.md"
SHAPES = 'name = "small"\nkind = "dense"\nin_c = 20\n[[shape]]\nname = "one pixel"\nkind = "pointwise_conv2d"\nsize = 1\nin_c = 64\n'
GOALS = """baseline = "c"
[shapes]
"x.toml" = "Two shapes"
[[measure]]
core = "cortex-m4"
kernels = ["thumb2", "c"]
[[goal]]
what = "fast"
kernels = "thumb2"
where = { kind = "dense", in_c = { from = 16, to = 20 } }
figure = "of_baseline"
wanted = 0.9
aim = 0.001
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "x.toml").write_text(f"[[shape]]\n{SHAPES}")
    (tmp_path / "goals.toml").write_text(GOALS)
    return tmp_path / "goals.toml"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["experiment", "figures", *map(str, arguments)])
        return run_command(main), *capsys.readouterr()

    return command


def test_a_goal_of_no_line(file: Path, run) -> None:
    file.write_text(GOALS.replace('kind = "dense"', 'kind = "dens"'))
    status, output, error = run("--file", file)
    assert status == 3 and not output and error == "error: goal 'fast': its where fits no layer of thumb2 on cortex-m4\n"


def test_lines_and_goals(file: Path, run, tmp_path: Path) -> None:
    """Lines are the profile's and the sweep's, figures that are made of them are what they say; in every form."""
    status, output, _ = run("--file", file, "--json", tmp_path / "x.json", "--markdown", tmp_path / "page.md")
    document = json.loads((tmp_path / "x.json").read_text())
    assert status == 0 and [(group["kernels"], len(group["lines"])) for group in document["groups"]] == [("thumb2", 8), ("c", 8), ("thumb2", 2), ("c", 2)]
    own, base = ({line["name"]: line for line in group["lines"]} for group in document["groups"][2:])
    assert own["small"]["baseline_cycles"] == base["small"]["cycles"] > own["small"]["cycles"] and own["small"]["bound_cycles"] == 20 * 20 / 2
    judged = kws.judged(kws.Job())
    rows = {line["name"]: line for line in document["groups"][0]["lines"]}
    assert {name: (line["cycles"], line["code_bytes"]) for name, line in rows.items()} == {
        row.name: (row.cycles, size) for row, size in zip((*judged.profile.layers, judged.profile.outside, judged.profile.totals), judged.code_bytes, strict=True)}
    (goal,) = document["goals"]
    assert goal["lines"] == [{"name": "small", "figure": own["small"]["cycles"] / base["small"]["cycles"], "meets": "wanted"}]

    assert "Two shapes: thumb2 on cortex-m4" in output and re.search(r"│ fast .*│ +1 │ +1 │ +0 │ wanted │", output)
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Kernel figures\n") and "<summary>c on cortex-m4</summary>" in text and re.search(r"^\| small \| 400 \|.*\| wanted \|$", text, re.MULTILINE)


def test_a_folder_of_ones_own(file: Path, run, tmp_path: Path) -> None:
    """Beside the baseline; wrong bytes are shown, and end with status 1."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dense.c").write_text(
        '#include "kernels.h"\nvoid dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n'
        "{\n    (void)x, (void)scratch;\n    for (int32_t c = 0; c < p->out_c; c++)\n        y[c] = 99;\n}\n")
    (tmp_path / "mine/kernels.toml").write_text('flags = ["-Os"]\n')
    status, output, error = run("--file", file, tmp_path / "mine")
    assert status == 1 and error.startswith("error: total, ") and "is not bit-exact: element" in error
    assert re.search(rf"^{tmp_path}/mine: .*, -O3 -Os\nc: .*, -O3$", output, re.MULTILINE)
    assert "Two shapes: mine on cortex-m4" in output and re.search(r"small .*│ +NO │", output)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("[[measure]]", "[[measured]]", "the file: unknown key 'measured' (did you mean measure?)"),
    ('core = "cortex-m4"', "core = 4", "measure 1: core is 4; text is wanted"),
    ('kernels = ["thumb2", "c"]', "", "measure 1: kernels"),
    ("wanted = 0.9", "wanted = -1", "goal 1: wanted is -1; a number above 0 is wanted"),
    ("of_baseline", "of_base", "no 'of_base' (did you mean of_baseline?)"),
    ("in_c = {", "inc = {", "goal 1: where: unknown key 'inc' (did you mean in_c?)"),
    ("from = 16", "least = 16", "goal 1: where: in_c: unknown key 'least'"),
    ("[shapes]", "[shapes", "goals.toml: "), ('kernels = "thumb2"', 'kernels = "m0"', "goal 1 is of m0 on cortex-m4, which no [[measure]] runs"),
    ('core = "cortex-m4"', 'core = "cortex-m9"', "goals.toml: no core 'cortex-m9'"),
])
def test_files_that_are_wrong(file: Path, old: str, new: str, message: str) -> None:
    file.write_text(GOALS.replace(old, new))
    with pytest.raises(InputError) as caught:
        goals.load(file)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (("--file", "no.toml"), 3, "no.toml: No such file"), (("thumb3",), 2, "did you mean thumb2?"), (("--core", "cortex-m5", "thumb2"), 2, "cortex-m5"),
])
def test_wrong_arguments(run, arguments: tuple[str, ...], status: int, message: str) -> None:
    found, output, error = run(*arguments)
    assert (found, output, error.count("\n")) == (status, "", 1) and message in error


# --- the page of the docs ---


def _rows() -> dict[tuple[str, str], list[list[str]]]:
    """(title, set and core) -> cells of each line of its table."""
    found: dict[tuple[str, str], list[list[str]]] = {}
    title = of = ""
    for line in PAGE.read_text().splitlines():
        if heading := re.fullmatch(r"(?:### |## |<summary>)(?P<text>.*?)(?:</summary>)?", line):
            title, of = (heading["text"], "") if line.startswith("## ") else (title, heading["text"])
        elif line.startswith("| ") and not line.startswith(("| ---", "| layer |", "| goal |")):
            found.setdefault((title, of), []).append([cell.strip().replace("\\", "").strip("*") for cell in line.split("|")[1:-1]])
    return found


def test_the_page_has_every_line() -> None:
    """Of what is published today, in order: shapes and goals."""
    published, rows = goals.load(FILE), _rows()
    assert report.COMMAND in PAGE.read_text()
    assert [cells[0] for cells in rows["What the kernels are to reach", ""]] == [goal.what for goal in published.goals]
    wanted = {(title, f"{kernels} on {one.core}"): [shape.name for shape in spec.load(name).shapes]
              for name, title in published.shapes.items() for one in published.measures for kernels in one.kernels}
    wanted |= {(measure.SPOTTER_TITLE, f"{kernels} on {one.core}"): [] for one in published.measures for kernels in (*one.kernels, *one.spotter)}
    assert rows.keys() - {("What the kernels are to reach", "")} == wanted.keys()
    assert {key: [cells[0] for cells in rows[key]] for key, names in wanted.items() if names} == {key: names for key, names in wanted.items() if names}


def test_the_pages_figures_are_todays() -> None:
    """Those of assembly are the budgets', which the gate holds exactly. The command at the page's head writes it anew."""
    published, rows = goals.load(FILE), _rows()
    titles = {"": measure.SPOTTER_TITLE, **published.shapes}
    held = [run for run in budgets.load(str(REPOSITORY / "budgets.toml")).runs if (titles.get(run.shapes), f"{run.kernels} on {run.core}") in rows and run.kernels != published.baseline]
    assert {run.shapes for run in held} == set(titles)
    for run in held:
        shown = {cells[0]: cells for cells in rows[titles[run.shapes], f"{run.kernels} on {run.core}"]}
        assert shown.keys() - {"total"} == run.layers.keys()
        for name, cells in shown.items():
            assert name == "total" or _figures(cells) == run.layers[name], f"{name}, {run.name}: {report.COMMAND}"


def _figures(cells: list[str]) -> Figures:
    cycles, instructions, read, written, code, stack = (int(cells[number].replace(",", "")) for number in (2, 5, 6, 7, 8, 10))
    return Figures(instructions, cycles, read, written, stack, code)
