"""The Cortex-M4's rules as small sequences with their published cycles, and the rules taken away one at a time."""

from __future__ import annotations

import copy
import random
import tomllib
from dataclasses import replace
from typing import NamedTuple

import pytest

from emu.isa.instruction import Flag
from emu.machine import Machine
from emu.timing import core as cores
from emu.timing import pipeline, pricing
from tests.emu.target import array, function

M4 = cores.load("cortex-m4")
TABLE = tomllib.loads((cores.CORES / "cortex-m4.toml").read_text())


class Row(NamedTuple):
    """A sequence and its cycles. because: the rules without which it would cost something else. odd: it begins at 2 mod 4."""

    code: str
    cycles: int
    source: str
    because: tuple[str, ...] = ()
    taken: bool = False
    odd: bool = False
    skipped: tuple[int, ...] = ()  # numbers of instructions that an IT block skips
    flash: tuple[int, ...] = ()  # numbers of instructions that access flash instead of RAM


TRM, PAIRING, JNK0LE, I0, FPU, REPLAY = (
    "TRM DDI 0439, 3.3",
    "TI SWCU192, load/store timings",
    "jnk0le/random, cortex_m3m4.md",
    "compendium.i-0.nl, instruction alignment",
    "TRM DDI 0439, 7.2.3",
    "replay of pqm4 and Embench",
)
P, S, D = "load_pipelining", "store_behind_load", "address_dependency"
ROWS = {
    "one load": Row("ldr r0, [r4]", 2, TRM),
    "loads": Row("ldr r0, [r4]\nldr r1, [r4, #4]", 3, PAIRING, (P,)),
    "chain of loads": Row(
        "ldr r0, [r4]\nldr r1, [r4, #4]\nldr r2, [r4, #8]\nldrb r3, [r4, #3]\nldrsh.w r6, [r4, #2]", 6, PAIRING + ": n + 1", (P,)
    ),
    "dependent loads": Row("ldr r0, [r4]\nldr r0, [r0]\nldr r0, [r0]", 6, PAIRING),
    "index depends": Row("ldr r0, [r4]\nldr r1, [r4, r0]", 4, PAIRING),
    "write-back depends": Row("ldr r0, [r4], #4\nldr r1, [r4], #4", 4, JNK0LE + ": one base register"),
    "write-back of another": Row("ldr r0, [r4], #4\nldr r1, [r5], #4", 3, JNK0LE, (P,)),
    "two memories": Row("ldr r0, [r4]\nldr r1, [r5]", 4, REPLAY + ": another memory", flash=(1,)),
    "load, alu, load": Row("ldr r0, [r4]\nadds r2, #1\nldr r1, [r4]", 5, TRM),
    "one store": Row("str r0, [r4]", 1, PAIRING),
    "stores": Row("str r0, [r4]\nstr r1, [r4, #4]\nstrb r2, [r4, #9]", 3, PAIRING),
    "store by register": Row("str r0, [r4, r5]", 2, PAIRING, ("indexed_store",)),
    "load and store": Row("ldr r0, [r4]\nstr r1, [r5]", 2, JNK0LE, (S,)),
    "load and its store": Row("ldr r0, [r4]\nstr r0, [r5]", 2, JNK0LE + ": data is forwarded", (S,)),
    "load and store by register": Row("ldr r0, [r4]\nstr r1, [r5, r6]", 3, JNK0LE, (S, "indexed_store")),
    "store at a loaded address": Row("ldr r0, [r4]\nstr r1, [r0]", 3, PAIRING),
    "store and load": Row("str r0, [r4]\nldr r1, [r5]", 4, JNK0LE, ("load_behind_store",)),
    "store and LDM": Row("str r0, [r4]\nldm r5, {r0, r1}", 5, JNK0LE, ("load_behind_store",)),
    "store and STM": Row("str r0, [r4]\nstm r5, {r0, r1}", 4, JNK0LE + ": STM is free"),
    "LDM": Row("ldm r4, {r0, r1, r2, r3}", 5, TRM + ": 1 + N"),
    "STM": Row("stm r4, {r0, r1, r2, r3}", 5, TRM + ": 1 + N"),
    "PUSH": Row("push {r0-r3, lr}", 6, TRM + ": 1 + N"),
    "LDRD": Row("ldrd r0, r1, [r4]", 3, TRM),
    "STRD": Row("strd r0, r1, [r4]", 3, TRM),
    "load and LDM": Row("ldr r0, [r4]\nldm r5, {r1, r2}", 5, PAIRING),
    "branch taken": Row("b snippet", 2, REPLAY + ": 1 + 1", ("refill",), taken=True),
    "branch not taken": Row("beq snippet", 1, TRM),
    "call": Row("bl snippet", 2, REPLAY, ("refill",), taken=True),
    "return": Row("bx lr", 2, REPLAY + ": crc32", ("refill",), taken=True),
    "POP into PC": Row("pop {r4, pc}", 6, REPLAY + ": wikisort; 1 + N + 3", ("refill_loaded",), taken=True),
    "load into PC": Row("ldr pc, [r4]", 5, TRM + ", " + REPLAY, ("refill_loaded",), taken=True),
    "table branch": Row("tbb [pc, r0]", 3, TRM + ": 2 + P", ("refill",), taken=True),
    "wide target, aligned": Row("add.w r0, r0, #1", 1, I0),
    "wide target at 2 mod 4": Row("add.w r0, r0, #1", 2, I0, odd=True),
    "narrow target at 2 mod 4": Row("adds r0, #1", 1, I0, odd=True),
    "wide ones, aligned": Row("add.w r0, r0, #1\n" * 8, 8, I0),
    "two wide ones at 2 mod 4": Row("adds r0, #1\n" + "add.w r0, r0, #1\n" * 2, 3, I0),
    "three wide ones at 2 mod 4": Row("ldr r0, [r4]\n" + "add.w r0, r0, #1\n" * 3, 6, I0),
    "address just written": Row("adds r4, #4\nldr r0, [r4]", 4, JNK0LE, (D,)),
    "index just written": Row("adds r5, #4\nldrb r0, [r4, r5]", 4, JNK0LE, (D,)),
    "store's address just written": Row("adds r4, #4\nstr r0, [r4]", 3, JNK0LE, (D,)),
    "data just written": Row("adds r0, #4\nstr r0, [r4]", 2, JNK0LE),
    "address from LDM": Row("ldm r4!, {r0, r1}\nldr r2, [r0]", 5, JNK0LE + ": not behind a load"),
    "address written before": Row("adds r4, #4\nadds r0, #1\nldr r0, [r4]", 4, JNK0LE),
    "write-back, then a store": Row("str r0, [r4], #4\nstr r1, [r4], #4", 3, JNK0LE, (D,)),
    "IT behind 16 bits": Row("adds r0, #1\nit eq\nmoveq r0, #1", 2, TRM + ".3", ("it_folding",)),
    "IT behind 32 bits": Row("add.w r0, r0, #1\nit eq\nmoveq r0, #1", 3, TRM + ".3"),
    "IT first": Row("it eq\nmoveq r0, #1", 2, TRM + ".3"),
    "skipped": Row("add.w r0, r0, #1\nite eq\nmoveq r0, #1\nmovne r0, #2", 4, TRM, ("skipped",), skipped=(2,)),
    "skipped divide": Row("cmp r0, #0\nit ne\nudivne r0, r1, r2", 2, TRM, ("it_folding", "skipped"), skipped=(2,)),
    "skipped loads": Row("itt ne\nldrne r0, [r4]\nldrne r1, [r4]", 3, TRM, ("skipped",), skipped=(1, 2)),
    "SMLAD chain": Row("smlad r0, r1, r2, r0\n" * 6, 6, TRM),
    "multiplies": Row("muls r0, r1\nmla r0, r1, r2, r0\numaal r2, r3, r0, r1\nsmull r2, r3, r0, r1", 4, TRM),
    "NOP behind a load": Row("ldr r0, [r4]\nnop", 2, JNK0LE, ("nop_behind_load",)),
    "NOP": Row("nop", 1, TRM),
    "VLDR": Row("vldr s0, [r4]", 2, FPU),
    "VLDR.64": Row("vldr d0, [r4]", 3, FPU),
    "VSTR": Row("vstr s0, [r4]", 2, FPU),
    "VLDM": Row("vldm r4, {s0-s3}", 5, FPU),
    "VMLA": Row("vmla.f32 s0, s1, s2", 3, FPU),
    "VADD": Row("vadd.f32 s0, s1, s2\nvadd.f32 s3, s4, s5", 2, FPU),
    "VADD, then its user": Row("vadd.f32 s0, s1, s2\nvadd.f32 s3, s0, s5", 3, FPU, ("fp_result",)),
    "VMUL into an accumulator": Row("vmul.f32 s0, s1, s2\nvmla.f32 s0, s3, s4", 4, FPU + ": not an addend"),
    "VMUL into a factor": Row("vmul.f32 s0, s1, s2\nvmla.f32 s3, s0, s4", 5, FPU, ("fp_result",)),
    "VMUL into an accumulator that is a factor, too": Row("vmul.f32 s0, s1, s2\nvmla.f32 s0, s0, s4", 5, FPU, ("fp_result",)),
    "VADD, then its store": Row("vadd.f32 s0, s1, s2\nvstr s0, [r4]", 4, FPU, ("fp_result",)),
    "VADD, then to a core register": Row("vadd.f32 s0, s1, s2\nvmov r0, s0", 3, FPU, ("fp_result",)),
    "VMLA, then its user": Row("vmla.f32 s0, s1, s2\nvadd.f32 s3, s0, s0", 5, FPU, ("fp_result",)),
    "VDIV": Row("vdiv.f32 s0, s1, s2", 14, FPU),
    "VMOV of two": Row("vmov r0, r1, s0, s1", 2, FPU),
}
ABLATIONS = {rule: (lambda table, rule=rule: table["rules"].pop(rule)) for rule in cores.RULES} | {
    "refill": lambda table: table["branch"]["refill"].update(cycles=9),
    "refill_loaded": lambda table: table["branch"]["refill_loaded"].update(cycles=9),
    "skipped": lambda table: table["issue"]["skipped"].update(cycles=9),
}


