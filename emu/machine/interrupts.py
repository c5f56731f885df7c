"""What is pending, enabled and active, and whose turn it is: the NVIC and the system handlers' part of the SCB.

Armv7-M ARM (DDI 0403E): B1.5 (exceptions), B3.2 (SCB), B3.4 (NVIC). Numbers are exception numbers; interrupt n is 16 + n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from emu.machine.bus import Register

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SV_CALL, DEBUG_MONITOR, PEND_SV, SYS_TICK, FIRST = 2, 3, 4, 5, 6, 11, 12, 14, 15, 16
NAMES = {NMI: "NMI", HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault", USAGE_FAULT: "UsageFault", SV_CALL: "SVCall",
         DEBUG_MONITOR: "DebugMonitor", PEND_SV: "PendSV", SYS_TICK: "SysTick"}
FAULT_HANDLERS = (HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT)
LOWEST = 256  # a priority that everything preempts: thread mode
_FIXED = {1: -3, NMI: -2, HARD_FAULT: -1}
_CONFIGURABLE = (MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SV_CALL, DEBUG_MONITOR, PEND_SV, SYS_TICK)
_ENABLES = {MEM_MANAGE: 16, BUS_FAULT: 17, USAGE_FAULT: 18}  # bits of SHCSR
_ACTIVE_BITS = {MEM_MANAGE: 0, BUS_FAULT: 1, USAGE_FAULT: 3, SV_CALL: 7, DEBUG_MONITOR: 8, PEND_SV: 10, SYS_TICK: 11}
_PENDED_BITS = {USAGE_FAULT: 12, MEM_MANAGE: 13, BUS_FAULT: 14, SV_CALL: 15}
_ICSR, _SHPR1, _SHCSR, _STIR = 0xE000ED04, 0xE000ED18, 0xE000ED24, 0xE000EF00
_ISER, _ICER, _ISPR, _ICPR, _IABR, _IPR = 0xE000E100, 0xE000E180, 0xE000E200, 0xE000E280, 0xE000E300, 0xE000E400


class Masks(NamedTuple):
    """PRIMASK, FAULTMASK and BASEPRI as they stand."""

    primask: int = 0
    faultmask: int = 0
    basepri: int = 0


def name(number: int) -> str:
    """The field's name of an exception."""
    return NAMES.get(number, f"interrupt {number - FIRST}")


