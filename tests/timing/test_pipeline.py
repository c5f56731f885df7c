"""The in-order cores' tables against published sequences, and every rule of them taken away in turn."""

from __future__ import annotations

import copy
import tomllib

import pytest

from emu.timing import core as cores
from emu.timing.core import Core
from emu.timing.pipeline import Step
from tests.emu.target import Assembler
from tests.timing.published import Probe, assemble, modelled, probes

CORES = ("cortex-m4", "cortex-m3", "cortex-m0plus")
TABLES = {name: tomllib.loads((cores.CORES / f"{name}.toml").read_text()) for name in CORES}
PROBES = [(name, probe) for name in CORES for probe in probes(name)]
# Figures whose change a sequence must show: rules are taken away, the others become something else.
FIGURES = {row: ("branch", "cycles") for row in ("refill", "refill_execute", "refill_table", "refill_loaded")} | {
    "skipped": ("issue", "cycles"), "speculation": ("fetch", "value"), "ahead": ("fetch", "value")}
CHANGES = [(name, figure) for name in CORES for figure in (*TABLES[name]["rules"], *FIGURES)
           if figure in TABLES[name]["rules"] or TABLES[name][FIGURES[figure][0]].get(figure, {}).get(FIGURES[figure][1])]


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[str, dict[Probe, list[Step]]]:
    """core -> probe -> its steps."""
    assembler = Assembler(tmp_path_factory.mktemp("probes"))
    return {name: assemble(assembler, name, probes(name)) for name in CORES}


def changed(name: str, figure: str) -> Core:
    """The table without that rule, or with that figure at another value."""
    table = copy.deepcopy(TABLES[name])
    if figure in table["rules"]:
        del table["rules"][figure]
    else:
        section, key = FIGURES[figure]
        table[section][figure][key] = 0 if section == "fetch" else 9
    return cores.from_table(table)


@pytest.mark.parametrize(("name", "probe"), PROBES, ids=[f"{name}: {probe.name}" for name, probe in PROBES])
def test_published_cycles(steps, name, probe):
    assert modelled(probe, steps[name][probe], cores.load(name)) == probe.cycles, probe.source


@pytest.mark.parametrize(("name", "figure"), CHANGES)
def test_a_rule_explains_its_sequences_and_no_other(steps, name, figure):
    other = changed(name, figure)
    differ = {probe.name for probe, walk in steps[name].items() if modelled(probe, walk, other) != probe.cycles}
    assert differ == {probe.name for probe in steps[name] if figure in probe.because}


def test_every_rule_has_its_sequences():
    """But for `memory_change`, which changes only what memory adds (tests/timing/test_memories.py)."""
    for name in CORES:
        explained = {figure for probe in probes(name) for figure in probe.because}
        assert set(TABLES[name]["rules"]) - explained <= {"memory_change"}