@pytest.fixture(scope="module")
def steps(assembler):
    """name -> the row's steps, assembled in one image."""
    text = array("buffer", 64) + "".join(
        function(f"row{number}", ("nop\n" if row.odd else "") + row.code).replace("snippet", f"row{number}")
        for number, row in enumerate(ROWS.values())
    )
    machine = Machine(assembler.image(text))
    made = {}
    for number, (name, row) in enumerate(ROWS.items()):
        symbol, lines = machine.image.symbols[f"row{number}"], [line for line in row.code.splitlines() if line]
        at, found = symbol.address + 2 * row.odd, []
        for line in range(len(lines)):
            instruction = machine.instructions[at]
            memory = -1 if not instruction.accesses or line in row.skipped else 0 if line in row.flash else 1
            found.append(pipeline.Step(instruction, line in row.skipped, memory))
            at += instruction.size
        made[name] = found
    return made


def cost(steps, name: str, core: cores.Core = M4) -> int:
    return pipeline.cycles(steps[name], ROWS[name].taken, core)


@pytest.mark.parametrize("name", ROWS)
def test_published_cycles(steps, name):
    assert cost(steps, name) == ROWS[name].cycles, ROWS[name].source


@pytest.mark.parametrize("rule", ABLATIONS)
def test_a_rule_explains_its_sequences_and_no_other(steps, rule):
    table = copy.deepcopy(TABLE)
    ABLATIONS[rule](table)
    without = cores.from_table(table)
    assert {name for name in ROWS if cost(steps, name, without) != ROWS[name].cycles} == {
        name for name, row in ROWS.items() if rule in row.because
    }


