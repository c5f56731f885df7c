"""A board's peripherals, as far as there are any: UARTs that print, registers that keep what is written, and nothing that reads 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emu.machine.board import Block, Board, Uart
from emu.machine.bus import Bus, Kept, Register, constant

MOST_IGNORED = 256  # pages


class Peripherals:
    """Puts the registers of a board on the bus. put(byte) prints."""

    def __init__(self, board: Board, uarts: Iterable[Uart], put: Callable[[int], None], bus: Bus) -> None:
        self._board, self._put, self._bus = board, put, bus
        for block in board.blocks:
            if block.kept:
                self._keep(block)
        for uart in (*board.uarts, *uarts):
            self._uart(uart)

    def _keep(self, block: Block) -> None:
        for offset, name in block.registers.items():
            kept = Kept(block.reset.get(offset, 0))
            self._bus.add(block.base + offset, Register(f"{block.name}_{name}", _following(kept, block.follows.get(offset, ())), kept.store))

    def _uart(self, uart: Uart) -> None:
        name = self._board.register(uart.data) or f"{uart.name} data"
        lowest = 8 * (uart.data & 3)
        self._bus.add(uart.data & ~3, Register(name, lambda: 0, lambda value, mask: self._put(value >> lowest) if mask >> lowest & 1 else None))
        if uart.status is not None:
            self._bus.add(uart.status & ~3, constant(self._board.register(uart.status) or f"{uart.name} status", uart.ready))

    def ignore(self, address: int, size: int) -> None:
        """The words of an access read 0 from now on, and writes go nowhere."""
        for word in _words(address, size):
            if self._bus.register_at(word) is None:
                self._bus.add(word, constant(self._board.register(word), 0))

    def has(self, address: int, size: int) -> bool:
        """All words of an access are registers."""
        return all(self._bus.register_at(word) is not None for word in _words(address, size))

    @property
    def full(self) -> bool:
        """No more pages can be ignored."""
        return len(self._bus.pages) >= MOST_IGNORED


def _words(address: int, size: int) -> set[int]:
    return {address & ~3, address + size - 1 & ~3}


def _following(kept: Kept, pairs: Iterable[tuple[int, int]]) -> Callable[[], int]:
    """What the register reads: each status bit as the bit that asks for it was written."""
    pairs = tuple(pairs)

    def load() -> int:
        value = kept.value
        for asked, status in pairs:
            value = value & ~(1 << status) | (value >> asked & 1) << status
        return value

    return load
