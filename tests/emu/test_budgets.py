"""The file budgets.toml, and what a budget makes of measured figures."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from emu import files
from emu.check import budgets, gate
from emu.check.budgets import FIGURES, Budget, Budgets, Figures
from emu.errors import InputError
from emu.timing import core as cores

ROW = "{ instructions = 10, cycles = 20, bytes_read = 30, bytes_written = 40, stack = 50, code = 60 }"
RUN = f'[[run]]\nkernels = "c"\ncompiler = "gcc 1"\n\n[run.layers]\nconv = {ROW}\n'
FILE = f"# Head.\n#\n\n{RUN}"
BUDGET = Figures(10, 20, 30, 40, 50, 60)


@pytest.fixture
def load(tmp_path: Path):
    def loaded(text: str | bytes) -> Budgets:
        file = tmp_path / "budgets.toml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return budgets.load(str(file))

    return loaded


def test_what_stands_in_the_file(load) -> None:
    (run,) = load(FILE).runs
    assert run == Budget("c", "cortex-m4", "zero-wait", "yes", "O3", "", "gcc 1", {"conv": BUDGET})
    assert (run.line(), run.line("conv"), run.line("compiler"), run.line("else")) == (4, 9, 6, 4)
    assert run.name == "c on cortex-m4" and replace(run, opt="Os").name == "c on cortex-m4, opt Os"


@pytest.mark.parametrize(("text", "message"), [
    ("[[run]\n", "(at line 1"),
    ("[" * 20_000, "budgets.toml: "),
    (b"\xff\xfe", "utf-8"),
    ("", "there is no [[run]]"),
    ("run = []", "there is no [[run]]"),
    ("run = [3]", "must be a table, not 3"),
    ("[[runs]]", "no key is called 'runs' (did you mean run?); there are run"),
    ('[[run]]\nkernels = "c"\nkernals = "c"', ":3: no key of a [[run]] is called 'kernals' (did you mean kernels?)"),
    ('[[run]]\ncore = "cortex-m4"', ":1: [[run]] names no kernels"),
    ("[[run]]\nkernels = 3", ":2: kernels must be a name, not 3"),
    ('[[run]]\nkernels = ""', ":2: kernels must be a name, not ''"),
    ('[[run]]\nkernels = "c"\nlayers = 3', "layers must be a table with a line a layer, not 3"),
    (RUN.replace('compiler = "gcc 1"\n', ""), "no compiler that they belong to"),
    (RUN.replace(ROW, "3"), ":6: conv must be a table of instructions, cycles"),
    (RUN.replace("cycles", "cycle"), ":6: no figure of conv is called 'cycle' (did you mean cycles?)"),
    (RUN.replace(", stack = 50", ""), ":6: conv has no stack"),
    (RUN.replace("20", "-1"), ":6: cycles of conv must be a whole number from 0, not -1"),
    (RUN.replace("20", "2.5"), "not 2.5"),
    (RUN.replace("20", "true"), "not True"),
    (RUN + RUN, ":7: c on cortex-m4 stands in the file twice, first in line 1"),
])
def test_files_that_are_wrong(load, text, message) -> None:
    with pytest.raises(InputError) as caught:
        load(text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        budgets.load(str(tmp_path / "budgets.toml"))


def test_it_is_written_in_one_order_and_keeps_its_head(load) -> None:
    odd = 'a "layer" \\ \u0007'
    wanted = load(FILE)
    other = replace(wanted.runs[0], kernels="b", memory="slow", layers={odd: BUDGET, "conv": BUDGET})
    budgets.save(wanted.with_runs([*wanted.runs, other]))
    again = budgets.load(wanted.file)
    assert again.head == "# Head.\n#\n\n" and again.runs == (other, *wanted.runs) and list(again.runs[0].layers) == [odd, "conv"]
    text = Path(wanted.file).read_text()
    budgets.save(again)
    assert Path(wanted.file).read_text() == text


def test_a_full_disk_leaves_the_file_as_it_was(load, monkeypatch) -> None:
    wanted = load(FILE)
    monkeypatch.setattr(files.os, "replace", lambda *names: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(InputError, match="cannot write .*budgets.toml: No space left on device"):
        budgets.save(wanted.with_runs([]))
    assert Path(wanted.file).read_text() == FILE
    assert [path.name for path in Path(wanted.file).parent.iterdir()] == ["budgets.toml"]


@pytest.mark.parametrize("figure", FIGURES)
def test_one_more_of_anything_grew_and_one_less_is_better(figure) -> None:
    more = gate.Layer("conv", BUDGET, replace(BUDGET, **{figure: getattr(BUDGET, figure) + 1}))
    less = gate.Layer("conv", BUDGET, replace(BUDGET, **{figure: getattr(BUDGET, figure) - 1}))
    assert (more.verdict, less.verdict, gate.Layer("conv", BUDGET, BUDGET).verdict) == (gate.GREW, gate.IMPROVED, gate.SAME)
    assert f"{figure.replace('_', ' ')} {getattr(BUDGET, figure)} -> {getattr(BUDGET, figure) + 1} (+1, +" in str(more)


def test_growth_is_not_made_up_for_elsewhere() -> None:
    layer = gate.Layer("conv", BUDGET, replace(BUDGET, cycles=1, stack=51))
    assert layer.verdict == gate.GREW and [str(change) for change in layer.grown] == ["stack 50 -> 51 (+1, +2.00%)"]


def test_a_layer_that_is_new_or_gone_fails() -> None:
    one = gate.Checked(Budget("c", "cortex-m4", "zero-wait", "yes", "O3", "", "gcc 1", {}), (
        gate.Layer("pool", None, BUDGET), gate.Layer("pol", BUDGET, None, hint=budgets.near("pol", ["pool"]))), "gcc 1")
    assert [text for _, text in one.problems] == ["pool: no figures; --update writes them down",
                                                  "pol: nothing of that name was run (did you mean pool?); --update takes it out"]


def _checked(layer: gate.Layer, compiler: str = "gcc 1", wrong: str = "") -> tuple[Budgets, list[gate.Checked]]:
    budget = Budget("c", "cortex-m4", "zero-wait", "yes", "O3", "", "gcc 1", {"conv": BUDGET})
    return Budgets("budgets.toml", "", (budget,)), [gate.Checked(budget, (layer,), compiler, wrong)]


@pytest.mark.parametrize(("measured", "compared", "compiler", "wrong", "updated", "accepted"), [
    (replace(BUDGET, cycles=19), FIGURES, "gcc 1", "", 19, 19),
    (replace(BUDGET, cycles=21), FIGURES, "gcc 1", "", 20, 21),
    (replace(BUDGET, cycles=19), (), "gcc 2", "", 20, 19),
    (replace(BUDGET, cycles=19, stack=49), ("stack",), "gcc 2", "", 20, 19),
    (replace(BUDGET, cycles=19), FIGURES, "gcc 1", "a byte is wrong", 20, 20),
])
def test_what_an_update_writes(measured, compared, compiler, wrong, updated, accepted) -> None:
    wanted, checked = _checked(gate.Layer("conv", BUDGET, measured, compared), compiler, wrong)
    for accept, cycles in ((False, updated), (True, accepted)):
        new = gate.updated(wanted, checked, accept)
        assert new.runs[0].layers["conv"].cycles == cycles
        assert new.runs[0].compiler == (compiler if accept and not wrong else "gcc 1")
        if accept and not wrong:
            assert [layer.verdict for layer in gate.settled(checked, new)[0].layers] == [gate.SAME]
    assert new.runs[0].layers["conv"].stack == (measured.stack if not wrong else 50)


@pytest.mark.parametrize(("core", "memory", "placed"), [
    ("cortex-m4", "zero-wait", False), ("cortex-m0plus", "zero-wait", False), ("cortex-m7", "zero-wait", True),
    ("cortex-m4", "stm32f407-24mhz", True)])
def test_where_a_functions_place_changes_its_cycles(core, memory, placed) -> None:
    assert gate.placed(cores.load(core), memory) is placed
