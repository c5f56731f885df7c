"""Peripherals: words that are computed when they are read and act when they are written.

The probe calls `Bus.access` before a load from a device and after a store to one; values pass through host memory that the
engine maps, so nothing here needs Unicorn's own MMIO, whose hooks spoil predication.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import unicorn

from emu.machine.memory import PAGE

WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Register:
    """One word. load() gives its value; store(value, mask) takes bytes, `mask` telling which of the word's 32 bits were written.

    Without `store` writes are ignored, as of a read-only register.
    """

    name: str
    load: Callable[[], int]
    store: Callable[[int, int], None] | None = None


def constant(name: str, value: int) -> Register:
    """A register that always reads the same."""
    return Register(name, lambda: value)


class Kept:
    """A word that reads what was written: only bits of `writable` can be."""

    def __init__(self, value: int = 0, writable: int = WORD) -> None:
        self.value, self.writable = value, writable

    def store(self, value: int, mask: int) -> None:
        mask &= self.writable
        self.value = self.value & ~mask | value & mask

    def register(self, name: str) -> Register:
        """As a register of that name."""
        return Register(name, lambda: self.value, self.store)


@dataclass
class Page:
    """Host memory of one page of registers; `words` is what the engine sees. Addresses without a register are refused."""

    start: int
    words: np.ndarray = field(default_factory=lambda: np.zeros(PAGE // 4, np.uint32))

    def map(self, engine: unicorn.Uc) -> None:
        """Let the engine see it."""
        engine.mem_map_ptr(self.start, PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE, self.words.ctypes.data_as(ctypes.c_void_p))


class Bus:
    """All registers by address."""

    def __init__(self, registers: Iterable[tuple[int, Register]] = ()) -> None:
        self._registers: dict[int, Register] = {}
        self.pages: dict[int, Page] = {}
        for address, register in registers:
            self.add(address, register)

    def add(self, address: int, register: Register) -> None:
        """The register at that address, a multiple of 4; a later one takes an earlier one's place."""
        self._registers[address] = register
        start = address // PAGE * PAGE
        self.pages.setdefault(start, Page(start))

    def register_at(self, address: int) -> Register | None:
        """The register whose word holds the address."""
        return self._registers.get(address & ~3)

    def addresses(self, page: int) -> list[int]:
        """Addresses of the registers in the page that begins at `page`."""
        return [address for address in self._registers if page <= address < page + PAGE]

    def access(self, address: int, size: int, store: bool) -> None:
        """Before a load: put the value into the page. After a store: act on what is there."""
        place = address & ~3
        register = self._registers.get(place)
        if register is None:  # an access that crosses into a word without a register
            return
        words, index = self.pages[place // PAGE * PAGE].words, place % PAGE // 4
        if not store:
            words[index] = register.load() & WORD
        elif register.store is not None:
            shift = 8 * (address & 3)
            mask = (1 << 8 * size) - 1 << shift & WORD
            register.store(int(words[index]) & mask, mask)
