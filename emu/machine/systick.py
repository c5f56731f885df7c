"""SysTick: counts modelled cycles of the core (Armv7-M ARM, B3.3).

The counter is not stepped: `_zero` is the cycle in which it reaches 0 next, and everything follows from that and the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.machine.bus import Register

CSR, RVR, CVR, CALIB = 0xE000E010, 0xE000E014, 0xE000E018, 0xE000E01C
_NO_REFERENCE, _SKEW = 1 << 31, 1 << 30  # the core clock alone, and nobody knows how long 10 ms are
_MOST = 0xFFFFFF


class SysTick:
    """now() gives the cycle; pend() makes the exception pending; changed() says that `deadline` has another answer."""

    def __init__(self, now: Callable[[], int], pend: Callable[[], None], changed: Callable[[], None]) -> None:
        self._now, self._pend, self._changed = now, pend, changed
        self.used = False
        self._enabled = self._interrupts = self._flag = False
        self._reload = self._value = self._zero = 0

    @property
    def deadline(self) -> int | None:
        """The cycle in which it next asks for its exception; None when it will not."""
        return self._zero if self._enabled and self._interrupts and self._reload else None

    def advance(self, now: int) -> None:
        """Note what has happened up to that cycle."""
        if not self._enabled or not self._reload or now < self._zero:
            return
        times = (now - self._zero) // (self._reload + 1) + 1
        self._zero += times * (self._reload + 1)
        self._flag = True
        if self._interrupts:
            self._pend()

    def registers(self) -> Iterator[tuple[int, Register]]:
        """(address, register) of all four."""
        yield CSR, Register("SYST_CSR", self._load_csr, self._store_csr)
        yield RVR, Register("SYST_RVR", lambda: self._reload, self._store_rvr)
        yield CVR, Register("SYST_CVR", self._load_cvr, self._store_cvr)
        yield CALIB, Register("SYST_CALIB", lambda: _NO_REFERENCE | _SKEW)

    def _count(self, now: int) -> int:
        if not self._enabled or not self._reload:
            return self._value
        return min(self._zero - now, self._reload + 1) % (self._reload + 1)

    def _load_csr(self) -> int:
        self.used = True
        self.advance(self._now())
        flag, self._flag = self._flag, False
        return self._enabled | self._interrupts << 1 | 1 << 2 | flag << 16

    def _store_csr(self, value: int, mask: int) -> None:
        self.used = True
        now = self._now()
        self.advance(now)
        if mask & 1 == 0:
            return
        enabled = bool(value & 1)
        if enabled and not self._enabled:
            self._zero = now + (self._value or self._reload + 1)
        elif self._enabled and not enabled:
            self._value = self._count(now)
        self._enabled, self._interrupts = enabled, bool(value & 2)
        self._changed()

    def _store_rvr(self, value: int, mask: int) -> None:
        self.used = True
        now = self._now()
        self.advance(now)
        waiting = self._enabled and not self._reload
        self._reload = (self._reload & ~mask | value & mask) & _MOST
        if waiting:
            self._zero = now + self._reload + 1
        self._changed()

    def _load_cvr(self) -> int:
        self.used = True
        now = self._now()
        self.advance(now)
        return self._count(now)

    def _store_cvr(self, _value: int, _mask: int) -> None:
        self.used = True
        now = self._now()
        self.advance(now)
        self._flag, self._value = False, 0
        self._zero = now + self._reload + 1
        self._changed()
