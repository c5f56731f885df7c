"""Pricing: what sites add, streams in any order, cuts, tables that are checked. The rules themselves: tests/timing/test_pipeline.py."""

from __future__ import annotations

import copy
import random
import tomllib
from dataclasses import replace

import pytest

from emu.isa.instruction import Flag
from emu.timing import core as cores
from emu.timing import pipeline, pricing
from tests.emu.target import array

M4 = cores.load("cortex-m4")
TABLE = tomllib.loads((cores.CORES / "cortex-m4.toml").read_text())


@pytest.mark.parametrize(("before", "cycles"), [("adds r0, #1", 1), ("ldr r0, [r4]", 2), ("ldm r4!, {r0, r1}", 3)])
@pytest.mark.parametrize("wide", [3, 4, 6, 12])
def test_a_group_of_wide_instructions_at_2_mod_4_costs_one_more_behind_an_access(assembler, before, cycles, wide):
    """Once a group, not once an instruction: a prefetch buffer of three words (Arm KA 103488664, ePrint 2025/523)."""
    narrow = 8
    machine = assembler.machine("adds r0, #1\n" * narrow + f"{before}\n" + "add.w r1, r1, #1\n" * wide)
    addresses = list(machine.instructions)[: narrow + 1 + wide]
    walk = [pipeline.Step(machine.instructions[a], False, 1 if machine.instructions[a].accesses else -1) for a in addresses]
    assert addresses[narrow + 1] % 4 == 2
    assert pipeline.cycles(walk, False, M4) == narrow + cycles + wide + (before != "adds r0, #1")


def test_a_schedule_is_the_cycles_of_each_instruction(assembler):
    """From issue to issue: a store behind a load issues early, the last one's has the refill, a cut stream has nothing to fetch."""
    machine = assembler.machine("ldr r0, [r4]\nstr r0, [r5]\nadd.w r1, r1, #1\nb snippet\nnop\nadd.w r1, r1, #1")
    found = [machine.instructions[a] for a in list(machine.instructions)[:6]]
    walk = [pipeline.Step(i, False, 1 if i.accesses else -1) for i in found]
    assert pipeline.schedule(walk[:4], True, M4) == [1, 1, 1, 2]
    assert found[5].wide and found[5].address % 4 == 2
    assert [pipeline.schedule([walk[5]], False, M4, entered=entered) for entered in (True, False)] == [[2], [1]]


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
def test_divides_take_3_to_12_by_the_lengths_of_their_operands(assembler, name):
    def price(dividend: int, divisor: int) -> int:
        return measured(assembler, f"{name} r0, r0, r1", dividend, divisor) - measured(assembler, "add.w r0, r0, r1") + 1

    prices = [price((1 << bits) - 1, 1) for bits in range(32)]
    assert prices[0] == price(1234, 0) == price(5, 60) == 3
    assert prices == sorted(prices) and max(prices) <= 12 and max(prices) > 8
    assert price(0xFFFFFFFF, 1) == M4.divide.cycles(32 if name == "udiv" else 1)  # signed, it is -1 / 1
    assert price(0x80000000, 0xFFFFFFFF) == (3 if name == "udiv" else M4.divide.cycles(32))


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


def test_prices_that_are_kept_are_those_of_the_same_core_and_memory(spotter):
    from emu import measure
    from emu.timing import memory as memories
    from emu.timing.memory import ANYWHERE

    image, program, _, x = spotter("c")
    machine = measure.prepare(image, program, M4)
    measure.write_input(machine, program, x)
    machine.reset_and_run()
    counts, found = machine.counts(), {}
    slower = replace(M4, cycles={kind: cycles + 1 for kind, cycles in M4.cycles.items()}, known={})
    for core, memory in [(M4, None), (slower, None), (M4, memories.load("stm32f407-16mhz")), (M4, memories.load("zero-wait")), (cores.load("cortex-m33"), None)] * 2:
        placed = memory.placed(counts.memories, counts.followers) if memory else ANYWHERE
        fresh = pricing.Prices(machine.instructions, core, placed, counts.followers).price(counts)
        assert (pricing.price(counts, machine.instructions, core, memory) == fresh).all()
        found[id(core), memory] = fresh.sum()
    assert found[id(slower), None] > found[id(M4), None]


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
