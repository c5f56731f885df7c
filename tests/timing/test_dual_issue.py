"""Dual issue against what is published of the Cortex-M7 and the Cortex-M33, figure by figure; and what holds of any stream."""

from __future__ import annotations

import copy
import random
import time
import tomllib
from itertools import pairwise

import pytest

from emu.isa.instruction import Flag, Instruction
from emu.timing import core as cores
from emu.timing import dual_issue, pipeline, predictor
from emu.timing.core import Core
from emu.timing.pipeline import Step
from emu.timing.roles import FORMS, notation, roles
from tests.emu.target import Assembler
from tests.timing.published import Probe, assemble, modelled, probes

CORES = ("cortex-m7", "cortex-m33")
SOURCES = [(name, source) for name in CORES for source in dict.fromkeys(probe.source for probe in probes(name))]
TABLES = {name: tomllib.loads((cores.CORES / f"{name}.toml").read_text()) for name in CORES}


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[str, dict[Probe, list[Step]]]:
    """core -> probe -> its steps."""
    assembler = Assembler(tmp_path_factory.mktemp("probes"))
    return {name: assemble(assembler, name, probes(name)) for name in CORES}


def wrong(steps: dict[Probe, list[Step]], core: Core) -> dict[str, tuple[int, int]]:
    """Probe -> what is published and what the core's table gives, where the two differ."""
    given = {probe: modelled(probe, walk, core) for probe, walk in steps.items()}
    return {probe.name: (probe.cycles, cycles) for probe, cycles in given.items() if cycles != probe.cycles}


def test_there_are_many_measurements():
    assert {name: len(probes(name)) > least for name, least in zip(CORES, (700, 200), strict=True)} == dict.fromkeys(CORES, True)


@pytest.mark.parametrize(("name", "source"), SOURCES)
def test_as_published(steps, name, source):
    mine = {probe: walk for probe, walk in steps[name].items() if probe.source == source}
    assert mine and not wrong(mine, cores.load(name))


def changed(name: str, path: str, change: int | bool | None) -> Core:
    """The table with one number changed by `change`, a switch turned, or (None) a key taken away."""
    table = copy.deepcopy(TABLES[name])
    *parts, key = path.split(".")
    row = table["dual_issue"]
    for part in parts:
        row = row[part]
    if change is None:
        del row[key]
    else:
        row[key] = change if isinstance(change, bool) else row[key] + change
    return cores.from_table(table)


