"""--parquet as pyarrow reads it, against CSV and JSON; --markdown as GitHub's tables."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from pyarrow import parquet

from emu.experiment.__main__ import main as experiment
from tests.report.conftest import CALLS, FIGURES, Exported, export

LAYERS = ("kws", "--core", "all", "--input", "yes", "--input", "no", "--mhz", "80")


def rows_of(path: Path) -> list[dict]:
    return parquet.read_table(path).to_pylist()


def csv_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def as_csv(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def layers(tmp_path_factory) -> Exported:
    """Five cores, two inputs."""
    return export(tmp_path_factory.mktemp("layers"), *LAYERS, forms=("json", "csv", "parquet", "markdown"))


def test_functions_are_those_of_csv(exported) -> None:
    rows, columns = rows_of(exported.path("parquet")), csv_rows(exported.path("csv"))
    assert [{name: as_csv(row[name]) for name in columns[0]} for row in rows] == columns
    assert {(row["core"], row["memory"], row["image_sha256"]) for row in rows} == {
        (exported.json["core"], exported.json["memory"], exported.json["image"]["sha256"])}
    assert {figure: sum(row[figure] for row in rows) for figure in FIGURES} == exported.totals


def test_layers_are_those_of_json_on_every_core(layers) -> None:
    rows = rows_of(layers.path("parquet"))
    for core, facts in layers.json["cores"].items():
        mine = {row["layer"]: row for row in rows if row["core"] == core and row["input"] == "yes"}
        assert {name: row["cycles"] for name, row in mine.items()} == {
            **{layer["name"]: layer["cycles"] for layer in facts["layers"]}, "outside": facts["outside"]}
        assert {row["image_sha256"] for row in mine.values()} == {facts["image"]["sha256"]}
        assert {row["reason"] or "" for row in mine.values()} == {facts["reason"]}
        assert {row["flags"] for row in mine.values()} == {" ".join(facts["flags"])}
    for heard in layers.json["inputs"]:
        mine = [row for row in rows if row["core"] == layers.json["core"] and row["input"] == heard["name"]]
        for figure in FIGURES:
            assert sum(row[figure] for row in mine) == heard["totals"][figure]
    for row, layer in zip([row for row in rows if row["core"] == "cortex-m4"], layers.json["layers"], strict=False):
        assert all(row[f"{part}_{name}"] == moved[name] for part, moved in layer["traffic"].items() for name in ("reads", "bytes_written"))
        assert row["milliseconds"] == layer["milliseconds"] and row["bit_exact"] is True


def test_layers_are_those_of_csv(layers) -> None:
    rows = [row for row in rows_of(layers.path("parquet")) if row["core"] == "cortex-m4" and row["layer"] != "outside"]
    columns = csv_rows(layers.path("csv"))
    assert [row["layer"] for row in rows] == [row["name"] for row in columns]
    for name in set(columns[0]) & set(rows[0]):
        assert [as_csv(row[name]) for row in rows] == [row[name] for row in columns]


def test_what_made_it_is_in_the_file(layers) -> None:
    said = json.loads(parquet.read_schema(layers.path("parquet")).metadata[b"thumbcycle"])
    assert said["schema"] == 1
    assert {name: said[name] for name in ("kernels", "flags", "toolchain", "image", "network")} == {
        name: layers.json[name] for name in ("kernels", "flags", "toolchain", "image", "network")}


def test_a_firmware_is_a_row_a_core(builder, tmp_path) -> None:
    found = export(tmp_path, str(builder.elf(CALLS)), "--core", "cortex-m4", "--core", "cortex-m33", "--report", "/dev/null", "--mhz", "48",
                   forms=("json", "parquet"))
    first, second = rows_of(found.path("parquet"))
    totals = found.json["totals"]
    assert {name: first[name] for name in totals} == totals and first["exit_code"] == 3 and first["core"] == "cortex-m4"
    assert second["core"] == "cortex-m33" and second["cycles"] == found.json["cores"]["cortex-m33"]["cycles"]
    assert {name: second[name] for name in totals if name not in ("cycles", "milliseconds")} == {
        name: totals[name] for name in totals if name not in ("cycles", "milliseconds")}


# --- Markdown ---


def tables(text: str) -> list[list[list[str]]]:
    """Rows of cells of each table. Every row has as many as its head."""
    found: list[list[list[str]]] = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if not lines or not lines[0].startswith("|"):
            continue
        rows = [[cell.strip().strip("*").replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        assert all(re.fullmatch(r"-{3}:?", cell) for cell in rows[1]) and len({len(row) for row in rows}) == 1, block
        found.append([rows[0], *rows[2:]])
    return found


def test_markdown_has_the_rows(exported) -> None:
    *_, functions = tables(exported.text("markdown"))
    shown = {row[0]: dict(zip(functions[0], row, strict=True)) for row in functions[1:]}
    assert shown["total"]["cycles"] == f"{exported.totals['cycles']:,}"
    for row in exported.functions:
        assert shown[row["name"]]["(instructions)"] == f"{row['inclusive']['instructions']:,}"


def test_markdown_of_inputs_and_cores(layers) -> None:
    inputs, cores = tables(layers.text("markdown"))
    assert [row[0] for row in inputs[1:]] == ["yes", "no"]
    assert cores[-1] == ["total", *(f"{facts['cycles']:,}" for facts in layers.json["cores"].values())]
    assert layers.text("markdown").startswith("### kws int8 on a modelled cortex-m4 with zero-wait memory")


# --- experiments ---


@pytest.mark.parametrize("arguments", [("compare", "thumb2", "c"), ("ablate", "--core", "cortex-m3", "--kernels", "c")])
def test_experiments(tmp_path, arguments) -> None:
    written = {form: tmp_path / f"found.{form}" for form in ("csv", "parquet", "markdown", "json")}
    experiment([*arguments, *(text for form, path in written.items() for text in (f"--{form}", str(path)))], standalone_mode=False)
    rows, columns = rows_of(written["parquet"]), csv_rows(written["csv"])
    assert [{name: as_csv(row[name]) for name in columns[0]} for row in rows] == columns
    assert len(tables(written["markdown"].read_text())) == (2 if arguments[0] == "compare" else 1)
    assert json.loads(written["json"].read_text())["schema"] == 1
