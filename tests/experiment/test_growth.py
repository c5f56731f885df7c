"""`growth`: neighbours, reasons, and the page of the docs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.build.cache import REPOSITORY
from emu.cli import run_command
from emu.errors import InputError
from emu.experiment.__main__ import main
from emu.experiment.figures import growth
from emu.experiment.sweep import cliffs, local, plan, spec
from emu.experiment.sweep import run as sweeps
from emu.kernels.new import TEMPLATE
from emu.report import growth as report
from tests.experiment.test_sweep_command import row

PAGE = REPOSITORY / "docs" / "growth.md"
REASONS = """
[[reason]]
text = "odd"
kind = "conv2d"
axis = ["in_c"]
row = { in_c = { from = 15, to = 15 } }
[[reason]]
text = "padding"
padding = true
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["experiment", "growth", *map(str, arguments)])
        return run_command(main), *capsys.readouterr()

    return command


def placed(cost: float, **sizes: int) -> dict[str, object]:
    """A row of a convolution with its window's place."""
    window = {"stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1, "out_h": sizes.get("in_h", 8), "out_w": sizes.get("in_w", 8)}
    return row(cost, **{"macs": 1000, "point": str(sizes), "kernels": "thumb2", "core": "cortex-m4", **window, **sizes})


@pytest.mark.parametrize(("sizes", "share"), [
    ({"in_h": 1, "in_w": 1}, 1 / 9), ({"in_h": 2, "in_w": 2}, 16 / 36), ({"in_h": 4, "in_w": 4, "pad_top": 0, "pad_left": 0, "out_h": 2, "out_w": 2}, 1),
    ({"in_h": 5, "in_w": 1, "stride_h": 2, "out_h": 3}, (2 + 3 + 2) / 9 / 3), ({"kernel_h": None, "kernel_w": None}, 1)])
def test_macs_over_the_input(sizes: dict[str, int], share: float) -> None:
    assert growth.inside(placed(1.0, **sizes)) == pytest.approx(share)


def test_reasons(tmp_path: Path) -> None:
    """The first that fits; what has none; and what fixed costs explain."""
    (tmp_path / "r.toml").write_text(REASONS)
    line = [placed(2.0, in_c=14), placed(3.2, in_c=15), placed(1.9, in_c=16), placed(5.0, in_c=20), placed(2.0, in_c=2), placed(3.2, in_c=1)]
    small = [placed(0.4, in_c=3, in_h=1, in_w=1), placed(1.6, in_c=3, in_h=2, in_w=2)]
    (found,) = growth.growths([*line, *small], growth.load(tmp_path / "r.toml"))
    assert {text: [cliff.row["in_c"] for cliff in of] for text, of in found.explained.items()} == {"odd": [15, 15], "padding": [3]}
    assert [(cliff.row["in_c"], cliff.neighbour["in_c"]) for cliff in found.unexplained] == [(20, 16)]
    assert [(cliff.row["in_c"], cliff.neighbour["in_c"]) for cliff in found.fixed] == [(1, 2)] and found.pairs == 5


@pytest.mark.parametrize(("text", "message"), [
    ("[[reasons]]", "the file: unknown key 'reasons' (did you mean reason?)"), ("[[reason]]\nkind = 'dense'", "reason 1: text is None"),
    ("[[reason]]\ntext = 'x'\naxis = ['inc']", "reason 1: axis: no 'inc' (did you mean in_c?)"),
    ("[[reason]]\ntext = 'x'\nrow = { inc = 1 }", "reason 1: row: unknown key 'inc'"), ("[[reason]\n", "r.toml: ")])
def test_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        growth.load(tmp_path / "r.toml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_command(run, tmp_path: Path) -> None:
    """A page and its picture; cliffs are those of the rows."""
    some = ("--where", "kernels=thumb2", "--where", "shape=dense [24]->[18]")
    status, output, error = run(*some, "--markdown", tmp_path / "x.md", "--json", tmp_path / "x.json")
    assert (status, error) == (0, "") and "thumb2 on cortex-m4" in output and "4 shapes, 2 pairs of neighbours" in output
    text = (tmp_path / "x.md").read_text()
    assert "![cycles a MAC against MACs](x-thumb2.png)" in text and (tmp_path / "x-thumb2.png").read_bytes().startswith(b"\x89PNG")
    (one,) = json.loads((tmp_path / "x.json").read_text())["sets"]
    assert (one["shapes"], one["pairs"]) == (4, 2) and one["kernels"] == "thumb2"


def test_a_folder_of_kernels(run, tmp_path: Path) -> None:
    """Its shapes on the core that is asked for; those that are wrong are no figures, and the status says so."""
    mine = shutil.copytree(TEMPLATE, tmp_path / "mine")
    some = ("--where", "shape=dense [24]->[18]", "--where", "kernels=*")
    status, output, error = run(mine, "m0", "--core", "cortex-m3", *some)
    assert (status, error) == (0, "") and "mine on cortex-m3" in output and "m0 on cortex-m3" in output
    dense = mine / "src/dense.S"
    dense.write_text(dense.read_text().replace("    strb    r0, [r6], #1", "    cmp     r10, #8\n    it      eq\n    addeq   r0, r0, #3\n    strb    r0, [r6], #1"))
    status, output, error = run(mine, *some)
    assert status == 1 and "2 shapes" in output
    assert re.search(r"(?s)^note: not bit-exact: .*first dense 2->8, .*\nerror: dense 2->8, .*mine on cortex-m4: layer dense_s8 is not bit-exact: ", error)


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (("--results", "no.parquet"), 3, "no.parquet: No such file"), (("--where", "kernels=thumb3"), 2, "no point passes --where"),
    (("thumb3",), 2, "no kernel set 'thumb3'"), (("c", "--core", "cortex-m5"), 2, "no core 'cortex-m5'"), (("c", "--results", "x.parquet"), 2, "kernel sets of its own"),
    (("--where", "kind=global*", "--where", "kernels=c", "--where", "in_c=1"), 3, "no row with MACs is ok and passes --where")])
