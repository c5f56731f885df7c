"""`sweep` and `plot` as a user types them; cliffs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet as arrow

from emu.build.cache import REPOSITORY
from emu.cli import run_command
from emu.errors import BuildError
from emu.experiment.__main__ import main
from emu.experiment.sweep import cliffs
from emu.experiment.sweep.columns import COLUMNS, TYPES
from emu.report import sweep_bars, sweep_plot
from tests.cli.conftest import run_in
from tests.experiment.test_sweep_run import swept

FILE = """
[grid]
kernels = ["thumb2", "c"]
[[shape]]
kind = "dense"
in_c = [4, 8, 16]
[[shape]]
kind = "max_pool2d"
size = 4
in_c = 3
kernel = [2, 5]
"""


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """emu.experiment with these arguments, in the folder -> exit status, standard output, standard error."""
    def experiment(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["experiment", *arguments])
        return run_command(main), *capsys.readouterr()

    return experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a sweep file and its results."""
    made = tmp_path_factory.mktemp("command")
    (made / "x.toml").write_text(FILE)
    done = run_in(made, "emu.experiment", "sweep", "x.toml", PYTHONPATH=str(REPOSITORY))
    assert done.returncode == 0, done.stderr
    (made / "printed").write_text(done.stdout)
    return made


def test_the_table(folder: Path) -> None:
    printed = (folder / "printed").read_text()
    rows = {row["shape"]: row for row in arrow.read_table(folder / "x.parquet").to_pylist() if row["kernels"] == "thumb2"}
    line = next(line for line in printed.splitlines() if "dense 16->16" in line)
    assert f"{rows['dense 16->16']['cycles_per_mac']:.2f}" in line and "256" in line
    assert "illegal shape: a kernel of 5 does not fit an input of 4 with its padding (2 points" in printed
    assert "x.parquet: 10 of 10 points (8 ok, 2 illegal shape), 10 run now" in printed


def test_the_file_has_all_columns(folder: Path) -> None:
    table = arrow.read_table(folder / "x.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == list(TYPES.items())
    assert table.schema.metadata[b"thumbcycle.sweep.schema"] == b"1"
    assert table["point"].to_pylist() == list(dict.fromkeys(table["point"].to_pylist()))


def test_json_and_dry_run(folder: Path, run) -> None:
    report = json.loads(run("sweep", "x.toml", "--json", "-")[1])
    assert (report["schema"], report["points"], report["ran"], report["statuses"]) == (1, 10, 0, {"ok": 8, "illegal shape": 2})
    assert report["rows"] == arrow.read_table(folder / "x.parquet").to_pylist()
    listed = run("sweep", "x.toml", "--dry-run", "--where", "kernels=c")[1]
    assert listed.count("done ") == 4 and listed.endswith("5 points, 0 to do, in 0 runs\n")
    fresh = json.loads(run("sweep", "x.toml", "--dry-run", "--fresh", "--json", "-")[1])
    assert (fresh["to_do"], fresh["runs"], len(fresh["points"])) == (10, 8, 10)


def test_other_kernels_than_the_file_names(folder: Path, run) -> None:
    (folder / "apart").mkdir()
    (folder / "apart" / "kernels.toml").write_text('sources = ["dense.c"]\nbase = "thumb2"\n')
    (folder / "apart" / "dense.c").write_text(
        '#include "kernels.h"\nvoid dense_s8_of_thumb2(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch);\n'
        "void dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n{\n    dense_s8_of_thumb2(p, x, y, scratch);\n}\n")
    shutil.copytree(folder / "apart", folder / "far" / "apart")
    table = run("sweep", "x.toml", "--kernels", "apart", "--kernels", "far/apart", "--where", "shape=dense 4*", "--out", "apart.parquet")[1]
    assert all(f" {folder / name} ┃" in table for name in ("apart", "far/apart"))  # their last names are the same
    report = json.loads(run("sweep", "x.toml", "--kernels", "c", "--kernels", "apart", "--dry-run", "--json", "-")[1])
    assert {point["kernels"] for point in report["points"]} == {"c", str(folder / "apart")}
    assert (len(report["points"]), report["to_do"]) == (10, 5)  # those of c are done


def test_an_output_that_is_wrong_is_exit_status_1(folder: Path, run) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "pool.c").write_text(
        '#include "kernels.h"\nvoid max_pool2d_s8(const max_pool2d_params *p, const int8_t *x, int8_t *y, void *scratch)\n'
        "{\n    (void)p, (void)x, (void)scratch;\n    *y = 0;\n}\n")
    (folder / "mine.toml").write_text('[grid]\nkernels = "mine"\n[[shape]]\nkind = "max_pool2d"\nsize = 4\nin_c = 3\nkernel = 2\n')
    status, output, error = run("sweep", "mine.toml", "--jobs", "1")
    assert status == 1 and error.startswith("error: max_pool2d 4x4x3 2x2, ") and "is not bit-exact: element" in error
    assert "mine.parquet: 1 of 1 points (1 not bit-exact), 1 run now" in output


