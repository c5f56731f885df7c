"""Legal orders and renamings of random straight-line programs, executed: whatever the searcher calls legal leaves the same state."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

import pytest
import unicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import arm_const

from emu.build import compile as images
from emu.build import toolchain
from emu.experiment.search import strategy, verify
from emu.experiment.search.assemble import assembled
from emu.experiment.search.cost import Schedule
from emu.experiment.search.effects import ALL_FLAGS, GE, REGISTERS
from emu.experiment.search.flow import Flow, Unit, flow, units_of
from emu.experiment.search.renaming import renamed, targets
from emu.isa.decode import decode
from emu.isa.instruction import Instruction

CODE, DATA, SIZE = 0x10000, 0x20000, 0x1000
NUMBERS = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(13)] + [arm_const.UC_ARM_REG_LR]
NZCV_GE = 0xF << 28 | 0xF << 16


def _pool() -> list[str]:
    """Texts of instructions: every sort that reordering knows of, with registers r0-r5 and lr."""
    chance = random.Random(1)
    r = lambda: chance.choice(("r0", "r1", "r2", "r3", "r4", "r5", "lr"))
    low = lambda: f"r{chance.randrange(6)}"
    b, o = lambda: chance.choice(("r10", "r11")), lambda: 4 * chance.randrange(-4, 8)
    makers = [
        lambda: f"adds {low()}, {low()}, {low()}", lambda: f"subs.w {r()}, {r()}, #{chance.randrange(200)}", lambda: f"adc.w {r()}, {r()}, {r()}",
        lambda: f"sbcs.w {r()}, {r()}, {r()}", lambda: f"movs {low()}, #{chance.randrange(256)}", lambda: f"ands.w {r()}, {r()}, {r()}",
        lambda: f"lsls {low()}, {low()}, #{chance.randrange(1, 31)}", lambda: f"asrs.w {r()}, {r()}, {r()}", lambda: f"rrx {r()}, {r()}",
        lambda: f"muls {(x := low())}, {low()}, {x}", lambda: f"cmp.w {r()}, {r()}", lambda: f"tst.w {r()}, {r()}",
        lambda: f"ssub8 {r()}, {r()}, {r()}", lambda: f"uadd16 {r()}, {r()}, {r()}", lambda: f"sel {r()}, {r()}, {r()}", lambda: f"sel {r()}, {r()}, {r()}",
        lambda: f"smlad {r()}, {r()}, {r()}, {r()}", lambda: f"smmlar {r()}, {r()}, {r()}, {r()}", lambda: "umlal r0, r1, r2, r3",
        lambda: f"pkhbt {r()}, {r()}, {r()}, lsl #16", lambda: f"ssat {r()}, #8, {r()}", lambda: f"bfi {r()}, {r()}, #4, #8", lambda: f"movt {r()}, #77",
        lambda: f"mov {r()}, {r()}", lambda: f"add.w {r()}, {r()}, {r()}, asr #31", lambda: f"it {(c := chance.choice(('ne', 'hs', 'gt', 'vs')))}\nmov{c} {r()}, {r()}",
        lambda: f"ite hi\naddhi.w {r()}, {r()}, #1\nldrls.w {r()}, [{b()}, #{abs(o())}]",
        *[lambda: f"ldr.w {r()}, [{b()}, #{abs(o())}]", lambda: f"str.w {r()}, [{b()}, #{abs(o())}]"] * 3,
        lambda: f"ldrsh.w {r()}, [{b()}, #{o()}]", lambda: f"strb.w {r()}, [{b()}, #{o() + 3}]", lambda: f"ldr {r()}, [{b()}], #{o()}",
        lambda: f"str {r()}, [{b()}, #{o()}]!", lambda: f"strh.w {r()}, [{b()}, #{abs(o())}]", lambda: f"ldrd r0, r1, [{b()}, #{o()}]",
        lambda: f"strd {r()}, {r()}, [{b()}], #8", lambda: f"stm {b()}!, {{r1, r2, r4}}", lambda: f"ldmdb {b()}, {{r0, r3}}", lambda: f"add.w {(x := b())}, {x}, #8",
    ]
    return list(dict.fromkeys(chance.choice(makers)() for _ in range(900)))


@functools.cache
def machine_code() -> list[tuple[Instruction, ...]]:
    """Each text of the pool as decoded instructions; the code itself is kept in `CODES`."""
    chain = toolchain.find()
    codes = assembled(_pool(), images.machine_flags("cortex-m4", False), chain)
    CODES.extend(code for code in codes if code)
    return [tuple(Instruction.from_record(row.item()) for row in decode(code, 0)) for code in CODES]


CODES: list[bytes] = []


class Bare:
    """An engine without anything of the project's: registers and memory in, registers and memory out."""

    def __init__(self) -> None:
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.engine.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
        self.engine.mem_map(CODE, 0x100000)
        self.engine.mem_map(DATA & ~0xFFFF | 0x200000, SIZE)
        (self.sets_flags,) = assembled(["msr apsr_nzcvqg, r0"], images.machine_flags("cortex-m4", False), toolchain.find())
        self.at = CODE

    def run(self, code: bytes, seed: int) -> tuple[list[int], int, bytes]:
        """(r0-r12 and lr, NZCV and GE, memory) behind the code, which is put where no code was before."""
        engine, chance = self.engine, random.Random(seed)
        data = DATA & ~0xFFFF | 0x200000
        engine.mem_write(data, chance.randbytes(SIZE))
        values = [chance.getrandbits(32) if chance.random() < 0.7 else chance.randrange(-2, 3) & 0xFFFFFFFF for _ in NUMBERS]
        values[10], values[11] = data + 0x400, data + 0x800
        engine.reg_write(arm_const.UC_ARM_REG_R0, chance.getrandbits(32) & NZCV_GE)
        self._execute(self.sets_flags)  # Unicorn's XPSR leaves GE out
        for number, value in zip(NUMBERS, values, strict=True):
            engine.reg_write(number, value)
        self._execute(code)
        state = [engine.reg_read(number) for number in NUMBERS], engine.reg_read(arm_const.UC_ARM_REG_XPSR) & NZCV_GE
        return *state, bytes(engine.mem_read(data, SIZE))

    def _execute(self, code: bytes) -> None:
        self.engine.mem_write(self.at, code)
        self.engine.emu_start(self.at | 1, self.at + len(code))
        self.at += len(code) + 4 & ~3