@pytest.mark.parametrize(("name", "path", "change"), [
    *(("cortex-m7", f"results.{row}.ready", 1) for row in ("early", "late", "flags", "base", "reverse", "loaded", "loaded_narrow",
                                                           "product", "fp", "fused", "chained", "fp_loaded")),
    *(("cortex-m7", f"results.{row}.ready", -1) for row in ("late", "flags", "loaded", "loaded_narrow", "product", "fp", "fused",
                                                            "chained")),
    *(("cortex-m7", f"results.{row}", None) for row in ("reverse.address", "reverse.shifted", "loaded.multiply", "loaded.beside_shift",
                                                        "fused.fused_sum", "fused.chained_sum", "chained.chained_sum",
                                                        "fp_loaded.fused_sum", "fp_loaded.to_core", "early.from_core", "late.from_core")),
    *(("cortex-m7", f"ports.{row}.stage", 1) for row in ("operand", "shifted", "beside_shift", "multiply", "accumulate", "address", "flags",
                                                         "fp", "fp_data", "chained_sum", "to_core")),
    *(("cortex-m7", f"units.{row}.count", 1) for row in ("shifter", "late_port", "fpu", "fp_constant")),
    *(("cortex-m7", f"forms.{row}", None) for row in (
        "add.early", "move.early", "shift.early", "add.younger", "logic.younger", "shift.younger", "shifted_operand.operand",
        "multiply.operand", "multiply_add.operand", "load.younger", "store.younger", "load_multiple.alone", "store_multiple.alone",
        "branch.younger", "fp_add.behind",
        "fp_fused.behind", "fp_constant.behind", "fp_load.younger_behind", "fp_store.younger_behind", "fp_from_core.younger_behind",
        "fp_double_multiply.cycles", "fp_double_divide.cycles", "fp_pair_to_core.alone")),
    *(("cortex-m7", f"settings.{row}.value", 1) for row in ("words", "store_to_load", "near")),
    ("cortex-m7", "settings.bank.value", 4), ("cortex-m7", "settings.unknown_bank.value", False),
    ("cortex-m7", "settings.narrow_only.value", True),
    *(("cortex-m33", f"results.{row}.ready", 1) for row in ("early", "second", "flags", "loaded", "fp", "fused", "to_core")),
    *(("cortex-m33", f"results.{row}.ready", -1) for row in ("second", "loaded", "to_core")),
    ("cortex-m33", "results.loaded.extend_sum", None), ("cortex-m33", "ports.fp.ahead", None),
    *(("cortex-m33", f"forms.{row}", None) for row in ("nop.younger", "it.younger", "branch.younger", "branch_register.younger",
                                                       "multiply.flag_cycles", "shifted_constant.flag_cycles", "fp_fused.behind",
                                                       "fp_store.behind", "fp_pair_to_core.cycles")),
    ("cortex-m33", "settings.narrow_only.value", False), ("cortex-m33", "settings.taken_behind_flags.value", True),
    ("cortex-m33", "settings.skipped_as_nop.value", False), ("cortex-m33", "settings.words.value", 1),
    ("cortex-m33", "settings.store_to_load.value", 1), ("cortex-m33", "settings.near.value", 1),
])
def test_a_figure_is_held_by_a_measurement(steps, name, path, change):
    assert wrong(steps[name], changed(name, path, change))


