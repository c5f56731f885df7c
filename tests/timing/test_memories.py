"""Memory tables: strict, each figure with its source; what they add to a stream, held against manuals and published cycles."""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections.abc import Callable

import numpy as np
import pytest

from emu.errors import UsageError
from emu.isa.instruction import Flag, Instruction
from emu.probe import EXECUTED, Counts, Stream, follow
from emu.timing import core as cores
from emu.timing import memory, pipeline
from emu.timing.lines import Lines, found
from emu.timing.memory import Behaviour, Cost, Memory, Placed, Wait
from emu.timing.pipeline import Step

M4 = cores.load("cortex-m4")
ART = tomllib.loads((memory.MEMORIES / "stm32f407-168mhz.toml").read_text())
L4R5 = {0: ("flash", 0x08000000, 0x200000), 1: ("SRAM1", 0x20000000, 0x30000), 2: ("SRAM2", 0x20030000, 0x10000),
        3: ("SRAM3", 0x20040000, 0x60000)}
START = 0x08000000


def instruction(kind: str, number: int = 0, *, size: int = 2, accesses: int = 0, flags: int = 0, base: int = -1,
                writes: int = 0) -> Instruction:
    return Instruction(START + size * number, size, kind, flags, 0, writes, 0, base, -1, 0, 0, 4 if accesses else 0, accesses, 1, 14, kind)


def load(base: int, writes: int, memory: int, *, accesses: int = 1) -> Step:
    return Step(instruction("load" if accesses == 1 else "load_multiple", accesses=accesses, base=base, writes=1 << writes), False, memory)


# --- the tables ---


@pytest.mark.parametrize("name", memory.names())
def test_every_table_is_sound(name: str) -> None:
    table = memory.load(name)
    assert table.name == name
    assert table.board
    assert table.not_modelled
    assert all(region.size > 0 for region in table.regions)
    assert len(table.followers) == len(set(table.followers))


def test_the_default_adds_nothing() -> None:
    table = memory.load(memory.DEFAULT)
    assert (table.regions, table.caches, table.followers) == ((), (), ())


def test_an_unknown_table_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no memory 'stm32f407' \(did you mean stm32f407-.*\): there are .*zero-wait"):
        memory.load("stm32f407")


BROKEN: list[tuple[Callable[[dict], object], str]] = [
    (lambda t: t.pop("board"), "missing key: board"),
    (lambda t: t.update(speed=1), "unknown key: speed"),
    (lambda t: t["regions"]["flash"].pop("addresses"), "missing row of flash: addresses"),
    (lambda t: t["regions"]["flash"].update(wait={"source": "x"}), "unknown row of flash: wait"),
    (lambda t: t["regions"]["flash"]["addresses"].pop("source"), "missing key of flash.addresses: source"),
    (lambda t: t["regions"]["flash"]["addresses"].update(start="0"), "flash.addresses.start: int expected"),
    (lambda t: t["regions"]["flash"]["addresses"].update(start=-4), "flash.addresses.start: int expected .a number not negative., not -4"),
    (lambda t: t["regions"]["flash"]["addresses"].update(start=True), "flash.addresses.start: int expected"),
    (lambda t: t["regions"]["ccm"]["addresses"].update(start=0x08000000), "regions flash and ccm overlap|regions ccm and flash overlap"),
    (lambda t: t["caches"]["art_data"]["watches"].update(regions=["rom"]), "art_data.watches: 'rom' is neither"),
    (lambda t: t["caches"]["art_data"]["watches"].update(accesses=["jump"]), "art_data.watches: 'jump' is neither"),
    (lambda t: t["caches"]["art_data"]["shape"].update(line=24), "art_data: line 24: expected a power of two"),
    (lambda t: t["caches"]["art_data"]["shape"].update(replacement="oldest"), "art_data: replacement 'oldest'"),
    (lambda t: t["caches"]["art_data"]["cost"].update(miss=1), "unknown key of art_data.cost: miss"),
    (lambda t: t.update(not_modelled="much"), "not_modelled: a list of sentences was expected"),
    (lambda t: t.update(regions=3), "regions: tables were expected"),
    (lambda t: t.update(clock={"hertz": 1}), "missing key of clock: source"),
]


@pytest.mark.parametrize(("damage", "says"), BROKEN)
def test_a_damaged_table_is_refused(damage: Callable[[dict], object], says: str) -> None:
    table = copy.deepcopy(ART)
    damage(table)
    with pytest.raises(ValueError, match=says):
        memory.from_table(table)


# --- a table and a machine ---


def test_boundaries_cut_at_every_edge() -> None:
    pieces = memory.boundaries(memory.names())
    regions = [region for name in memory.names() for region in memory.load(name).regions]
    assert all(a[1] + a[2] <= b[1] for a, b in itertools.pairwise(pieces))
    for region in regions:
        inside = [piece for piece in pieces if region.start <= piece[1] < region.start + region.size]
        assert sum(size for _, _, size in inside) == region.size
        assert all(region.name in name.split("/") for name, _, _ in inside)


