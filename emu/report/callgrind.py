"""A run in Callgrind's format, for KCachegrind and callgrind_annotate: costs by instruction and line of source, calls with what they cost.

https://valgrind.org/docs/manual/cl-format.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from emu.functions.costs import Cost
from emu.functions.tree import Call
from emu.report import sources
from emu.report.functions import FOLDED

if TYPE_CHECKING:
    from emu.report.run import LookedInto

# Event -> the figure and what KCachegrind calls it; the first is what is shown.
EVENTS = {
    "Cycles": ("cycles", "cycles, {modelled}"),
    "Instructions": ("instructions", "instructions issued"),
    "BytesRead": ("bytes_read", "bytes read"),
    "BytesWritten": ("bytes_written", "bytes written"),
}
SPLIT = "calls of one function from several places of another share its inclusive cost by their counts; recursive calls have none"
_UNKNOWN = "???", 0


def render(run: LookedInto, _target: str = "-") -> str:
    """Callgrind's text. All costs of functions' own add up to its totals."""
    return "\n".join((*_head(run), *_Body(run).lines(), f"totals: {_costs(run.tree.totals)}")) + "\n"


def _head(run: LookedInto) -> Iterator[str]:
    yield from ("# callgrind format", "version: 1", "creator: thumbcycle", f"cmd: {_printable(run.title)}")
    yield from (f"desc: Modelled: {run.modelled}", f"desc: Calls: {SPLIT}")
    if not run.tree.complete:
        yield f"desc: Note: {FOLDED}"
    yield "positions: instr line"
    for event, (_, what) in EVENTS.items():
        yield f"event: {event} : {what.format(modelled=run.modelled)}"
    yield f"events: {' '.join(EVENTS)}"
    yield f"summary: {_costs(run.tree.totals)}"


def _costs(cost: Cost) -> str:
    return " ".join(str(getattr(cost, figure)) for figure, _ in EVENTS.values())


class _Body:
    """The functions' parts. A name is written out once, with a number, and is that number from then on."""

    def __init__(self, run: LookedInto) -> None:
        self._run, self._tree = run, run.tree
        self._known: dict[tuple[str, str | int], int] = {}
        tree = run.tree
        used = {*(function for function, _ in tree.places), *(call.callee for call in tree.calls), *(call.caller for call in tree.calls)}
        addresses = [*(address for _, address in tree.places), *(call.pc for call in tree.calls), *(tree.addresses[f] for f in used)]
        files: dict[str, str] = {}
        lines = run.ran.image.source_lines(addresses)
        self._places = {address: _place(line, files) for address, line in zip(addresses, lines, strict=True)}

    def lines(self) -> Iterator[str]:
        yield f"ob={self._number('ob', str(self._run.ran.image.path))}"
        own = {function: list(same) for function, same in groupby(sorted(self._tree.places), lambda place: place[0])}
        calls = {function: list(same) for function, same in groupby(self._tree.calls, lambda call: call.caller)}
        for function in sorted({*own, *calls}):
            yield from self._function(function, [address for _, address in own.get(function, ())], calls.get(function, ()))

    def _function(self, function: int, addresses: Sequence[int], calls: Iterable[Call]) -> Iterator[str]:
        """What is inlined from other files stands under their names."""
        home = self._file_of(function)
        yield f"\nfl={self._number('fl', home)}"
        yield f"fn={self._number('fn', function)}"
        at: dict[int, list[Call]] = {}
        for call in calls:
            at.setdefault(call.pc, []).append(call)
        here = home
        for address in sorted({*addresses, *at}):
            file, line = self._places[address]
            if file != here:
                yield f"{'fe' if file == home else 'fi'}={self._number('fl', file)}"
                here = file
            if own := self._tree.places.get((function, address)):
                yield f"0x{address:x} {line} {_costs(own)}"
            for call in at.get(address, ()):
                yield from self._call(call, line)

    def _call(self, call: Call, line: int) -> Iterator[str]:
        target = self._tree.addresses[call.callee]
        yield f"cfi={self._number('fl', self._file_of(call.callee))}"
        yield f"cfn={self._number('fn', call.callee)}"
        yield f"calls={call.count} 0x{target:x} {self._places[target][1]}"
        yield f"0x{call.pc:x} {line} {_costs(call.inclusive)}"

    def _file_of(self, function: int) -> str:
        return self._places.get(self._tree.addresses[function], _UNKNOWN)[0]

    def _number(self, kind: str, what: str | int) -> str:
        """Of an object, a file or a function; the first time with its name."""
        if number := self._known.get((kind, what)):
            return f"({number})"
        self._known[kind, what] = number = len(self._known) + 1
        return f"({number}) {_printable(self._tree.names[what] if isinstance(what, int) else what)}"


def _printable(name: str) -> str:
    """In one line: debug information and symbols can hold anything."""
    return "".join(character if character.isprintable() else "?" for character in name)


def _place(line: str | None, files: dict[str, str]) -> tuple[str, int]:
    """(whole path, line) of "file:line". files: paths that were looked up."""
    if line is None:
        return _UNKNOWN
    file, _, number = line.rpartition(":")
    if file not in files:
        files[file] = sources.absolute(file)
    return files[file], int(number)