@pytest.mark.parametrize(("status", "arguments", "message"), [
    (2, ("sweep", "y.toml"), "no sweep file y.toml"), (2, ("sweep", "x.toml", "--where", "kernel=c"), "did you mean kernels?"),
    (2, ("sweep", "x.toml", "--kernels", "thumb"), "no kernel set 'thumb'"), (2, ("sweep", "x.toml", "--kernels", "./no"), "there is no such folder"),
    (2, ("sweep", "x.toml", "--jobs", "2", "--scheduler", "tcp://x"), "--jobs is for this machine"), (3, ("sweep", "x.toml", "--out", "no/x.parquet"), "no folder no"),
    (2, ("sweep", "x.toml", "--out", "-"), "--json - prints the rows"), (3, ("sweep", "x.toml", "--out", "x.toml"), "x.toml: no Parquet file"), (2, ("plot", "x.parquet", "x.pdf"), "the suffix must be .png or .svg"),
    (2, ("plot", "x.parquet", "y.svg", "--x", "mac"), "did you mean macs?"), (3, ("plot", "z.parquet", "y.svg"), "z.parquet: No such file"),
    (3, ("plot", "x.parquet", "y.svg", "--where", "kernels=d"), "no row is ok and passes --where"),
])
def test_wrong_input_is_one_line(run, status: int, arguments: tuple[str, ...], message: str) -> None:
    found, output, (line, *more) = (part.splitlines() if number == 2 else part for number, part in enumerate(run(*arguments)))
    assert (found, output, more) == (status, "", []) and line.startswith("error: ") and message in line


def test_too_much_to_tell_apart(monkeypatch: pytest.MonkeyPatch, run) -> None:
    monkeypatch.setattr(sweep_plot, "MOST_LINES", 1)
    status, _, line = run("plot", "x.parquet", "y.svg", "--by", "kernels")
    assert status == 2 and "--by kernels: 2 values, at most 1 can be drawn" in line


@pytest.mark.parametrize(("target", "head"), [("x.svg", b"<?xml"), ("x.png", b"\x89PNG")])
def test_pictures(folder: Path, run, target: str, head: bytes) -> None:
    assert run("plot", "x.parquet", target, "--by", "kernels", "--panels", "kind") == (0, "", "")
    drawn = (folder / target).read_bytes()
    assert drawn.startswith(head)
    if target.endswith("svg"):
        assert all(f">{word}</text>".encode() in drawn for word in ("MACs", "modelled cycles", "thumb2", "c", "dense"))
        assert b">max_pool2d</text>" not in drawn  # has no MACs


def test_bars(folder: Path, run) -> None:
    assert run("plot", "x.parquet", "bars.svg", "--bars") == (0, "", "")
    drawn = (folder / "bars.svg").read_text()
    assert all(f">{word}</text>" in drawn for word in ("modelled cycles", "thumb2", "c", "dense 4->4".replace(">", "&gt;"), "max_pool2d 4x4x3 2x2"))
    assert "5x5</text>" not in drawn  # no kernel handles that shape
    run("plot", "x.parquet", "bars.svg", "--bars", "--y", "cycles_per_mac")
    assert "max_pool2d" not in (folder / "bars.svg").read_text()  # has no MACs


@pytest.mark.parametrize(("arguments", "message"), [
    (("--panels", "kind"), "--panels means nothing with --bars"), (("--x", "cycles"), "--x means nothing with --bars"), (("--by", "core"), "dense 4->4 has several values of cycles that --by core does not tell apart"),
    (("--y", "max_abs_error"), "--y max_abs_error: no row has it")])
def test_what_bars_cannot_show(run, arguments: tuple[str, ...], message: str) -> None:
    status, _, line = run("plot", "x.parquet", "y.svg", "--bars", *arguments)
    assert status == 2 and message in line


def test_bars_want_a_file(run) -> None:
    status, _, line = run("plot", "x.parquet", "--bars")
    assert status == 2 and "--bars: a picture's file is wanted" in line


