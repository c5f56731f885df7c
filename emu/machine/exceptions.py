"""Entering and leaving exception handlers: stacking, EXC_RETURN, tail-chaining (Armv7-M ARM, B1.5.6 to B1.5.12).

The registers of floating point are written to their part of the frame at once; FPCCR.LSPACT and FPCAR say what a lazy core
would. A program can tell the two apart only by reading the frame before the handler has used the FPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emu.machine.interrupts import FAULT_HANDLERS, NMI, Interrupts
from emu.machine.memory import Memory, OutsideError
from emu.machine.registers import FPCA, PRIVILEGE, SPSEL, THUMB, Registers
from emu.machine.system_control import SystemControl
from emu.probe import Probe, layout

EXC_RETURN = 0xFFFFFF00  # of all of them; Armv8-M's end in other bits
_HANDLER, _PROCESS_STACK, _NO_FLOAT = 0x8, 0x4, 0x10  # Mode (1: thread), SPSEL, FType (1: basic frame)
_BASIC, _EXTENDED = 8, 26  # words of a frame
_ALIGNED = 1 << 9  # xPSR in the frame: SP was moved down a word
_IT = 0x0600FC00
_GENERAL_FLAGS = 0xF80F0000 | THUMB | _IT


class LockUpError(Exception):
    """The core can do nothing more; the text says why."""


@dataclass(frozen=True)
class _Frame:
    """What the stacking of one entry came to."""

    sp: int  # of the interrupted code, before
    floating: bool


class Exceptions:
    """The exception logic of one machine. Raises LockUpError when a stack or a vector cannot be used."""

    def __init__(self, registers: Registers, memory: Memory, interrupts: Interrupts, control: SystemControl, probe: Probe,
                 is_code: Callable[[int], bool]) -> None:
        self._registers, self._memory, self._interrupts, self._control = registers, memory, interrupts, control
        self._probe, self._is_code = probe, is_code
        self.changes = {layout.EXCEPTION_ENTRY: 0, layout.EXCEPTION_RETURN: 0, layout.TAIL_CHAIN: 0}

    @property
    def entries(self) -> int:
        """Handlers that have run."""
        return self.changes[layout.EXCEPTION_ENTRY] + self.changes[layout.TAIL_CHAIN]

    def enter(self, number: int, return_pc: int) -> int:
        """Take the exception: the interrupted code goes on at `return_pc` when it is over. Returns the handler's address."""
        handler = self._vector(number)
        registers = self._registers
        in_handler, control = bool(self._interrupts.active), registers.control
        on_process_stack = bool(control & SPSEL) and not in_handler
        frame = self._push(return_pc, control)
        exc_return = 0xFFFFFFE1 | (0 if in_handler else _HANDLER) | (_PROCESS_STACK if on_process_stack else 0) | (0 if frame.floating else _NO_FLOAT)
        self._interrupts.pending.discard(number)
        self._interrupts.active.append(number)
        self._switch(number, bool(control & PRIVILEGE))
        registers.lr = exc_return
        self._probe.exception_entry(number, handler, return_pc, frame.sp, registers.sp)
        self.changes[layout.EXCEPTION_ENTRY] += 1
        return handler

    def _switch(self, number: int, unprivileged: bool) -> None:
        """Into the handler, on the main stack, no floating-point context yet."""
        self._registers.change_mode(THUMB | number, process_stack=False, unprivileged=unprivileged, floating=False)

    def _push(self, return_pc: int, control: int) -> _Frame:
        registers = self._registers
        floating = bool(control & FPCA) and self._control.saves_float
        sp, xpsr = registers.sp, registers.xpsr
        size = 4 * (_EXTENDED if floating else _BASIC)
        padded = bool(sp & 4) and bool(self._control.ccr.value & _ALIGNED)
        place = (sp - size) & (~4 if self._control.ccr.value & _ALIGNED else ~0)
        words = [registers.general(n) for n in (0, 1, 2, 3, 12)] + [registers.lr, return_pc & ~1, xpsr & ~_ALIGNED | (_ALIGNED if padded else 0)]
        if floating:
            words += [*registers.float_words(), registers.fpscr, 0]
            self._control.lazy_frame(place + 4 * _BASIC)
        try:
            self._memory.write(place, b"".join(word.to_bytes(4, "little") for word in words))
        except OutsideError:
            raise LockUpError(f"an exception's frame at 0x{place & 0xFFFFFFFF:08x} lies in no RAM") from None
        registers.sp = place
        return _Frame(sp, floating)

    def _vector(self, number: int) -> int:
        where = self._control.vtor.value + 4 * number
        try:
            vector = self._memory.word(where)
        except OutsideError:
            raise LockUpError(f"no vector table: the word at 0x{where:08x} is in no memory") from None
        if not vector & 1 or not self._is_code(vector & ~1):
            raise LockUpError(f"the vector at 0x{where:08x} is 0x{vector:08x}, where no Thumb code is")
        return vector & ~1

    def leave(self, exc_return: int) -> int | None:
        """A branch to that EXC_RETURN, its bit 0 as the program had it or clear: where execution goes on; None when it is not a valid one."""
        registers, interrupts = self._registers, self._interrupts
        valid = exc_return & 0xE in (0x0, 0x8, 0xC) and exc_return & 0x20 and interrupts.active
        to_thread = bool(exc_return & _HANDLER)
        if not valid or to_thread != (len(interrupts.active) == 1):
            return None
        number = interrupts.active.pop()
        if number != NMI and not interrupts.armv6:
            registers.faultmask = 0
        if following := interrupts.ready(registers.masks()):
            return self._tail_chain(number, following, exc_return)
        pc = self._pop(exc_return, to_thread)
        self._probe.exception_return(number, pc, registers.sp)
        self.changes[layout.EXCEPTION_RETURN] += 1
        return pc

    def _tail_chain(self, number: int, following: int, exc_return: int) -> int:
        """The next handler finds the frame that is there already."""
        interrupts = self._interrupts
        try:
            handler = self._vector(following)
        except LockUpError:
            interrupts.active.append(number)
            raise
        interrupts.pending.discard(following)
        interrupts.active.append(following)
        self._switch(following, bool(self._registers.control & PRIVILEGE))
        self._registers.lr = exc_return | 1
        self._probe.tail_chain(following, handler)
        self.changes[layout.TAIL_CHAIN] += 1
        return handler

    def _pop(self, exc_return: int, to_thread: bool) -> int:
        registers = self._registers
        process, floating = bool(exc_return & _PROCESS_STACK) and to_thread, not exc_return & _NO_FLOAT
        place = registers.psp if process else registers.msp
        try:
            words = self._memory.words(place, _EXTENDED if floating else _BASIC)
        except OutsideError:
            raise LockUpError(f"the frame to return to, at 0x{place:08x}, lies in no RAM") from None
        xpsr = words[7]
        under = self._interrupts.current
        registers.change_mode(xpsr & _GENERAL_FLAGS | under, process_stack=process,
                              unprivileged=bool(registers.control & PRIVILEGE), floating=floating)
        registers.sp = place + 4 * len(words) + (4 if xpsr & _ALIGNED else 0)
        for register, word in zip((0, 1, 2, 3, 12), words, strict=False):
            registers.set_general(register, word)
        registers.lr = words[5]
        if floating:
            registers.set_float_words(words[8:24])
            registers.fpscr = words[24]
            self._control.end_lazy()
        return words[6] & ~1

    def in_fault_handler(self) -> bool:
        """A handler of faults is active."""
        return any(number in FAULT_HANDLERS for number in self._interrupts.active)