@pytest.fixture(scope="module")
def streams(steps) -> dict[str, list[list[Step]]]:
    """core -> 200 streams of 1 to 40 instructions of its probes, branches left out, one behind the other in memory."""
    made = {}
    for name in CORES:
        chance = random.Random(7)
        pool = [step for walk in steps[name].values() for step in walk if not step.instruction.flags & Flag.BRANCH]
        made[name] = []
        for _ in range(200):
            walk, at = [], chance.choice((0, 2, 4, 6))
            for step in chance.choices(pool, k=chance.randint(1, 40)):
                walk.append(step._replace(instruction=step.instruction._replace(address=at)))
                at += step.instruction.size
            made[name].append(walk)
    return made


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("entered", [False, True])
def test_never_more_than_the_width(streams, name, entered):
    core = cores.load(name)
    for walk in streams[name]:
        issues = pipeline.schedule(walk, False, core, entered=entered)
        assert sum(issues) >= -(-len(walk) // 2) and len(issues) == len(walk) and min(issues[:-1], default=0) >= 0
        assert sum(issues) == pipeline.cycles(walk, False, core, entered=entered)
        assert not any(a == b == 0 for a, b in pairwise(issues[:-1]))  # three never issue together


@pytest.mark.parametrize("name", CORES)
def test_a_stream_takes_as_long_as_its_longest_part(streams, name):
    core = cores.load(name)
    for walk in streams[name]:
        whole = pipeline.cycles(walk, False, core, entered=False)
        assert all(pipeline.cycles(walk[:length], False, core, entered=False) <= whole for length in range(1, len(walk)))


@pytest.mark.parametrize("name", CORES)
def test_a_dependency_never_makes_it_faster(streams, name):
    """Where every other instruction reads what the one before it wrote, too; but for a cycle, which another pairing can win."""
    core, chance, later = cores.load(name), random.Random(8), 0
    for walk in streams[name]:
        chosen = [chance.random() < 0.5 for _ in walk]
        bound = [walk[0], *(after._replace(instruction=depends(before.instruction, after.instruction)) if choice else after
                            for (before, after), choice in zip(pairwise(walk), chosen, strict=False))]
        free, held = (pipeline.cycles(each, False, core, entered=False) for each in (walk, bound))
        assert held >= free - 1
        later += held - free
    assert later > len(streams[name])


def depends(before: Instruction, after: Instruction) -> Instruction:
    """`after`, reading a core register that `before` writes as an operand, too."""
    written = before.writes & 0x7FFF & -(before.writes & 0x7FFF)
    found = roles(after)
    if not written or found.form in ("nop", "it", "branch", "fp_constant"):
        return after
    return after._replace(text=f"{notation(after)} 0{written:x}", reads=after.reads | written)


def loop(steps, name: str, cycles: int) -> list[Step]:
    return next(walk for probe, walk in steps[name].items() if probe.loop and probe.cycles == cycles)


def test_a_loop_costs_what_its_later_iterations_do(steps):
    """The M7's template: 20 cycles an iteration; a chain through the loop makes it longer than the first iteration is."""
    walk, core = loop(steps, "cortex-m7", 20), cores.load("cortex-m7")
    assert pipeline.cycles(walk, True, core) == 20
    load = next(walk[0] for probe, walk in steps["cortex-m7"].items() if probe.lines[0] == "ldr.w r0, [r1]")
    chained = load.instruction._replace(text=notation(load.instruction).replace("32", "31"), reads=1, base=0)  # LDR r0, [r0]
    assert roles(chained).reads == (("address", 1),)
    branch = walk[-1].instruction
    body = [Step(chained._replace(address=branch.address - 4), False, 1), walk[-1]]
    target = int(branch.text.rpartition("#")[2], 0)
    body[1] = Step(branch._replace(text=branch.text.replace(f"#{target:#x}", f"#{branch.address - 4:#x}")), False, -1)
    assert pipeline.cycles(body, True, core) == 2  # a load's result is an address two cycles later
    assert pipeline.cycles(body, False, core, entered=False) == 1


def test_an_odd_number_of_slots_is_shared_between_iterations(steps):
    """A foreseen branch issues beside its target: three instructions take 1.5 cycles on average, rounded to 2; five 2.5, to 2."""
    core, walk = cores.load("cortex-m7"), loop(steps, "cortex-m7", 10)
    nop, branch = walk[0].instruction, walk[-1].instruction
    target = int(branch.text.rpartition("#")[2], 0)
    for slots, cycles in ((2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4)):
        narrow = [Step(nop._replace(address=target + 2 * number, size=2), False, -1) for number in range(slots - 1)]
        assert pipeline.cycles([*narrow, Step(branch._replace(address=target + 2 * slots - 2), False, -1)], True, core) == cycles


def test_every_form_is_decoded_as_one(steps):
    """The probes are of nearly all forms, and every table has a row for each."""
    seen = {roles(step.instruction).form for name in CORES for walk in steps[name].values() for step in walk}
    assert set(FORMS) - seen == {"divide", "system", "exclusive", "table_branch", "saturate", "fp_flags"} - seen
    assert all(set(TABLES[name]["dual_issue"]["forms"]) == set(FORMS) for name in CORES)


def test_notation_stands_for_the_text(steps):
    for name in CORES:
        core = cores.load(name)
        for probe, walk in steps[name].items():
            noted = [step.instruction._replace(text=notation(step.instruction), offset=0, condition=0) for step in walk]
            kept = [step._replace(instruction=instruction) for step, instruction in zip(walk, noted, strict=True)]
            assert [roles(step.instruction) for step in kept] == [roles(step.instruction) for step in walk]
            assert modelled(probe, kept, core) == modelled(probe, walk, core)
            assert all(len(step.instruction.text) <= 48 for step in kept)


def test_cheap(streams):
    """A network's few hundred streams of 20 instructions for one more core: some tens of milliseconds."""
    core = cores.from_table(TABLES["cortex-m7"])
    started = time.process_time()
    for walk in streams["cortex-m7"]:
        dual_issue.schedule(walk, False, core)
    assert time.process_time() - started < 0.5


def test_what_a_branch_costs_that_is_not_foreseen():
    m7, m33 = (cores.load(name) for name in CORES)
    (follower,) = predictor.followers(m7, m33, m7)
    (kind,) = predictor.costs(m7, [follower])
    assert [predictor.costs(m7, [follower])[kind].cycles(event) for event in (1, 2, 3, 9)] == [8, 8, 4, 0]
    assert not predictor.costs(m33, [follower]) and not predictor.costs(m7, [])


@pytest.mark.parametrize(("path", "value", "message"), [
    ("settings.teleport", {"value": 1, "source": "none"}, r"unknown row in \[dual_issue.settings\]: teleport"),
    ("settings.line", None, r"missing row in \[dual_issue.settings\]: line"),
    ("settings.line", {"value": True, "source": "none"}, "dual_issue.settings.line must be a whole number, not True"),
    ("settings.line", {"value": 0, "source": "none"}, "dual_issue.settings.line must be at least 1, not 0"),
    ("settings.across", {"value": 1, "source": "none"}, "dual_issue.settings.across must be true or false, not 1"),
    ("units.alu", {"count": -1, "source": "none"}, "dual_issue.units.alu.count must be a whole number, not -1"),
    ("units.alu", {"count": 2}, "dual_issue.units.alu needs a source"),
    ("ports.operand", None, r"missing row in \[dual_issue.ports\]: operand"),
    ("ports.operand", {"stage": 1, "step": 1, "source": "none"}, "unknown key of dual_issue.ports.operand: step"),
    ("results.early", None, r"missing row in \[dual_issue.results\]: early"),
    ("results.late", {"ready": 2, "addres": 1, "source": "none"}, "unknown key of dual_issue.results.late: addres"),
    ("results.late", {"source": "none"}, "missing key of dual_issue.results.late: ready"),
    ("forms.add", None, r"missing row in \[dual_issue.forms\]: add"),
    ("forms.teleport", {"older": [], "source": "none"}, r"unknown row in \[dual_issue.forms\]: teleport"),
    ("forms.add", {"older": ["warp"], "source": "none"}, "unknown unit of dual_issue.forms.add.older: warp"),
    ("forms.add", {"older": [], "result": "soon", "source": "none"}, "dual_issue.forms.add.result: 'soon' is none of early, "),
    ("forms.add", {"older": [], "operand": "left", "source": "none"}, "dual_issue.forms.add.operand: 'left' is none of operand, "),
    ("forms.add", {"older": [], "slots": ["middle"], "source": "none"}, "dual_issue.forms.add.slots: older and younger are the slots"),
    ("forms.add", {"older": [], "behind": {"warp": 1}, "source": "none"}, "unknown form of dual_issue.forms.add.behind: warp"),
    ("forms.add", {"older": []}, "dual_issue.forms.add needs a source"),
])
def test_the_section_is_checked(path, value, message):
    table = copy.deepcopy(TABLES["cortex-m7"])
    part, row = path.split(".")
    if value is None:
        del table["dual_issue"][part][row]
    else:
        table["dual_issue"][part][row] = value
    with pytest.raises(ValueError, match=message):
        cores.from_table(table)


@pytest.mark.parametrize(("row", "key", "value", "message"), [
    ("shape", "btb_sets", 3, "btb_sets 3: expected a power of two"),
    ("shape", "colour", 3, "unknown key of predictor.shape: colour"),
    ("cost", "wrong_target", None, "missing key of predictor.cost: wrong_target"),
    ("cost", "source", None, "missing key of predictor.cost: source"),
    ("cost", "wrong_target", -1, "predictor.cost.wrong_target must be a whole number, not -1"),
])
def test_the_predictors_section_is_checked(row, key, value, message):
    table = copy.deepcopy(TABLES["cortex-m7"])
    table["predictor"][row].pop(key, None)
    if value is not None:
        table["predictor"][row][key] = value
    with pytest.raises(ValueError, match=message):
        cores.from_table(table)


@pytest.mark.parametrize("name", CORES)
def test_every_figure_names_its_source(name):
    parts = [*TABLES[name]["dual_issue"].values(), *(TABLES[name][part] for part in ("cycles", "branch", "divide", "issue", "exception"))]
    assert all(len(row["source"]) > 2 for part in parts for row in part.values())
    assert not {"fetch", "rules"} & set(TABLES[name])