def visible(state: tuple[list[int], int, bytes], kept: int) -> tuple[object, ...]:
    """What of a state is needed."""
    registers, flags, memory = state
    mask = (0xF << 28 if kept & ALL_FLAGS else 0) | (0xF << 16 if kept & GE else 0)
    return [value for number, value in zip((*range(13), 14), registers, strict=True) if kept >> number & 1], flags & mask, memory


def laid_out(numbers: Sequence[int]) -> tuple[tuple[Unit, ...], list[bytes]]:
    """Units of a program of the pool's instructions, and the code of each."""
    known, at, instructions = machine_code(), 0, []
    for number in numbers:
        for instruction in known[number]:
            instructions.append(instruction._replace(address=at))
            at += instruction.size
    return units_of(instructions), [CODES[number] for number in numbers]


def drawn(found: Flow, chance: random.Random) -> list[int]:
    """A legal order, drawn unit by unit."""
    following = found.following(found.original)
    for _ in range(20):
        order, done = [], 0
        while allowed := following(done):
            order.append(chance.choice(allowed))
            done |= 1 << order[-1]
        if len(order) == len(found.units):
            return order
    return list(range(len(found.units)))


@pytest.fixture(scope="module")
def bare() -> Bare:
    machine_code()
    return Bare()


def test_legal_orders_leave_the_same_state(bare: Bare) -> None:
    moved = 0

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.integers(0, len(machine_code()) - 1), min_size=4, max_size=14), st.integers(0, 1 << 30), st.sampled_from([REGISTERS, 0xF0F, 0]))
    def check(numbers: list[int], seed: int, kept: int) -> None:
        nonlocal moved
        units, codes = laid_out(numbers)
        found = flow([units], kept | 1 << 10 | 1 << 11)
        expected = visible(bare.run(b"".join(codes), seed), kept)
        chance = random.Random(seed)
        for _ in range(3):
            order = drawn(found, chance)
            assert found.legal(order, found.original)
            moved += order != sorted(order)
            assert visible(bare.run(b"".join(codes[unit] for unit in order), seed), kept) == expected, [codes[unit].hex() for unit in order]

    check()
    assert moved > 240


