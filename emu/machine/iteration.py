"""The way that one iteration of a loop took, recorded while a machine runs: where its basic blocks began, and what the probe counted meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import unicorn

from emu.isa.instruction import Instruction
from emu.probe import Counts

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from emu.machine.system import System

_LR = 1 << 14
_MOST_WAYS = 1 << 14  # that are told apart
ENOUGH = 20_000  # iterations whose ways are compared
_Streams = Counter[tuple[int, int, bool, bool, bytes]]  # as they are priced
_Sites = Counter[tuple[int, int, int]]


class RecordedError(Exception):
    """All is recorded: the run need not go on."""


class Ways:
    """The ways that the first iterations of a loop take, told apart by the basic blocks that they come to. found: by something like a name."""

    def __init__(self, head: int, addresses: Collection[int], in_function: Callable[[int], bool]) -> None:
        """As for Iteration."""
        self.found: dict[int, Way] = {}
        self._head, self._addresses, self._in_function = head, frozenset(addresses), in_function
        self._number = self._way = self._begun = 0
        self._inside = False

    def attach(self, machine: Machine | System) -> None:
        """Before it runs."""
        self._machine, self._probe = machine, machine.probe
        machine.engine.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        machine.engine.hook_add(unicorn.UC_HOOK_CODE, self._on_head, begin=self._head, end=self._head)

    def finish(self) -> None:
        """The run has ended."""
        if self._number and self._inside:
            self._close()

    def _on_head(self, *_: object) -> None:
        if self._inside:
            self._close()
        if self._number == ENOUGH:
            _stop(self._machine)
            return
        self._number, self._way, self._inside, self._begun = self._number + 1, 0, True, self._probe.instructions_now()

    def _on_block(self, _engine: unicorn.Uc, address: int, *_: object) -> None:
        if not self._inside or address == self._head:
            return
        if address not in self._addresses and self._in_function(address):
            self._close()
        else:
            self._way = hash((self._way, address))

    def _close(self) -> None:
        self._inside = False
        if len(self.found) >= _MOST_WAYS and self._way not in self.found:
            return
        way = self.found.setdefault(self._way, Way())
        way.times += 1
        way.instructions += self._probe.instructions_now() - self._begun
        if not way.times & way.times - 1:
            way.number = self._number


@dataclass
class Way:
    """times: that it was taken; instructions: of all of them; number: of one of these iterations, in the later half."""

    times: int = 0
    instructions: int = 0
    number: int = 0


class Iteration:
    """The iteration of that number, from 1, of the loop that begins at `head` and has those addresses.

    arrivals: times that execution came to the head. blocks: basic blocks, the first from the head on. end: (number of a block, address):
    where execution comes to that address in that block, the iteration is over; what is behind belongs to its last stream. streams, sites: what was
    counted meanwhile, (pc, kind, bucket) each of sites. events: of streams that a branch ended, by (start, end), in order; those of fetch may lack.
    """

    def __init__(self, head: int, number: int, addresses: Collection[int], in_function: Callable[[int], bool]) -> None:
        """in_function: whether an address is of the function around the loop: execution that goes on elsewhere in it has left the loop."""
        self.arrivals = 0
        self.blocks: list[range] = []
        self.end: tuple[int, int] | None = None
        self.streams: _Streams = Counter()
        self.sites: _Sites = Counter()
        self.events: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        self.done = False
        self._head, self._number, self._addresses, self._in_function = head, number, frozenset(addresses), in_function
        self._last = range(0)
        self._by_branch = self._closing = False  # how the last block was come to; whether that block closes the iteration's last stream
        self._instructions_then = -1

    def attach(self, machine: Machine | System) -> None:
        """Before it runs."""
        self._machine = machine
        machine.engine.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        machine.engine.hook_add(unicorn.UC_HOOK_CODE, self._on_head, begin=self._head, end=self._head)

    def finish(self) -> None:
        """The run has ended."""
        if self.blocks and not self.done:
            self._stop()

    def _on_head(self, *_: object) -> None:
        """Behind the probe's hook, which has closed the stream whose branch led here."""
        self.arrivals += 1
        if self.arrivals == self._number:
            self._streams_then, self._sites_then = _counted(self._machine.counts())
            self.blocks.append(range(self._head, self._last.stop))
        elif self.blocks and not self.end:
            self.end = len(self.blocks) - 1, self._head
            if self.blocks[-1].start == self._head and self._by_branch:
                self._stop()

    def _on_block(self, _engine: unicorn.Uc, address: int, size: int, _data: object) -> None:
        """Ahead of the probe's hook."""
        self._last = range(address, address + size)
        if not self.blocks or self.done:
            return
        now = self._machine.probe.instructions_now()
        interrupted = now == self._instructions_then
        self._instructions_then = now
        if interrupted:  # the block before was not executed: the host stopped the core there
            self.blocks.pop()
            self.end = None if self.end and self.end[0] >= len(self.blocks) else self.end
        elif self._closing:
            self._stop()
            return
        branch = _left_by(self._machine.instructions, self.blocks[-1], address)
        if not self.end and not interrupted and self._leaves(branch, address):
            self.end = len(self.blocks), address
        self._by_branch = branch is not None
        if self._by_branch and (stream := self._machine.probe.open_stream()):
            self.events[stream[:2]].append(stream[3])
        self._closing = self._by_branch and self.end is not None
        self.blocks.append(self._last)

    def _leaves(self, branch: Instruction | None, address: int) -> bool:
        if self._in_function(address):
            return address not in self._addresses and (branch is None or self._in_function(branch.address))
        return branch is not None and self._in_function(branch.address) and not branch.writes & _LR

    def _stop(self) -> None:
        streams, sites = _counted(self._machine.counts())
        self.streams, self.sites, self.done = streams - self._streams_then, sites - self._sites_then, True
        _stop(self._machine)


def _stop(machine: Machine | System) -> None:
    machine.probe.pending_error = RecordedError()
    machine.engine.emu_stop()


def _left_by(instructions: Mapping[int, Instruction], block: range, to: int) -> Instruction | None:
    """The branch by which execution left the block for `to`; None where it ran on into it."""
    at, last = block.start, None
    while at < block.stop and (last := instructions.get(at)):
        at += last.size
    return last if at != to else None


def _counted(counts: Counts) -> tuple[_Streams, _Sites]:
    streams: _Streams = Counter()
    for s in counts.streams:
        streams[s.start, s.end, s.taken, s.entered, s.events] += s.count
    sites: _Sites = Counter()
    for site in counts.sites:
        sites[site.pc, site.kind, site.bucket] += site.count
    return streams, sites
