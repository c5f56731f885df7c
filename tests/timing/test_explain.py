"""Reasons: they add up to what is scheduled, always; and on sequences whose cycles are published they are the rules' that explain those."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu import measure
from emu.kws import Job, load, prepared, read
from emu.probe import follow
from emu.timing import core as cores
from emu.timing import memory as memories
from emu.timing import pipeline, pricing
from emu.timing.bus import Behaviour, Bus, Wait
from emu.timing.core import Core
from emu.timing.explain import Account, Why, sentence
from emu.timing.lines import Lines
from emu.timing.step import Step
from tests.emu.target import Assembler
from tests.timing.published import Probe, assemble, probes

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
CORES = cores.names()
BOARDS = ("zero-wait", "stm32f407-168mhz", "stm32h743-400mhz")
# Rules and figures that add cycles -> the reason that their cycles have.
REASON = {"address_dependency": "address dependency", "load_behind_store": "load behind store", "load_behind_writeback": "address dependency",
          "fp_result": "operand", "refill": "branch refill", "refill_execute": "branch refill", "refill_table": "branch refill",
          "refill_loaded": "branch refill", "skipped": "skipped", "speculation": "lost fetch"}


def explained(walk: list[Step], taken: bool, core: Core, **of_memory: object) -> list[Why]:
    account = Account()
    return account.whys(pipeline.schedule(walk, taken, core, account=account, **of_memory))


def check(whys: list[Why], schedule: list[int]) -> None:
    """What must hold of every stream."""
    assert [why.cycles for why in whys] == schedule
    assert [why.issue for why in whys] == sorted(why.issue for why in whys)
    assert whys[0].issue >= 0
    for why in whys:
        assert why.minimum >= 0
        assert all(cycles > 0 and sentence(reason) for reason, cycles in why.reasons)
        assert why.cycles == why.minimum + sum(cycles for _, cycles in why.reasons)


@pytest.fixture(scope="module")
def walks(tmp_path_factory) -> dict[str, dict[Probe, list[Step]]]:
    """core -> published sequence -> its steps."""
    assembler = Assembler(tmp_path_factory.mktemp("probes"))
    return {name: assemble(assembler, name, probes(name)) for name in CORES}


# --- they add up ---


@pytest.mark.parametrize("kernels", ["thumb2", "c"])
@pytest.mark.parametrize("board", BOARDS)
def test_of_the_keyword_spotter(kernels, board):
    job, memory = Job(kernels=kernels, memory=board), memories.load(board)
    ready = prepared(job, load(job), kernels)
    tables = [cores.load(name) for name in CORES]
    run = measure.infer(ready.image, ready.program, ready.network.input_array(read("yes").features), ready.core, memory=memory, others=tables)
    keys = {(s.start, s.end, s.taken, s.entered): s.events for s in run.counts.streams}  # of one way, one
    for core in tables:
        prices = pricing.prices(run.counts, run.instructions, core, memory)
        for way, events in keys.items():
            check(prices.explain(*way, events), prices.schedule(*way, events))


@pytest.mark.parametrize("name", CORES)
def test_of_published_sequences(walks, name):
    core = cores.load(name)
    for probe, walk in walks[name].items():
        check(explained(walk, probe.taken, core, entered=probe.entered), pipeline.schedule(walk, probe.taken, core, entered=probe.entered))


WAITS = st.builds(Wait, st.integers(0, 3), st.integers(0, 2))
BEHAVIOURS = st.builds(Behaviour, WAITS, WAITS, st.just(0), st.integers(0, 3), st.integers(0, 2), st.integers(0, 4))


@st.composite
def streams(draw, pool: list[Step]) -> tuple[list[Step], dict[str, object]]:
    """Any instructions one behind the other, with any memories."""
    at, walk = draw(st.sampled_from([0x1000, 0x1002, 0x1006])), []
    for step in draw(st.lists(st.sampled_from(pool), min_size=1, max_size=14)):
        skipped = draw(st.integers(0, 7)) == 0
        accesses = step.instruction.accesses and not skipped
        walk.append(Step(step.instruction._replace(address=at), skipped, draw(st.integers(0, 2)) if accesses else -1))
        at += step.instruction.size
    numbers = st.lists(st.integers(0, 2), min_size=len(walk), max_size=len(walk))
    events = draw(st.lists(st.sampled_from([follow.LINE_HIT, follow.LINE_MISS, follow.ON_ITS_WAY + 1]), max_size=8))
    return walk, {"entered": draw(st.booleans()), "waits": draw(numbers), "displaced": draw(numbers),
                  "behaviours": draw(st.dictionaries(st.integers(0, 2), BEHAVIOURS)), "events": bytes(events), "wait": draw(st.integers(1, 6))}


@EXAMPLES
@given(data=st.data(), name=st.sampled_from(CORES), taken=st.booleans())
def test_of_any_stream(walks, data, name, taken):
    core = cores.load(name)
    walk, given = data.draw(streams([step for steps in walks[name].values() for step in steps]))

    def of_memory() -> dict[str, object]:
        lines = Lines(walk[0].instruction.address, 16, given["events"], given["wait"]) if given["events"] else None
        return {"entered": given["entered"], "waits": given["waits"], "displaced": given["displaced"], "lines": lines,
                "bus": Bus(given["behaviours"]) if given["behaviours"] else None}

    check(explained(walk, taken, core, **of_memory()), pipeline.schedule(walk, taken, core, **of_memory()))


# --- they are the right ones ---


@pytest.mark.parametrize("name", ["cortex-m3", "cortex-m4"])
def test_a_sequence_that_a_rule_explains_has_its_reason(walks, name):
    core = cores.load(name)
    for probe, walk in walks[name].items():
        found = {reason for why in explained(walk, probe.taken, core, entered=probe.entered) for reason, _ in why.reasons}
        wanted = {REASON[rule] for rule in probe.because if rule in REASON}
        assert wanted <= found, probe.name


class Case(NamedTuple):
    """A sequence, and of every line its cycles above the minimum by reason, as its core's manual or measurements have it."""

    core: str
    lines: str
    above: list[dict[str, int]]
    taken: bool = False
    entered: bool = False
    odd: bool = False
    elsewhere: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def probe(self) -> Probe:
        return Probe(self.lines, "sequence", tuple(self.lines.split("; ")), 0, "", taken=self.taken, entered=self.entered, odd=self.odd,
                     elsewhere=self.elsewhere, skipped=self.skipped)