@pytest.mark.parametrize("before", ["adds r0, #1", "ldr r0, [r4]", "ldm r4!, {r0, r1}"])
@pytest.mark.parametrize("wide", [3, 4, 6, 12])
def test_a_group_of_wide_instructions_at_2_mod_4_costs_one_more_at_most(assembler, before, wide):
    """Once a group, not once an instruction: a prefetch buffer of three words (Arm KA 103488664)."""
    machine = assembler.machine(f"{before}\n" + "add.w r1, r1, #1\n" * wide)
    found = [
        pipeline.Step(machine.instructions[a], False, 1 if machine.instructions[a].accesses else -1)
        for a in list(machine.instructions)[: 1 + wide]
    ]
    alone = M4.cycles[found[0].instruction.kind] + M4.per_access[found[0].instruction.kind] * max(found[0].instruction.accesses - 1, 0)
    assert pipeline.cycles(found, False, M4) - alone - wide in ((1,) if before != "adds r0, #1" else (0, 1))


def measured(assembler, body: str, *arguments: int, core: cores.Core = M4) -> int:
    machine = assembler.machine(f"{body}\nbx lr", data=array("buffer", 64))
    machine.call("snippet", *arguments)
    return int(pricing.price(machine.counts(), machine.instructions, core)[0])


