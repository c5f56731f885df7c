"""The decoder: whole on any bytes, and true to what instructions do to registers."""

from __future__ import annotations

import random

import numpy as np
import pytest
import unicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import arm_const as arm

from emu.isa.decode import decode
from emu.isa.instruction import FLAGS_BIT, KIND, KINDS, RECORD, S_BIT, Flag, Instruction

HALFWORDS = st.lists(st.integers(0, 0xFFFF), max_size=200)
WIDE_HALFWORDS = st.lists(st.one_of(st.integers(0, 0xFFFF), st.integers(0xE800, 0xFFFF)), max_size=200)
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def instructions(code: bytes, address: int = 0x08000000) -> list[Instruction]:
    return [Instruction.from_record(row.item()) for row in decode(code, address)]


@EXAMPLES
@given(st.one_of(HALFWORDS, WIDE_HALFWORDS))
def test_any_bytes_are_covered_without_a_gap(halfwords):
    code = np.array(halfwords, "<u2").tobytes()
    records = decode(code, 0x08000100)
    assert records.dtype == RECORD
    at = 0x08000100
    for record in records:
        assert record["address"] == at and record["size"] in (2, 4)
        assert not record["accesses"] or (record["base"] >= 0 and record["access_size"] in (1, 2, 4))
        at += int(record["size"])
    assert at == 0x08000100 + len(code)


def test_an_odd_byte_and_nothing():
    assert len(decode(b"", 0)) == 0
    assert sum(r.size for r in instructions(b"\x00\xbf\x00")) == 2
    assert instructions(b"\x00\xf0")[0].kind == "undefined"  # half of a wide one


def test_all_of_the_halfwords():
    """Every 16-bit encoding by itself, with a NOP behind it for those that are halves of wide ones."""
    rng = random.Random(7)
    code = b"".join(n.to_bytes(2, "little") + b"\x00\xbf" for n in rng.sample(range(65536), 6000))
    assert sum(r.size for r in instructions(code)) == len(code)


MODEL_REGISTERS = [getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)] + [arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR]
SINGLES = [getattr(arm, f"UC_ARM_REG_S{n}") for n in range(32)]
# templates of wide encodings: fixed bits, and the bits that may be anything
TEMPLATES = {
    "data processing, register": (0xEA000000, 0x01FF7FFF),
    "data processing, immediate": (0xF0000000, 0x05FF7FFF),
    "plain immediate": (0xF2000000, 0x05FF7FFF),
    "shifts, SIMD": (0xFA00F000, 0x00FF0FFF),
    "multiply": (0xFB000000, 0x007FFFFF),
    "long multiply": (0xFB800000, 0x007FFFFF),
    "load and store, 12 bits": (0xF8800000, 0x017FFFFF),
    "load and store, 8 bits": (0xF8000800, 0x017FF7FF),
    "register offset": (0xF8000000, 0x017FF03F),
    "LDM and STM": (0xE8800000, 0x013FDFFF),
    "LDMDB and STMDB": (0xE9000000, 0x013F5FFF),
    "LDRD and STRD": (0xE8400000, 0x01BFFFFF),
    "FPU": (0xEE000A00, 0x00FFF0EF),
    "FPU loads": (0xED000A00, 0x00BFF0FF),
    "FPU multiples": (0xEC800A00, 0x003FF007),
    "moves to FPU": (0xEE000A10, 0x001FF080),
    "exclusives": (0xE8400F00, 0x001FF0FF),
    "double precision": (0xEE000B00, 0x00BFF04F),
    "FPv5, single": (0xFE000A00, 0x00FFF0EF),
    "FPv5, double": (0xFE000B00, 0x00BFF04F),
    "acquire and release": (0xE8C00F80, 0x001FF07F),
    "TT": (0xE840F000, 0x000F0FC0),
}
MODELS = {"double precision": arm.UC_CPU_ARM_CORTEX_M7, "FPv5, single": arm.UC_CPU_ARM_CORTEX_M7, "FPv5, double": arm.UC_CPU_ARM_CORTEX_M7,
          "acquire and release": arm.UC_CPU_ARM_CORTEX_M33, "TT": arm.UC_CPU_ARM_CORTEX_M33}


NOT_COMPARED = ("undefined", "system", "hint", "it", "fp_system")


