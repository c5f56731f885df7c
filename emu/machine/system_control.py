"""The System Control Block beside interrupts: what the core is, where its vectors lie, what a fault was, FPU, MPU and caches.

Armv7-M ARM (DDI 0403E), B3.2, B3.5; Armv6-M ARM (DDI 0419), B3.2; Cortex-M7 TRM (DDI 0489), 3.2 for the caches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from emu.isa.cpu import Cpu
from emu.machine.bus import WORD, Kept, Register, constant

CFSR, HFSR, MMFAR, BFAR = 0xE000ED28, 0xE000ED2C, 0xE000ED34, 0xE000ED38
ACTLR, ICTR, CPUID, VTOR, AIRCR, SCR, CCR, DFSR, AFSR, CPACR = (
    0xE000E008, 0xE000E004, 0xE000ED00, 0xE000ED08, 0xE000ED0C, 0xE000ED10, 0xE000ED14, 0xE000ED30, 0xE000ED3C, 0xE000ED88)
FPCCR, FPCAR, FPDSCR = 0xE000EF34, 0xE000EF38, 0xE000EF3C
_MVFR = (0x10110021, 0x11000011, 0x00000040)  # single precision, FPv4-SP (Cortex-M4 TRM, 7.3)
_MPU = 0xE000ED90
_MPU_REGIONS = 8
_KEY, _KEY_READ = 0x05FA, 0xFA05  # of AIRCR
_RESET_REQUEST, _CLEAR_ACTIVE = 1 << 2, 1 << 1
_STACK_ALIGN = 1 << 9  # CCR
_TRAPS = {3: "CCR.UNALIGN_TRP", 4: "CCR.DIV_0_TRP"}
_LAZY, _AUTOMATIC = 1 << 30, 1 << 31  # FPCCR.LSPEN, ASPEN
_LAZY_ACTIVE = 1
_CPACR_BITS = 0xF << 20
# Of a Cortex-M7 with 16 KB caches: CLIDR, CTR, and CCSIDR of the data and the instruction cache.
_CLIDR, _CTR, _CCSIDR = 0x09000003, 0x8303C003, (0xF00FE019, 0xF01FE009)
_CACHE_OPERATIONS = {0x50: "ICIALLU", 0x58: "ICIMVAU", 0x5C: "DCIMVAC", 0x60: "DCISW", 0x64: "DCCMVAU", 0x68: "DCCMVAC", 0x6C: "DCCSW",
                     0x70: "DCCIMVAC", 0x74: "DCCISW", 0x78: "BPIALL"}


class SystemControl:
    """Registers of the SCB. reset() is called when the program asks for one; note(text) for what is kept but means nothing here."""

    def __init__(self, cpu: Cpu, vectors: int, lines: int, set_group: Callable[[int], None], reset: Callable[[], None],
                 note: Callable[[str], None]) -> None:
        self._cpu, self._lines = cpu, lines
        self._set_group, self._reset, self._note = set_group, reset, note
        self.armv6 = cpu.architecture == "armv6-m"
        self.vtor = Kept(vectors, 0xFFFFFF80)
        self.scr, self.ccr = Kept(0, 0x16), Kept(_STACK_ALIGN | (1 << 3 if self.armv6 else 0), 0 if self.armv6 else 0x7031B)
        self.cfsr = self.hfsr = self.bfar = self.mmfar = 0
        self._group = 0
        self.fpccr, self.fpcar, self.fpdscr = Kept(_AUTOMATIC | _LAZY), Kept(0, WORD & ~7), Kept(0, 0x07C00000)
        self.cpacr = np.zeros(1, np.uint32)  # the probe looks at it, too

    def enable_float(self) -> None:
        """CPACR as a debugger sets it for a program that has no start-up code for its core."""
        if self._cpu.fpu:
            self.cpacr[0] = _CPACR_BITS

    # --- for exceptions ---

    @property
    def saves_float(self) -> bool:
        """FPCCR.ASPEN: an exception sets the registers of floating point aside when they are in use."""
        return bool(self.fpccr.value & _AUTOMATIC)

    def lazy_frame(self, address: int) -> None:
        """Room for S0-S15 and FPSCR was left at that address."""
        if self.fpccr.value & _LAZY:
            self.fpcar.value, self.fpccr.value = address, self.fpccr.value | _LAZY_ACTIVE

    def end_lazy(self) -> None:
        """The frame has been taken back."""
        self.fpccr.value &= ~_LAZY_ACTIVE

    # --- registers ---

    def registers(self) -> Iterator[tuple[int, Register]]:
        """(address, register) of all of them."""
        yield CPUID, constant("CPUID", self._cpu.cpuid)
        yield ACTLR, Kept().register("ACTLR")
        yield AIRCR, Register("AIRCR", lambda: _KEY_READ << 16 | self._group << 8, self._store_aircr)
        yield SCR, self.scr.register("SCR")
        yield CCR, Register("CCR", lambda: self.ccr.value, self._store_ccr)
        yield VTOR, self.vtor.register("VTOR")
        yield DFSR, Kept().register("DFSR")
        yield from self._mpu()
        if self.armv6:
            return
        yield ICTR, constant("ICTR", max(-(-self._lines // 32) - 1, 0))
        yield CFSR, Register("CFSR", lambda: self.cfsr, lambda value, mask: setattr(self, "cfsr", self.cfsr & ~(value & mask)))
        yield HFSR, Register("HFSR", lambda: self.hfsr, lambda value, mask: setattr(self, "hfsr", self.hfsr & ~(value & mask)))
        yield MMFAR, Register("MMFAR", lambda: self.mmfar)
        yield BFAR, Register("BFAR", lambda: self.bfar)
        yield AFSR, Kept().register("AFSR")
        if self._cpu.fpu:
            yield CPACR, Register("CPACR", lambda: int(self.cpacr[0]), self._store_cpacr)
            yield FPCCR, self.fpccr.register("FPCCR")
            yield FPCAR, self.fpcar.register("FPCAR")
            yield FPDSCR, self.fpdscr.register("FPDSCR")
            for number, value in enumerate(_MVFR):
                yield FPDSCR + 4 + 4 * number, constant(f"MVFR{number}", value)
        else:
            yield CPACR, constant("CPACR", 0)
        if self._cpu.architecture == "armv8-m.main":
            for at, name in ((0xE000ED8C, "NSACR"), (0xE000EDD0, "SAU_CTRL"), (0xE000EDD4, "SAU_TYPE"), (0xE000EDD8, "SAU_RNR"),
                             (0xE000EDDC, "SAU_RBAR"), (0xE000EDE0, "SAU_RLAR"), (0xE000EDE4, "SFSR"), (0xE000EDE8, "SFAR")):
                yield at, Kept().register(name)
        if self._cpu.name == "cortex-m7":
            yield from self._caches()

    def _store_aircr(self, value: int, mask: int) -> None:
        if mask != WORD or value >> 16 != _KEY:
            return
        if value & _RESET_REQUEST:
            self._reset()
        if not self.armv6:
            self._group = value >> 8 & 7
            self._set_group(self._group)

    def _store_ccr(self, value: int, mask: int) -> None:
        self.ccr.store(value, mask)
        for bit, name in _TRAPS.items():
            if self.ccr.value >> bit & 1 and not self.armv6:
                self._note(f"{name} is kept, but nothing traps")

    def _store_cpacr(self, value: int, mask: int) -> None:
        mask &= _CPACR_BITS
        self.cpacr[0] = int(self.cpacr[0]) & ~mask | value & mask

    def _mpu(self) -> Iterator[tuple[int, Register]]:
        """Kept, not enforced."""
        regions = 0 if self._cpu.name == "cortex-m0" else _MPU_REGIONS
        number, bases, attributes = Kept(0, 0xFF), [0] * 256, [0] * 256

        def enable(value: int, mask: int) -> None:
            control.store(value, mask)
            if control.value & 1:
                self._note("the MPU is switched on: its regions are kept, but nothing is protected by them")

        def select(value: int, mask: int) -> None:
            if self._cpu.architecture != "armv8-m.main" and value & mask & 1 << 4:  # RBAR.VALID
                number.value = value & 0xF
            bases[number.value] = value & mask & ~0x1F if self._cpu.architecture != "armv8-m.main" else value & mask

        def describe(value: int, mask: int) -> None:
            attributes[number.value] = attributes[number.value] & ~mask | value & mask

        control = Kept(0, 7)
        yield _MPU, constant("MPU_TYPE", regions << 8)
        yield _MPU + 4, Register("MPU_CTRL", lambda: control.value, enable if regions else None)
        yield _MPU + 8, number.register("MPU_RNR")
        for alias in range(1 if self.armv6 else 4):
            suffix = f"_A{alias}" if alias else ""
            yield _MPU + 12 + 8 * alias, Register(f"MPU_RBAR{suffix}", lambda: bases[number.value] | number.value & 0xF, select)
            yield _MPU + 16 + 8 * alias, Register(f"MPU_RASR{suffix}", lambda: attributes[number.value], describe)
        if self._cpu.architecture == "armv8-m.main":
            yield _MPU + 0x30, Kept().register("MPU_MAIR0")
            yield _MPU + 0x34, Kept().register("MPU_MAIR1")

    def _caches(self) -> Iterator[tuple[int, Register]]:
        """What start-up code asks before it turns caches on; the operations themselves change nothing that a program can see."""
        select = Kept(0, 0xF)
        yield 0xE000ED78, constant("CLIDR", _CLIDR)
        yield 0xE000ED7C, constant("CTR", _CTR)
        yield 0xE000ED80, Register("CCSIDR", lambda: _CCSIDR[select.value & 1])
        yield 0xE000ED84, select.register("CSSELR")
        for offset, name in _CACHE_OPERATIONS.items():
            yield 0xE000EF00 + offset, Register(name, lambda: 0, lambda value, mask: None)
        for at, name in ((0xE000EF90, "ITCMCR"), (0xE000EF94, "DTCMCR"), (0xE000EF98, "AHBPCR"), (0xE000EF9C, "CACR"), (0xE000EFA0, "AHBSCR")):
            yield at, Kept().register(name)