def test_too_many_bars(monkeypatch: pytest.MonkeyPatch, run) -> None:
    monkeypatch.setattr(sweep_bars, "MOST_BARS", 7)
    status, _, line = run("plot", "x.parquet", "y.svg", "--bars")
    assert status == 2 and "--bars: 8 bars, at most 7 can be drawn" in line


def test_every_column_has_a_meaning_and_is_documented() -> None:
    text = (REPOSITORY / "docs" / "sweep.md").read_text()
    assert all(column.meaning for column in COLUMNS)
    assert [column.name for column in COLUMNS if f"`{column.name}`" not in text and "_bytes_" not in column.name] == []


# --- cliffs ---


def row(cost: float, **sizes: int) -> dict[str, object]:
    return {**dict.fromkeys(TYPES), "status": "ok", "kind": "conv2d", "in_h": 8, "in_w": 8, "in_c": 4, "out_c": 8, "kernel_h": 3, "kernel_w": 3,
            "cycles_per_mac": cost, "cycles": round(100 * cost * sizes.get("in_c", 4)), **sizes}


def found(rows: list[dict[str, object]], ratio: float = 1.5) -> list[tuple[str, float, float, bool]]:
    return [(cliff.axis, cliff.row["cycles_per_mac"], round(cliff.ratio, 3), cliff.up) for cliff in cliffs.find(rows, ratio)]


def test_a_shape_that_costs_more_than_its_neighbours() -> None:
    line = [row(2.0, in_c=14), row(3.2, in_c=15), row(1.9, in_c=16), row(1.8, in_c=17)]
    assert found(line) == [("in_c", 3.2, 1.684, False), ("in_c", 3.2, 1.6, True)]
    assert [cliff.steep for cliff in cliffs.find(line)] == [True, True]  # 15 channels cost more cycles than 16
    assert [cliff.steep for cliff in cliffs.find([row(3.0, in_c=4), row(1.9, in_c=8)])] == [False]
    assert found(line, 1.65) == [("in_c", 3.2, 1.684, False)]
    assert found([*line, row(9.0, in_c=15, kernel_h=1), row(9.0, in_c=200), row(9.0, in_c=15, status="fault")]) == found(line)


def test_neighbours_differ_in_one_size_by_not_more_than_twice() -> None:
    assert found([row(1.0, in_c=4), row(9.0, in_c=4, in_h=16, in_w=16)]) == [("input", 9.0, 9.0, True)]
    assert found([row(1.0), row(9.0, kernel_h=5, kernel_w=6)]) == [("kernel", 9.0, 9.0, True)]
    for apart in ({"in_c": 9}, {"in_c": 8, "out_c": 16}, {"kernel_h": 7}, {"in_c": 8, "kernels": "c"}, {"in_c": 8, "padding": "valid"}):
        assert found([row(1.0), row(9.0, **apart)]) == []


def test_channels_that_are_always_equal_are_one_size() -> None:
    assert found([row(1.0, in_c=4, out_c=4), row(2.0, in_c=8, out_c=8)]) == [("channels", 2.0, 2.0, True)]


def test_cliffs_of_results(folder: Path, run) -> None:
    rows = arrow.read_table(folder / "x.parquet").to_pylist()
    report = json.loads(run("plot", "x.parquet", "--ratio", "1.01", "--json", "-")[1])
    cost = {(row["kernels"], row["in_c"]): row["cycles_per_mac"] for row in rows if row["kind"] == "dense"}
    expected = {(kernels, n): cost[kernels, n] / cost[kernels, 2 * n] for kernels in ("thumb2", "c") for n in (4, 8)}
    assert {(cliff["kernels"], int(cliff["shape"].split("->")[1])): cliff["ratio"] for cliff in report["cliffs"]} == pytest.approx(expected)
    assert "for what a call costs at least" in run("plot", "x.parquet", "--cliffs")[1]


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_clang_beside_gcc(tmp_path: Path) -> None:
    from emu.build import toolchain

    try:
        toolchain.find("clang")
    except BuildError as error:
        pytest.skip(str(error))
    rows = swept('[grid]\nkernels = "c"\ncc = ["gcc", "clang"]\n[[shape]]\nkind = "dense"\nin_c = 16', tmp_path / "x.parquet").rows
    assert [row["status"] for row in rows] == ["ok", "ok"] and len({row["image_sha256"] for row in rows}) == 2
    assert "clang" in rows[1]["compiler"] and np.ptp([row["instructions"] for row in rows]) > 0
