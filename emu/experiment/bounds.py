"""What a core lets through at most: MACs and bytes a cycle, found by pricing streams of nothing else with the core's own table.

Every stream repeats a few instructions, independent of each other and long enough that its ends do not count. What a core can do is
what can be put together of such streams: M MACs and B bytes take at least

    max of p * M + q * B  over all prices (p a MAC, q a byte) at which no stream costs more than it takes

cycles (linear programming's duality). On a core that issues one instruction a cycle MACs and accesses add up; where a multiply and a
load issue together, the dearer of the two counts.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from emu.errors import UsageError
from emu.isa import cpu as cpus
from emu.isa.decode import decode
from emu.isa.instruction import Instruction
from emu.timing.core import Core
from emu.timing.pricing import Prices

_ADDRESS, _MEMORY = 0x08000000, 1  # anywhere, and the number of the one memory that is accessed
_REPETITIONS = 16
_ROUNDING = 1e-6
_MACS = {"smlad": 2, "mla": 1, "muls": 1, "vfma.f32": 1, "vmul.f32": 1}  # of one instruction; ADDS and VADD complete those of the last two

# Name -> machine code of one repetition. The comments are what it says; registers are used again late enough that nothing waits.
_CODE = {
    "SMLAD": "28fb0900 28fb0911 28fb0922 28fb0933",  # smlad r0, r8, r9, r0 and so on with r1, r2, r3
    "MLA": "08fb0900 08fb0911 08fb0922 08fb0933",  # mla r0, r8, r9, r0 and so on
    "MULS, ADDS": "7043 2418 7143 6d18",  # muls r0, r6, r0; adds r4, r4, r0; muls r1, r6, r1; adds r5, r5, r1
    "VFMA": "a4ee240a e4ee240a a4ee241a e4ee241a",  # vfma.f32 s0, s8, s9 and so on with s1, s2, s3
    "VMUL, VADD": "24ee240a 72eea02a 64ee240a 32ee002a",  # vmul.f32 s0, s8, s9; vadd.f32 s5, s5, s1; vmul.f32 s1, ...; vadd.f32 s4, s4, s0
    "LDR": "3868 7968 ba68 fb68",  # ldr r0, [r7]; ldr r1, [r7, #4]; ldr r2, [r7, #8]; ldr r3, [r7, #12]
    "LDRD": "d7e90001 d7e90223",  # ldrd r0, r1, [r7]; ldrd r2, r3, [r7, #8]
    "LDM": "7fcf",  # ldm r7!, {r0-r6}
    "LDM.W": "97e87f1f",  # ldm.w r7, {r0-r6, r8-r12}
    "VLDM": "97ec100a",  # vldmia r7, {s0-s15}
    "STR": "3860 7960 ba60 fb60",  # str r0, [r7]; str r1, [r7, #4]; str r2, [r7, #8]; str r3, [r7, #12]
    "STM": "7fc7",  # stm r7!, {r0-r6}
    "STRD": "c7e90001",  # strd r0, r1, [r7]
    "SMLAD, LDR": "28fb0900 d7f80040 28fb0911 d7f80450",  # smlad r0, r8, r9, r0; ldr.w r4, [r7]; smlad r1, ...; ldr.w r5, [r7, #4]
    "SMLAD, LDRD": "28fb0900 d7e90045",  # smlad r0, r8, r9, r0; ldrd r4, r5, [r7]
    "SMLAD, STR": "28fb0900 c7f80040 28fb0911 c7f80450",  # smlad r0, r8, r9, r0; str.w r4, [r7]; smlad r1, ...; str.w r5, [r7, #4]
    "VFMA, LDR": "a4ee240a d7f80040 e4ee240a d7f80450",  # vfma.f32 s0, s8, s9; ldr.w r4, [r7]; vfma.f32 s1, ...; ldr.w r5, [r7, #4]
    "VFMA, VLDR": "a4ee240a 97ed008a e4ee240a d7ed018a",  # vfma.f32 s0, s8, s9; vldr s16, [r7]; vfma.f32 s1, ...; vldr s17, [r7, #4]
}


class NoBound(UsageError):
    """A core that does not have what a bound is asked for."""


class Rate(NamedTuple):
    """One stream: MACs and bytes of a repetition, and the cycles that it takes."""

    name: str
    macs: int
    bytes: int
    cycles: float


@dataclass(frozen=True)
class Bounds:
    """Of one core, for integers or for floating point. rates: of the streams that it can execute. prices: cycles (a MAC, a byte), see above."""

    core: str
    floating: bool
    rates: tuple[Rate, ...]
    prices: tuple[tuple[float, float], ...]

    @property
    def compute(self) -> Rate:
        """The stream of the most MACs a cycle."""
        return max(self.rates, key=lambda rate: rate.macs / rate.cycles)

    @property
    def memory(self) -> Rate:
        """The stream of the most bytes a cycle."""
        return max(self.rates, key=lambda rate: rate.bytes / rate.cycles)

    @property
    def macs_per_cycle(self) -> float:
        return self.compute.macs / self.compute.cycles

    @property
    def bytes_per_cycle(self) -> float:
        return self.memory.bytes / self.memory.cycles

    def cycles(self, macs: float, moved: float) -> float:
        """The least cycles in which the core issues that many MACs, and accesses of that many bytes."""
        return max(p * macs + q * moved for p, q in self.prices)

    def attainable(self, intensity: float) -> float:
        """MACs a cycle at that many MACs a byte."""
        return intensity / self.cycles(intensity, 1)

    def limit(self, macs: float, moved: float) -> str:
        """"MACs" or "bytes": which of the two takes more of those cycles."""
        p, q = max(self.prices, key=lambda price: price[0] * macs + price[1] * moved)
        return "MACs" if p * macs >= q * moved else "bytes"


def bounds(core: Core, floating: bool) -> Bounds:
    """Of that core's table; memories never make it wait. NoBound for floating point on a core that has none."""
    rates = tuple(rate for name in _CODE if (rate := _rate(name, core)) and (floating or not name.startswith("V")))
    if floating:
        rates = tuple(rate for rate in rates if not rate.macs or rate.name.startswith("V"))
    if not any(rate.macs for rate in rates):
        raise NoBound(f"{core.name} has no FPU, so there is no bound to hold floating point against")
    return Bounds(core.name, floating, rates, _prices(rates))