M4, M7, M33 = "cortex-m4", "cortex-m7", "cortex-m33"
CASES = [
    # pairing (SWCU185): LDR 2, a load directly behind it pipelines
    Case(M4, "ldr r0, [r4]; ldr r1, [r5]; adds r2, #1", [{}, {"unpaired load": 1}, {}]),
    Case(M4, "ldr r0, [r4]; adds r2, #1", [{"unpaired load": 1}, {}]),
    Case(M4, "ldr r0, [r4]; str r1, [r5]", [{}, {}]),
    # not when its address depends on what was loaded, or on the base that was written back
    Case(M4, "ldr r0, [r4]; ldr r1, [r0]; adds r2, #1", [{"load-use": 1}, {"unpaired load": 1}, {}]),
    Case(M4, "ldr r0, [r4], #4; ldr r1, [r4]; adds r2, #1", [{"address dependency": 1}, {"unpaired load": 1}, {}]),
    Case(M4, "ldr r0, [r4]; ldr r1, [r5]; adds r2, #1", [{"memory change": 1}, {"unpaired load": 1}, {}], elsewhere=(1,)),
    Case(M4, "adds r4, #4; ldr r0, [r4]; nop", [{"address dependency": 1}, {}, {}]),
    Case(M4, "str r0, [r4]; ldr r1, [r5]; nop", [{"load behind store": 1}, {}, {}]),
    # Arm KA 103488664: wide at 2 mod 4 behind a taken branch; jnk0le: a wide load there may fail to pipeline
    Case(M4, "add.w r0, r0, #1; adds r1, #1", [{"fetch": 1}, {}], entered=True, odd=True),
    Case(M4, "add.w r0, r0, #1; adds r1, #1", [{}, {}], entered=True),
    # M3-TRM 15.3: B and BL in decode, CBZ in execute, a load into PC
    Case(M4, "adds r0, #1; b .", [{}, {"branch refill": 1}], taken=True),
    Case(M4, "adds r0, #1; cbz r0, .+4", [{}, {"branch refill": 2}], taken=True),
    Case(M4, "nop; pop {r0, pc}", [{}, {"branch refill": 3}], taken=True),
    # TRM: IT folds behind a 16-bit instruction; what fails its condition takes a cycle
    Case(M4, "adds r0, #1; it eq; moveq r1, r2", [{}, {}, {"skipped": 1}], skipped=(2,)),
    Case(M4, "add.w r0, r0, #1; it eq; moveq r1, r2", [{}, {"unfolded IT": 1}, {}]),
    # FPU: one more cycle when the next instruction consumes the result
    Case(M4, "vadd.f32 s0, s1, s2; vadd.f32 s3, s0, s2", [{"operand": 1}, {}]),
    # jnk0le: one multiplier, banks of two words, one load's latency to an address
    Case(M7, "mul r0, r1, r2; mul r3, r4, r5", [{"not paired: mac": 1}, {}]),
    Case(M7, "ldr r0, [r4]; ldr r1, [r4, #8]", [{"not paired: banks": 1}, {}]),
    Case(M7, "ldr r0, [r4]; ldr r1, [r4, #4]", [{}, {}]),
    Case(M7, "add.w r0, r1, r2; add.w r3, r4, r5", [{}, {}]),
    Case(M7, "add.w r0, r1, r2, lsl #1; add.w r3, r4, r5, lsl #1", [{"not paired: shifter": 1}, {}]),
    Case(M7, "ldr r0, [r4]; ldr r1, [r0]", [{"load-use": 2}, {}]),
    # jnk0le: only 16-bit instructions, and not a taken branch with what sets its flags
    Case(M33, "add.w r0, r0, #1; nop", [{"not paired: wide": 1}, {}]),
    Case(M33, "adds r0, #1; nop", [{}, {}]),
    Case(M33, "subs r0, #1; bne .", [{"not paired: flags": 1}, {"branch refill": 1}], taken=True),
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[Case, list[Step]]:
    assembler, found = Assembler(tmp_path_factory.mktemp("cases")), {}
    for name in {case.core for case in CASES}:
        mine = [case for case in CASES if case.core == name]
        walks = assemble(assembler, name, [case.probe for case in mine])
        found |= {CASES.index(case): walks[case.probe] for case in mine}
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case.core}: {case.lines}" for case in CASES])
def test_reasons_of(cases, number):
    case = CASES[number]
    whys = explained(cases[number], case.taken, cores.load(case.core), entered=case.entered)
    assert [dict(why.reasons) for why in whys] == case.above


def test_two_that_issue_together_issue_in_one_cycle(cases):
    together, apart = (next(n for n, case in enumerate(CASES) if case.lines == lines)
                       for lines in ("ldr r0, [r4]; ldr r1, [r4, #4]", "ldr r0, [r4]; ldr r1, [r4, #8]"))
    one, other = (explained(cases[number], False, cores.load(M7), entered=False) for number in (together, apart))
    assert [(why.issue, why.cycles, why.minimum) for why in one] == [(0, 0, 0), (0, 1, 1)]
    assert [(why.issue, why.cycles, why.minimum) for why in other] == [(0, 1, 0), (1, 1, 1)]