def test_misaligned_data(assembler):
    prices = [measured(assembler, "ldr r4, =buffer\nadd r4, r0\nnop\nldr r0, [r4]", offset) for offset in range(5)]
    assert prices == [prices[0], prices[0] + 2, prices[0] + 1, prices[0] + 2, prices[0]]
    prices = [measured(assembler, "ldr r4, =buffer\nadd r4, r0\nnop\nstrh r0, [r4]", offset) for offset in range(3)]
    assert prices == [prices[0], prices[0] + 1, prices[0]]


@pytest.mark.parametrize("name", ["udiv", "sdiv"])
def test_divides_take_2_to_12_by_the_quotient(assembler, name):
    def price(dividend: int, divisor: int) -> int:
        return measured(assembler, f"{name} r0, r0, r1", dividend, divisor) - measured(assembler, "add.w r0, r0, r1") + 1

    prices = [price((1 << bits) - 1, 1) for bits in range(32)]
    assert prices[0] == price(1234, 0) == price(5, 6) == 2
    assert prices == sorted(prices) and max(prices) <= 12 and max(prices) > 8
    assert price(0xFFFFFFFF, 1) == M4.divide.cycles(32 if name == "udiv" else 1)  # signed, it is -1 / 1
    assert price(0x80000000, 0xFFFFFFFF) == (2 if name == "udiv" else M4.divide.cycles(32))


def test_divide_is_an_interval():
    assert all(2 <= M4.divide.cycles(bits) <= 12 for bits in range(33))


def test_a_table_is_checked():
    for change, message in (
        (lambda t: t["rules"].update(teleport={"saves": 9, "source": "-"}), "unknown row in .rules.: teleport"),
        (lambda t: t["cycles"].pop("load"), "missing row in .cycles.: load"),
        (lambda t: [t["cycles"].pop("it"), t["cycles"].pop("divide")], "missing row in .cycles.: divide, it"),
        (lambda t: t["cycles"].update(teleport={"cycles": 1, "source": "-"}), "unknown row in .cycles.: teleport"),
        (lambda t: t["rules"].update(load_pipelining={"save": 1, "source": "-"}), "unknown key of rules.load_pipelining: save"),
        (lambda t: t["cycles"]["load_multiple"].update(peraccess=1), "unknown key of cycles.load_multiple: peraccess"),
        (lambda t: t["cycles"]["alu"].pop("source"), "missing key of cycles.alu: source"),
        (lambda t: t["branch"]["refill"].update(cycles=1.5), "branch.refill.cycles must be a whole number, not 1.5"),
        (lambda t: t.pop("fetch"), "missing section: fetch"),
    ):
        table = copy.deepcopy(TABLE)
        change(table)
        with pytest.raises(ValueError, match=message):
            cores.from_table(table)


def test_every_figure_names_its_source():
    for section in cores.SECTIONS:
        assert all(len(row["source"]) > 2 for row in TABLE[section].values())


def test_streams_may_come_in_any_order(spotter):
    from emu import measure

    image, program, _, x = spotter("c")
    machine = measure.prepare(image, program, M4)
    measure.write_input(machine, program, x)
    machine.reset_and_run()
    counts = machine.counts()
    expected = pricing.price(counts, machine.instructions, M4)
    shuffled = list(counts.streams)
    random.Random(4).shuffle(shuffled)
    assert (pricing.price(replace(counts, streams=shuffled), machine.instructions, M4) == expected).all()
    single = sum(pricing.price(replace(counts, streams=[stream], sites=[]), machine.instructions, M4).sum() for stream in counts.streams)
    assert single + pricing.price(replace(counts, streams=[]), machine.instructions, M4).sum() == expected.sum()


def test_steps_rebuild_a_stream(spotter):
    """Every stream of the network walks from its start to its end, with as many steps and skipped ones as were counted."""
    from emu import measure
    from emu.probe import SKIPPED

    image, program, _, x = spotter("c")
    machine = measure.prepare(image, program, M4)
    measure.write_input(machine, program, x)
    machine.reset_and_run()
    for stream in machine.counts().streams:
        walk = pricing.steps(machine.instructions, stream.start, stream.end, stream.events)
        assert len(walk) == stream.length and sum(step.skipped for step in walk) == stream.events.count(SKIPPED)
        assert not stream.taken or walk[-1].instruction.flags & Flag.BRANCH