def test_wrong_arguments(run, arguments: tuple[str, ...], status: int, message: str) -> None:
    found, output, error = run(*arguments)
    assert (found, output, error.count("\n")) == (status, "", 1) and message in error


def test_neighbours_without_cliffs() -> None:
    """Of thumb2: channels and inputs that double, in every kind that multiplies."""
    planned = [plan.make(spec.load(growth.SWEEP), ("kernels=thumb2", f"shape={shapes}")) for shapes in (
        "conv2d 8x8x[48]->8 3x3", "conv2d 8x8x1[26]->8 3x3", "depthwise_conv2d 8x8x[48] 3x3", "depthwise_conv2d 8x8x16 3x3", "pointwise_conv2d [48]x[48]x16->16",
        "pointwise_conv2d 8x8x32->32", "dense [136]?->64", "dense 128->64")]
    rows = [found for one in planned for found in sweeps.measured(one, local.alone)]
    assert cliffs.pairs(rows) >= 10
    assert [(cliff.row["shape"], cliff.neighbour["shape"], cliff.ratio) for cliff in cliffs.find(rows)] == []


def test_the_page() -> None:
    """Every set has its section and its picture, and every cliff of thumb2 its reason."""
    text = PAGE.read_text()
    assert report.COMMAND in text
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:]
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    published = spec.load(growth.SWEEP)
    assert list(sections) == [f"{variant.kernels} on {variant.core}" for variant in published.variants]
    for name, section in sections.items():
        picture = PAGE.parent / re.search(r"\]\((.*?\.png)\)", section)[1]
        assert picture.stat().st_size < 150_000 and f"{name.split()[0]}.png" in picture.name
    assert report.NONE in sections["thumb2 on cortex-m4"]
    texts = {growth.FIXED, *(reason.text for reason in growth.load())}
    assert {line.split(" | ")[0].strip("| ") for line in re.findall(r"^\| .* \| \d+ \| \d\.\d+ \| .*$", text, re.MULTILINE)} <= texts