class _Renamed:
    """The more is renamed, the cheaper; beyond that chance decides."""

    def __init__(self, found: Flow, seed: int) -> None:
        self._original, self._chance = found.original, random.Random(seed)

    executions = 1

    def __call__(self, schedule: Schedule) -> int:
        return self._chance.randrange(4) - sum(new != old for new, old in zip(schedule.places, self._original, strict=True))

    begun = quick = __call__


def test_renamings_that_annealing_makes_leave_the_same_state(bare: Bare) -> None:
    chance = random.Random(3)
    cases, wanted = [], []
    for seed in range(40):
        units, codes = laid_out([chance.randrange(len(machine_code())) for _ in range(12)])
        kept = 0b1110000111000 | ALL_FLAGS
        found = flow([units], kept)
        search = strategy.Search(found, _Renamed(found, seed), strategy.Budget(None, 400), seed, targets(found))
        for _, (order, places) in search.run().best:
            made = {unit: renamed(units[unit], *found.moves(unit, places)) for unit in order}
            wanted += [made[unit] for unit in order if made[unit] != units[unit].instructions]
            cases.append((seed, kept, codes, order, made, units))
    encoded = dict(zip(map(tuple, wanted), verify.encoded(wanted, images.machine_flags("cortex-m4", False), toolchain.find()), strict=True))
    assert len(encoded) > 150
    refused = 0
    for seed, kept, codes, order, made, units in cases:
        new = [encoded[made[unit]] if made[unit] != units[unit].instructions else codes[unit] for unit in order]
        if None in new:
            refused += 1  # the assembler has no such instruction: never reported
            continue
        assert visible(bare.run(b"".join(new), seed), kept) == visible(bare.run(b"".join(codes), seed), kept)
    assert refused < len(cases) // 4


@pytest.mark.parametrize(("texts", "order"), [
    (["adds r0, r0, r1", "adc r2, r2, r3"], (1, 0)),  # the carry
    (["ssub8 r12, r0, r1", "sel r0, r0, r1"], (1, 0)),  # the lanes
    (["adds r0, r0, r1", "movs r3, #0", "adc r2, r2, r4", "cmp r5, r5"], (0, 3, 1, 2)),  # MOVS keeps the carry, CMP does not
    (["cmp r0, r1", "it ne\nmovne r2, r3", "mov r4, r2"], (0, 2, 1)),
    (["str r0, [r10]", "ldr r1, [r11]"], (1, 0)),  # may be the same
    (["strh r0, [r10, #2]", "ldr r1, [r10]"], (1, 0)),  # overlap
    (["ldr r0, [r10], #4", "str r1, [r10, #-4]", "ldr r2, [r10, #-4]"], (0, 2, 1)),  # the same behind write-back
    (["ldr r0, [r10], #4", "ldr r1, [r10]"], (1, 0)),  # the base
    (["str r0, [r10, #4]", "ldr r1, [r10, r2]"], (1, 0)),  # an index that is not known
])
def test_orders_that_are_not_legal(texts: list[str], order: tuple[int, ...]) -> None:
    codes = assembled(texts, images.machine_flags("cortex-m4", False), toolchain.find())
    instructions, at = [], 0
    for code in codes:
        for row in decode(code, at):
            instructions.append(Instruction.from_record(row.item()))
        at += len(code)
    found = flow([units_of(instructions)], REGISTERS)
    assert found.legal(range(len(texts)), found.original) and not found.legal(order, found.original)
    assert order not in set(found.orders(found.original)) and found.count(found.original, 100) == len(set(found.orders(found.original)))
    if "r11" in texts[1]:
        assert flow([units_of(instructions)], REGISTERS, noalias=True).legal(order, found.original)
