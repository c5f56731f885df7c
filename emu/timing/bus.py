"""The bus between a core and its data memories, access after access of one stream: when an address is taken, and what waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Wait(NamedTuple):
    """Cycles beyond the core's own: of an instruction's first access, where the bus is not with its memory, and of each further one."""

    first: int = 0
    next: int = 0

    def cycles(self, accesses: int) -> int:
        return self.first + self.next * (accesses - 1)


class Behaviour(NamedTuple):
    """What an access to a memory costs. displaces: requests for code that every word loaded displaces, since both leave by one port.

    holds: the bus stays with the memory that many cycles after it took the address of a store of one value, which itself does not wait
    (0: an STR leaves the bus alone, other stores wait). switch: cycles that a load waits when the bus was with another
    memory at most `within` cycles before.
    """

    load: Wait = Wait()
    store: Wait = Wait()
    displaces: int = 0
    holds: int = 0
    switch: int = 0
    within: int = 0

    @property
    def waits(self) -> bool:
        """Whether any access can wait."""
        return any(self.load) or any(self.store) or bool(self.switch)


IDEAL = Behaviour()


class Access(NamedTuple):
    """What an instruction asks of the bus.

    single: a store of one of the core's registers. buffered: by STR, so into the write buffer. indexed: at a sum of registers.
    """

    accesses: int
    stores: bool
    single: bool
    buffered: bool
    indexed: bool


class Bus:
    """The bus of one stream. A memory that makes an access wait does so once while the accesses follow each other without a gap."""

    def __init__(self, behaviours: Mapping[int, Behaviour]) -> None:
        """behaviours: of the memories that can make an access wait."""
        self._behaviours = behaviours
        self._memory = -1  # where the bus is; -1: nobody knows
        self._until = 0  # last cycle in which an address for it finds the bus there
        self._free = 0  # cycle from which the next address is taken

    def access(self, memory: int, at: int, access: Access, saved: int) -> tuple[int, int]:
        """(cycle in which its address is taken, cycles that the core waits) of an instruction that asks for a memory in cycle `at`.

        saved: cycles of the wait that pass while it is held up otherwise.
        """
        behaviour = self._behaviours.get(memory)
        if behaviour is None or access.buffered and not behaviour.holds:
            return at, 0
        wait = behaviour.store if access.stores else behaviour.load
        at, first = max(at, self._free), wait.first
        if memory == self._memory:
            if at <= self._until:
                first = 0
        elif not access.stores and self._memory >= 0 and at <= self._until + behaviour.within:
            first = max(first, behaviour.switch)
        waited = max(0, first + wait.next * (access.accesses - 1) - saved)
        self._memory, self._free = memory, at + access.accesses + waited
        if access.single and behaviour.holds:
            self._until = at + (1 if access.indexed else behaviour.holds)
            return at, 0
        self._until = self._free
        return at, waited
