"""The core's registers that Unicorn keeps and exceptions change: stack pointers, CONTROL, masks, xPSR, floating point.

Unicorn lets the host write CONTROL.SPSEL only in thread mode, and CONTROL, MSP, PSP and the masks only when privileged; so
a change of mode goes through privileged thread mode.
"""

from __future__ import annotations

import ctypes

import unicorn
from unicorn import arm_const as arm

from emu.machine.interrupts import Masks

THUMB, _MODE = 1 << 24, 0x1FF
PRIVILEGE, SPSEL, FPCA = 1, 2, 4  # bits of CONTROL: nPRIV, SPSEL, FPCA
_GENERAL = [getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)]
_FLOAT = [getattr(arm, f"UC_ARM_REG_S{n}") for n in range(16)]
_PRIVILEGED_HANDLER = 3


class Registers:
    """Reads and writes of one engine's registers. They go to Unicorn's library directly: an exception takes forty of them."""

    def __init__(self, engine: unicorn.Uc, fpu: bool, armv6: bool) -> None:
        self._fpu, self._armv6 = fpu, armv6
        self._handle, self._word = engine._uch, ctypes.c_uint32()
        self._at = ctypes.addressof(self._word)
        library = unicorn.unicorn_py3.unicorn.uclib
        self._uc_read, self._uc_write = library.uc_reg_read, library.uc_reg_write

    def _read(self, register: int) -> int:
        self._uc_read(self._handle, register, self._at)
        return self._word.value

    def _write(self, register: int, value: int) -> None:
        self._word.value = value
        self._uc_write(self._handle, register, self._at)

    def general(self, number: int) -> int:
        """R0 to R12."""
        return self._read(_GENERAL[number])

    def set_general(self, number: int, value: int) -> None:
        """R0 to R12."""
        self._write(_GENERAL[number], value)

    def _property(register: int) -> property:
        return property(lambda self: self._read(register), lambda self, value: self._write(register, value))

    sp = _property(arm.UC_ARM_REG_SP)
    lr = _property(arm.UC_ARM_REG_LR)
    pc = _property(arm.UC_ARM_REG_PC)
    msp = _property(arm.UC_ARM_REG_MSP)
    psp = _property(arm.UC_ARM_REG_PSP)
    xpsr = _property(arm.UC_ARM_REG_XPSR)
    control = _property(arm.UC_ARM_REG_CONTROL)
    fpscr = _property(arm.UC_ARM_REG_FPSCR)
    primask = _property(arm.UC_ARM_REG_PRIMASK)
    basepri = _property(arm.UC_ARM_REG_BASEPRI)
    faultmask = _property(arm.UC_ARM_REG_FAULTMASK)
    del _property

    def float_words(self) -> list[int]:
        """S0 to S15."""
        return [self._read(register) for register in _FLOAT]

    def set_float_words(self, words: list[int]) -> None:
        """S0 to S15."""
        for register, word in zip(_FLOAT, words, strict=True):
            self._write(register, word)

    def masks(self) -> Masks:
        """PRIMASK, FAULTMASK, BASEPRI, which unprivileged code cannot see but is held by."""
        xpsr = self.xpsr
        hidden = not xpsr & _MODE and self.control & PRIVILEGE
        if hidden:
            self.xpsr = xpsr | _PRIVILEGED_HANDLER
        found = Masks(self.primask) if self._armv6 else Masks(self.primask, self.faultmask, self.basepri)
        if hidden:
            self.xpsr = xpsr
        return found

    def change_mode(self, xpsr: int, *, process_stack: bool, unprivileged: bool, floating: bool) -> None:
        """xPSR whole, its exception number too; which stack thread mode uses; CONTROL.nPRIV and FPCA."""
        self.xpsr = THUMB | _PRIVILEGED_HANDLER
        self.control = self.control & ~PRIVILEGE  # a handler is privileged, and may write it
        self.xpsr = THUMB
        self.control = (SPSEL if process_stack else 0) | (FPCA if floating and self._fpu else 0)
        if unprivileged:
            self.xpsr = THUMB | _PRIVILEGED_HANDLER
            self.control = self.control | PRIVILEGE
        self.xpsr = xpsr
