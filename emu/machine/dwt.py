"""DEMCR, the DWT's counters and the ITM's stimulus port 0 (Armv7-M ARM, C1.6 to C1.8).

CYCCNT is modelled cycles of the core that the run is timed for. Of the 8-bit profiling counters EXCCNT and SLEEPCNT are what
their names say; CPICNT takes all other cycles beyond one an instruction, those of loads and stores included, so LSUCNT and
FOLDCNT stay 0 and the manual's sum holds: CYCCNT = instructions + CPICNT + EXCCNT + SLEEPCNT + LSUCNT - FOLDCNT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from emu.machine.bus import WORD, Kept, Register, constant

DEMCR, DHCSR = 0xE000EDFC, 0xE000EDF0
_DWT, _ITM, _TPIU = 0xE0001000, 0xE0000000, 0xE0040000
_TRACE = 1 << 24  # DEMCR.TRCENA
_COUNTING = 1  # DWT_CTRL.CYCCNTENA
_COMPARATORS = 4 << 28
_DEBUGGER = 1  # DHCSR.C_DEBUGEN: semihosting is answered, so code that asks whether it may use it should
_EVENTS = {0x08: ("CPICNT", 17), 0x0C: ("EXCCNT", 18), 0x10: ("SLEEPCNT", 19), 0x14: ("LSUCNT", 20), 0x18: ("FOLDCNT", 21)}


class Time(NamedTuple):
    """What has passed since reset: cycles in all, instructions, cycles of entering and leaving exceptions, and asleep."""

    cycles: int
    instructions: int
    exceptions: int
    sleep: int


class Dwt:
    """cycles() is the time now, quickly; time() all of it; put(byte) prints what is sent to stimulus port 0."""

    def __init__(self, cycles: Callable[[], int], time: Callable[[], Time], put: Callable[[int], None]) -> None:
        self._cycles, self._time, self._put = cycles, time, put
        self.used = False
        self._demcr, self._ctrl = 0, 0
        self._count = self._since = 0
        self._bases = dict.fromkeys(_EVENTS, 0)

    def registers(self) -> Iterator[tuple[int, Register]]:
        """(address, register) of DEMCR, DHCSR, DWT, ITM and the trace port."""
        yield DEMCR, Register("DEMCR", lambda: self._demcr, self._store_demcr)
        yield DHCSR, constant("DHCSR", _DEBUGGER)
        yield _DWT, Register("DWT_CTRL", lambda: _COMPARATORS | self._ctrl, self._store_ctrl)
        yield _DWT + 4, Register("DWT_CYCCNT", self._load_cyccnt, self._store_cyccnt)
        for offset, (name, _) in _EVENTS.items():
            yield _DWT + offset, Register(f"DWT_{name}", lambda o=offset: self._event(o) & 0xFF,
                                          lambda value, mask, o=offset: self._set_event(o, value & mask))
        yield _DWT + 0x1C, constant("DWT_PCSR", WORD)
        for number in range(4):
            for offset, name in ((0x20, "COMP"), (0x24, "MASK"), (0x28, "FUNCTION")):
                yield _DWT + 16 * number + offset, Kept().register(f"DWT_{name}{number}")
        yield from self._trace()

    def _trace(self) -> Iterator[tuple[int, Register]]:
        """The ITM as if a debugger listened to port 0; what start-up code sets in the trace port is kept and means nothing."""
        for port in range(32):
            yield _ITM + 4 * port, Register(f"ITM_STIM{port}", lambda: 1, self._send if port == 0 else None)
        for at, name, value in (
                (_ITM + 0xE00, "ITM_TER", 1), (_ITM + 0xE40, "ITM_TPR", 0), (_ITM + 0xE80, "ITM_TCR", 1), (_ITM + 0xFB0, "ITM_LAR", 0),
                (_DWT + 0xFB0, "DWT_LAR", 0), (_TPIU + 4, "TPIU_CSPSR", 1), (_TPIU + 0x10, "TPIU_ACPR", 0), (_TPIU + 0xF0, "TPIU_SPPR", 1),
                (_TPIU + 0x304, "TPIU_FFCR", 0x102), (_TPIU + 0xFB0, "TPIU_LAR", 0)):
            yield at, Kept(value).register(name)
        for at, name in ((_ITM + 0xFB4, "ITM_LSR"), (_DWT + 0xFB4, "DWT_LSR"), (_TPIU, "TPIU_SSPSR"), (_TPIU + 0x300, "TPIU_FFSR")):
            yield at, constant(name, 0)

    def _send(self, value: int, mask: int) -> None:
        size = {0xFF: 1, 0xFFFF: 2}.get(mask, 4)
        for byte in value.to_bytes(4, "little")[:size]:
            self._put(byte)

    # --- counting ---

    @property
    def _running(self) -> bool:
        return bool(self._demcr & _TRACE and self._ctrl & _COUNTING)

    def _load_cyccnt(self) -> int:
        self.used = True
        return (self._count + self._cycles() - self._since if self._running else self._count) & WORD

    def _store_cyccnt(self, value: int, mask: int) -> None:
        self._count = self._load_cyccnt() & ~mask | value & mask
        self._since = self._cycles()

    def _switch(self, change: Callable[[], None]) -> None:
        self._count, self._since = self._load_cyccnt(), self._cycles()
        change()

    def _store_demcr(self, value: int, mask: int) -> None:
        self._switch(lambda: setattr(self, "_demcr", self._demcr & ~mask | value & mask))

    def _store_ctrl(self, value: int, mask: int) -> None:
        before = self._ctrl
        self._switch(lambda: setattr(self, "_ctrl", (before & ~mask | value & mask) & 0x0FFFFFFF))
        for offset, (_, bit) in _EVENTS.items():  # a counter begins at 0 when it is enabled
            if self._ctrl & ~before & 1 << bit:
                self._set_event(offset, 0)

    def _passed(self, offset: int) -> int:
        time = self._time()
        return {0x08: time.cycles - time.instructions - time.exceptions - time.sleep, 0x0C: time.exceptions, 0x10: time.sleep}.get(offset, 0)

    def _event(self, offset: int) -> int:
        self.used = True
        enabled = self._demcr & _TRACE and self._ctrl >> _EVENTS[offset][1] & 1
        return self._passed(offset) - self._bases[offset] if enabled else 0

    def _set_event(self, offset: int, value: int) -> None:
        self._bases[offset] = self._passed(offset) - value