def test_a_run_that_does_not_tell_memories_apart_is_refused() -> None:
    with pytest.raises(UsageError, match="tells sram1 from sram2, but this run saw one memory, ram: run it with --memory stm32l4r5"):
        memory.load("stm32l4r5").placed({0: ("flash", 0x08000000, 0x1000), 1: ("ram", 0x20000000, 0xA0000)})


def test_a_run_without_its_follower_is_refused() -> None:
    table = memory.load("stm32f407-168mhz")
    with pytest.raises(UsageError, match="needs a cache that follows the run's fetches: run it with --memory stm32f407-168mhz"):
        table.placed({}, table.followers[1:])
    with pytest.raises(UsageError, match="needs a cache that follows the run's data"):
        table.placed({}, table.followers[:1])


def test_followers_are_shared_and_found_by_what_they_are() -> None:
    table = memory.load("stm32f407-168mhz")
    assert memory.followers(["stm32f407-168mhz", "zero-wait", "stm32f407-168mhz"]) == table.followers
    other = follow.Predictor(16, 2)
    placed = table.placed({}, (other, *table.followers))
    assert placed.site(follow.FOLLOWED + 2, follow.LOAD_MISS) == 5
    assert placed.site(follow.FOLLOWED, follow.WRONG_TARGET) == 0
    assert placed.fetches == {1: (16, 5)}


def test_memories_that_a_table_does_not_know_are_one_where_they_touch() -> None:
    """Split for one board, priced for another: neighbours are one memory again; flash and RAM are not."""
    zero = memory.load("zero-wait").placed(L4R5).identity
    assert zero[1] == zero[2] == zero[3] != zero[0]
    assert len(set(memory.load("stm32l4r5").placed(L4R5).identity.values())) == len(L4R5)


def test_a_memory_that_the_table_does_not_know_is_named() -> None:
    """Code at 0, where the board's flash is not; data in SRAM1; a memory that nothing touched is not worth a word."""
    memories = {0: ("flash", 0, 0x1000), 1: ("sram1", 0x20000000, 0x1000), 2: ("ccm", 0x60000000, 0x1000)}
    counts = Counts(layers=0, streams=[Stream(0, 0x100, 0x102, True, bytes([1]), 2, 1)], sites=[], traffic=np.zeros((1, 0, 2, 3), np.int64),
                    objects=(), entries=[0], calls=[0], stack=[0], peak=0, memories=memories)
    says = "memory table stm32f407-24mhz does not know flash at 0x00000000: what is there costs no wait states"
    assert memory.load("stm32f407-24mhz").notes(counts) == (says,)
    assert memory.load("zero-wait").notes(counts) == ()


# --- accesses ---

SRAM3 = memory.load("stm32l4r5").placed(L4R5)
BANK, NEAR = SRAM3.identity[3], SRAM3.identity[1]
STORE = Step(instruction("store", accesses=1, flags=Flag.STORE, base=0), False, BANK)
ALU = Step(instruction("alu"), False, -1)
INDEXED = Step(instruction("store", accesses=1, flags=Flag.STORE | Flag.INDEXED, base=0), False, BANK)
WRITEBACK = Step(instruction("store", accesses=1, flags=Flag.STORE | Flag.WRITEBACK, base=0), False, BANK)
PUSH = Step(instruction("store_multiple", accesses=1, flags=Flag.STORE | Flag.WRITEBACK, base=13), False, BANK)
LOADS = [
    ("one load", [load(0, 1, BANK)], 1),
    ("of loads that pipeline the first", [load(0, 1, BANK), load(0, 2, BANK), load(0, 3, BANK)], 1),
    ("a load whose address was just loaded does not pipeline", [load(0, 1, BANK), load(1, 2, BANK)], 2),
    ("the first access of a multiple", [load(13, 4, BANK, accesses=4)], 1),
    ("a multiple does not pipeline behind a load", [load(0, 1, BANK), load(13, 4, BANK, accesses=2)], 2),
    ("stores are free", [STORE], 0),
    ("the bus is there behind a store", [STORE, load(0, 1, BANK)], 0),
    ("and an instruction later", [STORE, ALU, load(0, 1, BANK)], 0),
    ("not two later", [STORE, ALU, ALU, load(0, 1, BANK)], 1),
    ("a store with register offset does not keep it", [load(0, 1, BANK), INDEXED, load(0, 2, BANK)], 2),
    ("a store that writes back waits for the bus", [STORE, WRITEBACK], 1),
    ("a second store does not", [STORE, STORE], 0),
    ("nor one that writes back behind a load", [load(0, 1, BANK), WRITEBACK], 1),
    ("a push of one register", [PUSH], 0),
    ("of two", [PUSH._replace(instruction=PUSH.instruction._replace(accesses=2))], 1),
    ("SRAM1 behind SRAM3", [load(0, 1, BANK), ALU, load(0, 2, NEAR)], 2),
    ("directly behind, where the loads do not pipeline anyway", [load(0, 1, BANK), load(0, 2, NEAR)], 1),
    ("SRAM1 long behind SRAM3", [load(0, 1, BANK), *[ALU] * 5, load(0, 2, NEAR)], 1),
    ("a load that its IT block skipped", [load(0, 1, BANK)._replace(skipped=True)], 0),
    ("SRAM1", [load(0, 1, NEAR)], 0),
]


