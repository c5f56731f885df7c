"""Instruction fetch of an in-order core: a buffer of words that requests fill, one word a cycle, emptied by a taken branch."""

from __future__ import annotations

from collections.abc import Iterator

from emu.timing.core import Core
from emu.timing.lines import Lines


class Fetch:
    """The prefetch buffer of one stream. Cycle 0 is when the first instruction can issue; word k is the k-th from the first instruction's.

    A word is requested in the cycle after the one before it, as soon as the buffer has room; an instruction can issue `latency` cycles
    after its last word's request, or when its line is there; the next request waits for a late line. Behind a taken branch (`entered`)
    the target's word is there at cycle 0 and the next ones follow, one a cycle; a stream that no branch began finds the buffer full.
    """

    def __init__(self, core: Core, first: int, *, entered: bool = True, lines: Lines | None = None) -> None:
        self._words, self._latency, self._lines = core.fetch_words, core.fetch_latency, lines
        self._base, self._entered = first >> 2, entered
        self._arrived: list[int] = []  # cycle in which an instruction that ends in the word can issue
        self._room: list[int] = []  # cycle from which a request may take the word's place
        self._lost: set[int] = set()

    def ready(self, word: int) -> int:
        """Cycle in which an instruction that ends in that word (its address / 4) can issue."""
        word -= self._base
        arrived = self._arrived
        while len(arrived) <= word:
            there = self._request(len(arrived)) + self._latency
            arrived.append(self._lines.arrival(self._base + len(arrived) << 2, there) if self._lines else there)
        return arrived[word]

    def _request(self, number: int) -> int:
        """Cycle in which that word is requested, behind all before it."""
        if number == 0 or (number < self._words and not self._entered):
            return -self._latency
        cycle = self._arrived[-1] - self._latency + 1  # behind the one before, which a late line holds up
        if number >= self._words:
            room = self._room[number - self._words]
            cycle = room if room > cycle else cycle  # noqa: FURB136 - several times faster than max()
            while cycle in self._lost:
                cycle += 1
        return cycle

    def leave(self, word: int, room: int) -> None:
        """All before that word left the buffer; what had not before makes room for requests from cycle `room` on."""
        while len(self._room) < word - self._base:
            self._room.append(room)

    def lose(self, cycle: int, count: int) -> None:
        """No request in `count` cycles from that one on, but for the words that a branch asks for: something else has the bus."""
        self._lost.update(range(cycle, cycle + count))


class ExplainedFetch(Fetch):
    """Beside it, the same buffer if no line came late, and if no request were lost either: what would have been ready when."""

    def __init__(self, core: Core, first: int, *, entered: bool = True, lines: Lines | None = None) -> None:
        super().__init__(core, first, entered=entered, lines=lines)
        self._punctual, self._undisturbed = (Fetch(core, first, entered=entered) for _ in range(2))
        self._others = (0, 0)

    def ready(self, word: int) -> int:
        self._others = self._punctual.ready(word), self._undisturbed.ready(word)
        return super().ready(word)

    def leave(self, word: int, room: int) -> None:
        for fetch in (self._punctual, self._undisturbed):
            fetch.leave(word, room)
        super().leave(word, room)

    def lose(self, cycle: int, count: int) -> None:
        self._punctual.lose(cycle, count)
        super().lose(cycle, count)

    def causes(self, start: int, at: int) -> Iterator[tuple[str, int]]:
        """Why the instruction asked for last issued at `at` and not at `start`: (reason, cycles)."""
        punctual, undisturbed = (min(max(start, ready), at) for ready in self._others)
        yield "code wait state", at - punctual
        yield "lost fetch", punctual - min(punctual, undisturbed)
        yield "fetch", min(punctual, undisturbed) - start
