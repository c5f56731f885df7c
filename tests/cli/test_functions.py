"""python -m emu.run kws --functions and the options with it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from emu.build.cache import REPOSITORY
from tests.cli.conftest import called_in


def document(*options: str) -> dict:
    done = called_in(REPOSITORY, "emu.run", "kws", "--json", "-", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("options", [("--kernels", "c"), ("--memory", "stm32f407-168mhz"), ("--core", "cortex-m7"), ("--kernels", "float")])
def test_functions_add_up_to_the_totals(options):
    found = document("--functions", *options)
    totals, rows = found["totals"], found["functions"]["functions"]
    assert found["functions"]["memory"] == found["memory"]
    for key in ("instructions", "cycles", "bytes_read", "bytes_written"):
        assert sum(row["self"][key] for row in rows) == found["functions"]["totals"][key] == totals[key]


def test_a_region_is_its_layer():
    """A kernel's calls cost what its layer costs."""
    found = document("--region", "max_pool2d_s8")
    layer = next(layer for layer in found["layers"] if layer["kernel"] == "max_pool2d_s8")
    part = found["functions"]
    assert (part["region"], part["entries"]) == ("calls of max_pool2d_s8", 1)
    assert part["totals"] == {key: layer[key] for key in ("instructions", "cycles", "bytes_read", "bytes_written")}


def test_tables_and_csv():
    done = called_in(REPOSITORY, "emu.run", "kws", "--callers", "dense_s8", "--lines", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "who called dense_s8" in done.stdout
    assert "lines of source" in done.stdout
    done = called_in(REPOSITORY, "emu.run", "kws", "--functions", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {"main", "dense_s8"} <= {row["name"] for row in rows}
    assert [int(row["cycles"]) for row in rows] == sorted((int(row["cycles"]) for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--region", "nothing_like_it"), "no symbol 'nothing_like_it'"),
        (("--to", "main"), "--to without --from"),
        (("--region", "main", "--from", "main"), "one region at a time"),
        (("--callers", "nobody"), "no function 'nobody' ran"),
        (("--stream", "--functions"), "--stream shows no functions"),
        (("--from", "main.c:1"), "no code of that line"),
    ],
)
def test_wrong_options_are_one_line(options, says):
    done = called_in(REPOSITORY, "emu.run", "kws", *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