class Bench:
    """One engine that executes single instructions between random registers; r0-r12 point into memory."""

    def __init__(self, model: int) -> None:
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.engine.ctl_set_cpu_model(model)
        self.engine.mem_map(0x08000000, 0x100000)
        self.engine.mem_map(0x20000000, 0x100000)
        self.next = 0x08001000
        self.raised = False
        self.engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)

    def _on_interrupt(self, uc, *_) -> None:
        self.raised = True
        uc.emu_stop()

    def changed(self, code: bytes, rng: random.Random) -> int | None:
        """Mask of the registers that the instruction changed; None when the core refuses it."""
        engine, at = self.engine, self.next
        self.next += 16 if self.next < 0x080F0000 else 0x08001000 - self.next + 16
        engine.ctl_remove_cache(at, at + 8)
        engine.mem_write(at, code + b"\x00\xbf\x00\xbf")
        values = [0x20080000 + 4 * rng.randrange(-0x2000, 0x2000) for _ in MODEL_REGISTERS]
        for register, value in zip(MODEL_REGISTERS, values, strict=True):
            engine.reg_write(register, value)
        flags = rng.randrange(16) << 28 | rng.randrange(16) << 16
        engine.reg_write(arm.UC_ARM_REG_XPSR, flags | 1 << 24)
        singles = [0x3F800000 + rng.randrange(1 << 22) for _ in SINGLES]
        for register, value in zip(SINGLES, singles, strict=True):
            engine.reg_write(register, value)
        before = [engine.reg_read(r) for r in MODEL_REGISTERS], engine.reg_read(arm.UC_ARM_REG_CPSR) >> 28
        self.raised = False
        try:
            engine.emu_start(at | 1, at + len(code), count=1)
        except unicorn.UcError:
            return None
        if self.raised:
            return None
        after = [engine.reg_read(r) for r in MODEL_REGISTERS], engine.reg_read(arm.UC_ARM_REG_CPSR) >> 28
        mask = sum(1 << n for n, (a, b) in enumerate(zip(before[0], after[0], strict=True)) if a != b)
        mask |= (before[1] != after[1]) << FLAGS_BIT
        return mask | sum(1 << S_BIT + n for n, r in enumerate(SINGLES) if engine.reg_read(r) != singles[n])


def names(mask: int) -> str:
    return " ".join(
        [f"r{n}" for n in range(16) if mask >> n & 1]
        + ["flags"] * (mask >> FLAGS_BIT & 1)
        + [f"s{n}" for n in range(32) if mask >> S_BIT + n & 1]
    )


def check(cases: list[bytes], seed: int, model: int = arm.UC_CPU_ARM_CORTEX_M4) -> int:
    """How many of the cases the core executed; each changed only what `writes` says."""
    bench, rng, executed = Bench(model), random.Random(seed), 0
    for code in cases:
        decoded = instructions(code)[0]
        if decoded.size != len(code) or decoded.kind in NOT_COMPARED and not decoded.text.startswith("tt") or decoded.flags & Flag.BRANCH:
            continue
        changed = bench.changed(code, rng)
        if changed is None:
            continue
        executed += 1
        assert not changed & ~decoded.writes, f"{decoded.text}: changed {names(changed)}, `writes` says {names(decoded.writes)}"
    return executed


@pytest.mark.parametrize("family", TEMPLATES)
def test_wide_instructions_change_only_what_they_write(family):
    fixed, free = TEMPLATES[family]
    rng = random.Random(family)
    words = [fixed | rng.getrandbits(32) & free for _ in range(400)]
    assert check([(w >> 16).to_bytes(2, "little") + (w & 0xFFFF).to_bytes(2, "little") for w in words], 1,
                 MODELS.get(family, arm.UC_CPU_ARM_CORTEX_M4)) > 10


def test_narrow_instructions_change_only_what_they_write():
    rng = random.Random(3)
    assert check([n.to_bytes(2, "little") for n in rng.sample(range(0xE000), 2500)], 2) > 1500


def test_carries_in_without_carries_out():
    """ADC and SBC, ADCS and SBCS: of registers, of constants, narrow."""
    code = bytes.fromhex("41eb0200 51eb0200 61eb0200 71eb0200 41f10300 51f10300 61f10300 71f10300 4841 8841".replace(" ", ""))
    writes = {(i.text.split(" ")[0].removesuffix(".w"), i.writes >> FLAGS_BIT & 1) for i in instructions(code)}
    assert writes == {("adc", 0), ("adcs", 1), ("sbc", 0), ("sbcs", 1)}


def test_words_of_the_kinds():
    assert len(set(KINDS)) == len(KINDS) == len(KIND)
    assert max(Flag).bit_length() <= 29  # bits 29 and 30 are the probe's


@pytest.mark.parametrize(
    ("code", "members"),
    [
        (b"\x08\xbf\x01\x20\x02\x20", 1),
        (b"\x0c\xbf\x01\x20\x02\x20\x03\x20", 2),
        (b"\x01\xbf" + b"\x01\x20" * 6, 4),
        (b"\x00\xbf" + b"\x01\x20" * 3, 0),
    ],
)
def test_members_of_it_blocks(code, members):
    assert [bool(i.flags & Flag.IN_IT) for i in instructions(code)] == [False] + [n < members for n in range(len(code) // 2 - 1)]


def test_an_it_block_ends_where_decoding_breaks_off():
    """What is no instruction closes the block; the code behind it is decoded afresh."""
    for junk in (b"\xff\xff\xff\xff", b"\xff\xb6"):
        found = instructions(b"\x01\xbf\x01\x20" + junk + b"\x01\x20\x02\x20")
        assert found[0].kind == "it" and not any(i.flags & Flag.IN_IT for i in found[3:])
        assert found[-1].condition == 14 and "eq" not in found[-1].text