@pytest.mark.parametrize(("steps", "extra"), [row[1:] for row in LOADS], ids=[row[0] for row in LOADS])
def test_sram3_of_the_stm32l4r5(steps: list[Step], extra: int) -> None:
    assert pipeline.cycles(steps, False, M4, bus=SRAM3.bus()) - pipeline.cycles(steps, False, M4) == extra


def test_every_access_of_a_slow_memory_waits() -> None:
    slow = Placed({}, {BANK: Behaviour(Wait(3, 2), Wait(1))}, {}, {})
    assert slow.waits([load(0, 1, BANK), load(0, 3, BANK, accesses=3), STORE, load(0, 1, NEAR)]) == [3, 7, 1, 0]


def test_data_that_shares_a_port_with_code_displaces_requests() -> None:
    """Only loads do, a request a word; a table without such a memory says nothing."""
    shared = Placed({}, {BANK: Behaviour(displaces=1)}, {}, {})
    assert shared.displaced([load(0, 1, BANK), load(0, 3, BANK, accesses=3), STORE, load(0, 1, NEAR)]) == [1, 3, 0, 0]
    assert SRAM3.displaced([load(0, 1, BANK)]) == []


# --- lines of code ---


def straight(number: int, size: int) -> list[Step]:
    return [Step(instruction("alu", n, size=size), False, -1) for n in range(number)]


def cycles(steps: list[Step], events: list[int], wait: int) -> int:
    return pipeline.cycles(steps, False, M4, lines=Lines(START, 16, bytes(events), wait))


PREFETCHED, MISSED = [follow.LINE_MISS, *[follow.ON_ITS_WAY] * 7], [follow.LINE_MISS] * 8


def test_wide_code_behind_wait_states_as_the_manual_draws_it() -> None:
    """RM0090, figure 5: 32-bit instructions of a cycle, 3 wait states. With prefetch no wait behind the first line; without, 3 a line."""
    assert cycles(straight(32, 4), PREFETCHED, 3) == 32 + 3
    assert cycles(straight(32, 4), MISSED, 3) == 32 + 8 * 3


def test_prefetch_at_168_mhz() -> None:
    """Five wait states: a line takes six cycles. Four wide instructions wait for two of them; eight narrow ones hide them."""
    assert cycles(straight(32, 4), PREFETCHED, 5) == 5 + 7 * 6 + 4
    assert cycles(straight(64, 2), PREFETCHED, 5) == 64 + 5


def test_a_line_on_its_way_since_before_the_stream() -> None:
    for ticks, waits in ((0, 6), (4, 2), (15, 0)):
        assert cycles(straight(4, 4), [follow.ON_ITS_WAY + ticks], 5) == 4 + waits


def test_lines_that_are_there_cost_nothing() -> None:
    assert cycles(straight(32, 4), [follow.LINE_HIT] * 8, 5) == pipeline.cycles(straight(32, 4), False, M4)


def test_a_core_that_issues_two_waits_for_lines_too() -> None:
    lines = Lines(START, 16, bytes([follow.LINE_MISS, follow.LINE_MISS]), 7)
    assert lines.late([START + 4 * n for n in range(1, 9)], [1, 0] * 4) == [7, 0, 0, 0, 7, 0, 0, 0]


def test_each_follower_finds_its_own_lines() -> None:
    events = bytes([0, 1, EXECUTED, follow.FETCHED + 1, 0x91, 0x90, follow.FETCHED + 3, 0xA2])
    assert found(events, {1: (16, 5)}) == (bytes([0x91, 0x90]), 16, 5)
    assert found(events, {3: (32, 2)}) == (bytes([0xA2]), 32, 2)
    assert found(events, {0: (16, 5)}) is None


def test_costs_of_data() -> None:
    cost = Cost(load_miss=5, store_miss=2, evicted=9)
    assert [cost.cycles(event) for event in (follow.LOAD_MISS, follow.STORE_MISS, follow.EVICTED, 0)] == [5, 2, 9, 0]


def test_an_unlimited_table() -> None:
    """A table needs neither regions nor a clock."""
    table = memory.from_table({"name": "x", "board": "y", "not_modelled": []})
    assert table == Memory("x", "y", 0, (), (), ())
