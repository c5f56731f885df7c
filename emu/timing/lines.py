"""Lines of code that come late out of a memory with wait states, as a follower of fetch found them for one stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.probe.follow import FETCHED, LINE_HIT, LINE_MISS, MOST_FOLLOWERS, ON_ITS_WAY


class Lines:
    """When each word of one stream can leave memory. Cycles are the stream's own, 0 when its first instruction could issue.

    A line that missed is there `wait` cycles later than asked for. One that was on its way is there `wait` + 1 cycles after the
    first word of the line before it was (RM0090, 3.5.2: the next line is read while the current one is being requested), or after
    the ticks that the follower counted. Reads of lines do not overlap.
    """

    def __init__(self, start: int, line: int, events: bytes, wait: int) -> None:
        self._line, self._first, self._events, self._wait = line, start // line, events, wait
        self._there: list[int] = []  # cycle in which a line's first word was there, by line from the stream's first

    def arrival(self, address: int, wanted: int) -> int:
        """Cycle in which the word at `address` is there, when it would be at `wanted` without wait states. Ask in order of addresses."""
        number = address // self._line - self._first
        while len(self._there) <= number:
            self._there.append(self._read(len(self._there), wanted))
        return max(wanted, self._there[number])

    def late(self, ends: Sequence[int], cycles: Sequence[int]) -> list[int]:
        """Cycles by which instructions that end at those addresses, and take those cycles, are late on a core that asks for a line when it
        needs it."""
        now, waits = 0, []
        for end, cost in zip(ends, cycles, strict=True):
            waits.append(self.arrival(end - 1 & ~3, now) - now)
            now += waits[-1] + cost
        return waits

    def _read(self, number: int, wanted: int) -> int:
        # behind the stream's end fetch runs on: its speculation is not followed, and costs nothing
        event = self._events[number] if number < len(self._events) else LINE_HIT
        if event == LINE_MISS:
            return wanted + self._wait
        if event >= ON_ITS_WAY:
            since = self._there[-1] if self._there else 0
            return max(wanted, since - (event - ON_ITS_WAY) + self._wait + 1)
        return wanted


def found(events: bytes, waits: Mapping[int, tuple[int, int]]) -> tuple[bytes, int, int] | None:
    """What a follower of `waits` (number -> bytes of a line, wait) says of a stream: events by line, bytes of a line, wait.

    None where all was there.
    """
    for at, event in enumerate(events):
        if event & ~(MOST_FOLLOWERS - 1) == FETCHED and event - FETCHED in waits:
            end = next((n for n in range(at + 1, len(events)) if events[n] >= FETCHED), len(events))
            return (events[at + 1:end], *waits[event - FETCHED])
    return None