class Interrupts:
    """State of all exceptions. `changed` is called when a register write may have made one ready, or none."""

    def __init__(self, lines: int, priority_bits: int, armv6: bool, changed: Callable[[], None]) -> None:
        self.lines, self.armv6, self._changed = lines, armv6, changed
        self._priority_mask = 0xFF << 8 - priority_bits & 0xFF
        self.priority = [0] * (FIRST + lines)
        self.group_shift = 0  # AIRCR.PRIGROUP
        self.pending: set[int] = set()
        self.enabled: set[int] = set()  # interrupts alone
        self.active: list[int] = []  # the innermost last
        self.fault_enables = 0  # SHCSR

    # --- whose turn it is ---

    @property
    def current(self) -> int:
        """The number in IPSR: 0 in thread mode."""
        return self.active[-1] if self.active else 0

    def group_priority(self, number: int) -> int:
        """What decides on preemption: the smaller, the more urgent."""
        return _FIXED.get(number, self.priority[number] & self._group_mask() if number < len(self.priority) else LOWEST)

    def _group_mask(self) -> int:
        return -1 << self.group_shift + 1 & 0xFF

    def execution_priority(self, masks: Masks) -> int:
        """Of what runs: the most urgent of the active handlers and the masks."""
        found = min((self.group_priority(number) for number in self.active), default=LOWEST)
        if masks.basepri & self._priority_mask:
            found = min(found, masks.basepri & self._group_mask())
        if masks.primask & 1:
            found = min(found, 0)
        if masks.faultmask & 1:
            found = min(found, -1)
        return found

    def can_be_taken(self, number: int) -> bool:
        """It is enabled, as far as it has to be."""
        if number in _ENABLES:
            return bool(self.fault_enables >> _ENABLES[number] & 1)
        return number < FIRST or number in self.enabled

    def most_urgent(self) -> int:
        """The pending exception that would be taken first, masks aside; 0 when there is none."""
        found = [number for number in self.pending if self.can_be_taken(number)]
        return min(found, key=lambda n: (self.group_priority(n), self.priority[n], n)) if found else 0

    def ready(self, masks: Masks) -> int:
        """The exception to take now, or 0."""
        number = self.most_urgent()
        return number if number and self.group_priority(number) < self.execution_priority(masks) else 0

    def masked(self, masks: Masks) -> bool:
        """Something pending waits for a mask alone, not for a handler to end."""
        number = self.most_urgent()
        return bool(number) and self.group_priority(number) < self.execution_priority(Masks()) and not self.ready(masks)

    # --- registers ---

    def registers(self) -> Iterator[tuple[int, Register]]:
        """(address, register) of all of them."""
        words = -(-self.lines // 32)
        for number in range(1 if self.armv6 else max(words, 1)):
            for at, what, load, store in ((_ISER, "ISER", self.enabled, self._add), (_ICER, "ICER", self.enabled, self._remove),
                                          (_ISPR, "ISPR", self.pending, self._add), (_ICPR, "ICPR", self.pending, self._remove)):
                yield at + 4 * number, self._bits(f"NVIC_{what}{number}", load, number, store)
            if not self.armv6:
                yield _IABR + 4 * number, Register(f"NVIC_IABR{number}", lambda number=number: self._word(self.active, number))
        for number in range(8 if self.armv6 else -(-self.lines // 4)):
            yield _IPR + 4 * number, self._priorities(f"NVIC_IPR{number}", FIRST + 4 * number)
        for number in range(1, 4):
            if number > 1 or not self.armv6:
                yield _SHPR1 + 4 * (number - 1), self._priorities(f"SHPR{number}", 4 * number)
        yield _ICSR, Register("ICSR", self._load_icsr, self._store_icsr)
        yield _SHCSR, Register("SHCSR", self._load_shcsr, self._store_shcsr)
        if not self.armv6:
            yield _STIR, Register("STIR", lambda: 0, self._trigger)

    def _word(self, numbers: set[int] | list[int], word: int) -> int:
        return sum(1 << n - FIRST - 32 * word for n in set(numbers) if 0 <= n - FIRST - 32 * word < 32)

    def _bits(self, what: str, numbers: set[int], word: int, act: Callable[[set[int], int, int], None]) -> Register:
        return Register(what, lambda: self._word(numbers, word), lambda value, mask: act(numbers, word, value & mask))

    def _add(self, numbers: set[int], word: int, bits: int) -> None:
        numbers.update(n for n in range(FIRST + 32 * word, min(FIRST + 32 * word + 32, FIRST + self.lines)) if bits >> n - FIRST - 32 * word & 1)
        self._changed()

    def _remove(self, numbers: set[int], word: int, bits: int) -> None:
        numbers.difference_update(FIRST + 32 * word + bit for bit in range(32) if bits >> bit & 1)
        self._changed()

    def _priorities(self, what: str, first: int) -> Register:
        def load() -> int:
            return sum(self.priority[n] << 8 * (n - first) for n in range(first, first + 4) if n < len(self.priority))

        def store(value: int, mask: int) -> None:
            for n in range(first, first + 4):
                if mask >> 8 * (n - first) & 1 and n < len(self.priority) and (n >= FIRST or n in _CONFIGURABLE):
                    self.priority[n] = value >> 8 * (n - first) & self._priority_mask
            self._changed()

        return Register(what, load, store)

    def _load_icsr(self) -> int:
        most, external = self.most_urgent(), any(n >= FIRST for n in self.pending)
        to_base = len(self.active) <= 1
        return (self.current | to_base << 11 | most << 12 | external << 22 | (SYS_TICK in self.pending) << 26 | (PEND_SV in self.pending) << 28
                | (NMI in self.pending) << 31)

    def _store_icsr(self, value: int, mask: int) -> None:
        value &= mask
        for number, sets, clears in ((NMI, 31, None), (PEND_SV, 28, 27), (SYS_TICK, 26, 25)):
            if value >> sets & 1:
                self.pending.add(number)
            elif clears is not None and value >> clears & 1:
                self.pending.discard(number)
        self._changed()

    def _load_shcsr(self) -> int:
        active = sum(1 << bit for number, bit in _ACTIVE_BITS.items() if number in self.active)
        return self.fault_enables | active | sum(1 << bit for number, bit in _PENDED_BITS.items() if number in self.pending)

    def _store_shcsr(self, value: int, mask: int) -> None:
        if self.armv6:
            return
        mask &= 7 << 16
        self.fault_enables = self.fault_enables & ~mask | value & mask

    def _trigger(self, value: int, mask: int) -> None:
        number = FIRST + (value & mask & 0x1FF)
        if number < FIRST + self.lines:
            self.pending.add(number)
            self._changed()
