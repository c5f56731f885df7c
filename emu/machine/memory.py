"""The memories of a machine: host arrays that the engine maps, and the host's own reads and writes of them, checked."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import unicorn

from emu.machine.board import Region

UNINITIALIZED, ERASED = 0xA5, 0xFF  # what RAM holds at reset (a board's is anything), and flash
PAGE = 0x1000  # what Unicorn maps in


class OutsideError(Exception):
    """Bytes that do not all lie in the machine's memories."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(f"{size} bytes at 0x{address:08x} do not lie in memory")
        self.address, self.size = address, size


class Memory:
    """Memories by address; what is written here is what the program reads.
    Memories that touch are one array, so that an access may cross from one to the next.
    """

    def __init__(self, engine: unicorn.Uc, regions: Sequence[Region]) -> None:
        self.regions = tuple(sorted(regions, key=lambda r: r.start))
        self._arrays: dict[int, np.ndarray] = {}  # first address of the mapped pages -> bytes
        for group in _pages(self.regions):
            start, end = group[0].start // PAGE * PAGE, -(-group[-1].end // PAGE) * PAGE
            array = np.full(end - start, UNINITIALIZED, np.uint8)
            for region in group:
                if region.read_only:
                    array[region.start - start:region.end - start] = ERASED
            self._arrays[start] = array
            engine.mem_map_ptr(start, end - start, unicorn.UC_PROT_ALL, ctypes.c_void_p(array.ctypes.data))

    def holds(self, address: int, size: int = 1) -> bool:
        """All of the bytes lie in memory."""
        end = address + size
        for region in self.regions:
            if region.start <= address < region.end:
                address = region.end
        return size >= 0 and address >= end

    def read(self, address: int, size: int) -> bytes:
        """Bytes from one group of memories that touch. Raises OutsideError."""
        array, offset = self._place(address, size)
        return array[offset:offset + size].tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into memory, flash too. Raises OutsideError."""
        array, offset = self._place(address, len(data))
        array[offset:offset + len(data)] = np.frombuffer(data, np.uint8)

    def fill(self, address: int, size: int, value: int) -> None:
        """The same byte everywhere. Raises OutsideError."""
        array, offset = self._place(address, size)
        array[offset:offset + size] = value

    def word(self, address: int) -> int:
        """A little-endian word. Raises OutsideError."""
        return int.from_bytes(self.read(address, 4), "little")

    def words(self, address: int, count: int) -> list[int]:
        """Little-endian words. Raises OutsideError."""
        raw = self.read(address, 4 * count)
        return [int.from_bytes(raw[at:at + 4], "little") for at in range(0, 4 * count, 4)]

    def text(self, address: int, most: int) -> bytes | None:
        """Bytes up to a NUL; None when there is none within `most`. Raises OutsideError."""
        found = bytearray()
        while len(found) < most:
            size = min(256, most - len(found))
            while size > 1 and not self.holds(address + len(found), size):
                size //= 2
            piece = self.read(address + len(found), size)
            if (end := piece.find(0)) >= 0:
                return bytes(found + piece[:end])
            found += piece
        return None

    def _place(self, address: int, size: int) -> tuple[np.ndarray, int]:
        if size >= 0 and self.holds(address, size):
            for start, array in self._arrays.items():
                if start <= address and address + size <= start + len(array):
                    return array, address - start
        raise OutsideError(address, size)


def _pages(regions: Sequence[Region]) -> list[list[Region]]:
    """Regions in groups that touch, or share a page."""
    groups: list[list[Region]] = []
    for region in regions:
        if groups and region.start <= -(-groups[-1][-1].end // PAGE) * PAGE:
            groups[-1].append(region)
        else:
            groups.append([region])
    return groups