def _rate(name: str, core: Core) -> Rate | None:
    """Without what the stream's ends cost; None when the core cannot execute it."""
    short, long = _code(name, _REPETITIONS), _code(name, 2 * _REPETITIONS)
    if any(instruction.flags & int(cpus.find(core.name).lacks) for instruction in short):
        return None
    macs = sum(_MACS.get(instruction.text.partition(" ")[0], 0) for instruction in short)
    moved = sum(instruction.accesses * instruction.access_size for instruction in short)
    cycles = _cycles(long, core) - _cycles(short, core)
    return Rate(name, macs // _REPETITIONS, moved // _REPETITIONS, cycles / _REPETITIONS)


@functools.cache
def _code(name: str, repetitions: int) -> tuple[Instruction, ...]:
    return tuple(Instruction.from_record(row.item()) for row in decode(bytes.fromhex(_CODE[name]) * repetitions, _ADDRESS))


def _cycles(code: Sequence[Instruction], core: Core) -> int:
    events = bytes([_MEMORY]) * sum(bool(instruction.accesses) for instruction in code)
    return Prices({instruction.address: instruction for instruction in code}, core).stream(
        code[0].address, code[-1].address, taken=False, entered=False, events=events)


def _prices(rates: Sequence[Rate]) -> tuple[tuple[float, float], ...]:
    """The corners of all (p, q) >= 0 with p * macs + q * bytes <= cycles for every rate, but for those that others exceed in both."""
    edges = [*((rate.macs, rate.bytes, rate.cycles) for rate in rates), (1, 0, 0), (0, 1, 0)]
    corners: set[tuple[float, float]] = set()
    for (a, b, c), (d, e, f) in combinations(edges, 2):
        if determinant := a * e - b * d:
            p, q = (round((c * e - b * f) / determinant, 9), round((a * f - c * d) / determinant, 9))
            if min(p, q) >= 0 and all(p * rate.macs + q * rate.bytes <= rate.cycles + _ROUNDING for rate in rates):
                corners.add((abs(p), abs(q)))
    return tuple(sorted(one for one in corners if not any(p >= one[0] and q >= one[1] for p, q in corners - {one})))
