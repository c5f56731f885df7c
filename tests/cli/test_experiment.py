"""`python -m emu.experiment ablate` as a user types it."""

from __future__ import annotations

import json

import pytest

from emu.accuracy.points import RECORDINGS
from emu.timing import core as cores

ABLATE = ("emu.experiment", "ablate")


def test_every_rule_of_the_table_is_taken_away(run) -> None:
    done = run(*ABLATE, "--kernels", "c", "--json", "-")
    (program,) = json.loads(done.stdout)["programs"]
    without = {row["rule"]: row for row in program["without"]}
    rules = {rule for rule, cycles in cores.load("cortex-m4").rules.items() if cycles}
    assert rules <= set(without) and {"fetch", "speculation", "refill"} <= set(without)
    assert all(row["difference"] == row["cycles"] - program["cycles"] for row in without.values())
    assert all(abs(row["percent"] - 100 * row["difference"] / program["cycles"]) < 1e-9 and row["source"] for row in without.values())
    worth = [abs(row["difference"]) for row in program["without"]]
    assert worth == sorted(worth, reverse=True) and worth[0]
    assert without["load_pipelining"]["difference"] > 0 > without["refill"]["difference"]
    assert without["fp_result"]["difference"] == 0  # integers only


def test_the_whole_table_gives_what_emu_run_gives(run) -> None:
    program = json.loads(run(*ABLATE, "--kernels", "thumb2", "--json", "-").stdout)["programs"][0]
    assert program["cycles"] == json.loads(run("emu.run", "kws", "--json", "-").stdout)["totals"]["cycles"]


def test_the_table_is_printed_for_every_kernel_set(run) -> None:
    lines = run(*ABLATE, "--kernels", "thumb2", "--kernels", "float").stdout.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("kws")] == ["kws, thumb2", "kws, float"]
    assert sum("address_dependency" in line for line in lines) == 2


def test_a_recording(run) -> None:
    recording = min(RECORDINGS.rglob("*.npz"))
    (program,) = json.loads(run(*ABLATE, str(recording), "--json", "-").stdout)["programs"]
    assert program["program"] == recording.name and program["cycles"] > 0


def test_without_a_command_it_says_what_there_is(run) -> None:
    done = run("emu.experiment")
    said = " ".join(done.stdout.split())
    assert done.returncode == 0 and "cores, memories or git revisions side by side" in said and "table is worth on a program." in said


def test_a_command_that_there_is_not(one_line_error) -> None:
    assert "no experiment 'compar'" in (line := one_line_error(2, "emu.experiment", "compar")) and line.endswith("did you mean compare?")


@pytest.mark.parametrize(("status", "arguments", "message"), [
    (2, ("kwss",), "nothing to run is called 'kwss'"),
    (2, ("--core", "cortex-m44"), "did you mean cortex-m4?"),
    (2, ("--core", "cortex-m7", "--kernels", "c"), "describes dual issue"),
    (2, ("--kernels", "cc"), "no kernel set 'cc'"),
    (2, ("--memory", "sram9"), "no memory 'sram9'"),
    (3, ("none.npz",), "none.npz: No such file"),
    (2, ("none.npz", "--opt", "Os"), "--opt means nothing with a recording"),
])
def test_wrong_input_is_one_line(one_line_error, status, arguments, message) -> None:
    assert message in one_line_error(status, *ABLATE, *arguments)
