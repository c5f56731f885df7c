"""Draws a listing's functions as lines of text: instructions with their figures, loops outlined, lines of source between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath

from rich.console import Console

from emu.experiment.listing import FunctionListing, Loop, Row
from emu.profile import Traffic
from emu.report.sources import Sources

_HOT, _WARM = 0.05, 0.01  # shares of a function's cycles, from which a row is coloured
_STYLES = {"bold": "1", "dim": "2", "hot": "1;31", "warm": "33", "why": "35", "data": "36", "source": "32", "loop": "34"}
_WIDTH, _REGISTER = re.compile(r"\.[wn](?=\s)"), re.compile(r"\b(sb|sl|fp|ip)\b")
_REGISTERS = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_WIDEST = 34  # characters of an instruction that others are aligned to
_WIDEST_WHY = 44
_MOST_REASONS = 5  # of a function, in its first line


@dataclass(frozen=True)
class View:
    """What is shown. top: functions; all_rows: instructions that did not run, too; sources: None leaves lines of source out."""

    top: int = 20
    all_rows: bool = False
    sources: Sources | None = None


class Paint:
    """ANSI colours, where they are wanted."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    @classmethod
    def of_terminal(cls) -> Paint:
        """Where standard output is a terminal that wants them (NO_COLOR, TERM)."""
        console = Console()
        return cls(console.color_system is not None and not console.no_color)

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colours and style and text.strip() else text


def lines(function: FunctionListing, view: View, paint: Paint) -> Iterator[str]:
    """Of one function: what it cost, the columns' heads, its rows."""
    where = f" in {', '.join(function.layers)}" if function.layers else ""
    dearest = [f"{reason} {cycles:,}" for reason, cycles in function.reasons.items()]
    stalls = ", ".join((*dearest[:_MOST_REASONS], *(["..."] if len(dearest) > _MOST_REASONS else [])))
    calls = f"{function.calls:,} call{'s' * (function.calls != 1)}, " if function.symbol else ""
    above = f", {function.cycles - function.minimum:,} above the minimum ({stalls})" if stalls else ""
    yield paint(f"{function.name}{where}", "bold") + f": {calls}{function.instructions:,} instructions, {function.cycles:,} cycles{above}"
    columns = _Columns(function, view, paint)
    yield paint(columns.head(), "dim")
    for ran, rows in groupby(function.rows, key=lambda row: bool(row.executed or row.cycles) or view.all_rows):
        draw = columns.lines if ran else columns.folded
        yield from draw(list(rows))


class _Columns:
    """Draws rows of one function under each other."""

    def __init__(self, function: FunctionListing, view: View, paint: Paint) -> None:
        self._function, self._sources, self._paint = function, view.sources, paint
        self._cycles = max(len("cycles"), *(len(f"{row.cycles:,}") for row in function.rows))
        self._times = max(len("times"), *(len(f"{row.executed:,}") for row in function.rows))
        self._text = max(len("instruction"), min(_WIDEST, max(len(row.text) for row in function.rows)))
        self._why = min(_WIDEST_WHY, max(len(_why(row)) for row in function.rows))
        self._depth = max((loop.depth + 1 for loop in function.loops), default=0)
        self._begin: dict[int, list[tuple[Loop, int]]] = {}
        for loop in sorted(function.loops, key=lambda loop: loop.depth):
            for number, (first, _) in enumerate(loop.parts):
                self._begin.setdefault(first, []).append((loop, number))
        self._place: tuple[str | None, int | None] = (None, None)

    def head(self) -> str:
        figures = f"{'cycles':>{self._cycles}}  share  {'times':>{self._times}}   each"
        why = f"{'above the minimum, each time':<{self._why}}  " if self._why else ""
        return f"{figures} {' ' * self._depth} {'address':<8}  {'bytes':<9}  {'instruction':<{self._text}}  {why}bytes read +written"

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Of rows that are shown, with their loops and lines of source."""
        for row in rows:
            yield from self._loops(row.address)
            yield from self._source(row)
            yield self._row(row)

    def folded(self, rows: Sequence[Row]) -> Iterator[str]:
        """One line for instructions that did not run."""
        for row in rows:
            yield from self._loops(row.address)
        about = f"... {len(rows)} instruction{'s' * (len(rows) > 1)} that did not run"
        yield f"{self._blank()}{self._margin(rows[-1].address)} {self._paint(about, 'dim')}"

    def _blank(self) -> str:
        return " " * (self._cycles + self._times + 17)

    def _loops(self, address: int) -> Iterator[str]:
        """A line for each loop that begins there, or goes on behind other code."""
        for loop, number in self._begin.get(address, ()):
            each = _number(loop.cycles / loop.iterations if loop.iterations else 0)
            about = (f"loop: {loop.iterations:,} iterations of {each} cycles, {loop.cycles:,} in all, {loop.share:.1%} of the function"
                     if not number else f"the loop at {loop.start:08x} goes on")
            yield f"{self._blank()}{self._margin(address, loop)} {self._paint(about, 'loop')}"

    def _margin(self, address: int, begins: Loop | None = None, above: bool = False) -> str:
        """A column a depth. begins: the line is of that loop's begin; above: it is a line above the row at that address."""
        return self._paint("".join(self._mark(address, depth, begins, above) for depth in range(self._depth)), "loop")

    def _mark(self, address: int, depth: int, begins: Loop | None, above: bool) -> str:
        """Where a loop of that depth begins, is left, is come back to, ends; what lies between its parts is dotted."""
        if begins is not None and depth >= begins.depth:
            return " " if depth > begins.depth else "┌" if address == begins.start else "├"
        around = [loop for loop in self._function.loops if loop.depth == depth and loop.start <= address <= loop.end]
        if not any(first <= address <= last for loop in around for first, last in loop.parts):
            return "┆" if around else " "
        return "└" if not above and any(address == loop.end for loop in around) else "│"

    def _source(self, row: Row) -> Iterator[str]:
        """The line that it comes from, when that is not the one before's."""
        if self._sources is None or row.file is None or self._place == (row.file, row.line):
            return
        self._place = row.file, row.line
        text = self._sources.text(row.file, row.line) or ""
        if _plain(text) == _plain(row.text):  # assembly that says no more than the instruction
            return
        line = f"{PurePath(row.file).name}:{row.line}  {text}"
        yield f"{self._blank()}{self._margin(row.address, above=True)} {self._paint(line, 'source')}"

    def _row(self, row: Row) -> str:
        paint, share = self._paint, row.cycles / self._function.cycles if self._function.cycles else 0
        heat = "hot" if share >= _HOT else "warm" if share >= _WARM else "" if row.executed else "dim"
        cycles, times = (f"{row.cycles:,}", f"{row.executed:,}") if row.executed or row.cycles else ("", "")
        percent = f"{share:.1%}" if share >= 0.0005 else ""
        each = _number(row.cycles / row.executed) if row.executed else ""
        figures = f"{cycles:>{self._cycles}} {percent:>6}  {times:>{self._times}} {each:>6}"
        code = f"{row.address:08x}  {_hex(row.raw):<9}  "
        why, data = _why(row), ", ".join(f"{name} {_moved(traffic)}" for name, traffic in row.tensors.items())
        notes = [*([f"skipped {row.skipped:,} of {row.executed:,}"] if row.skipped else []), *([row.note] if row.note else [])]
        note = paint(f"  {'; '.join(notes)}", "dim") if notes else ""
        return (f"{paint(figures, heat)} {self._margin(row.address)} {paint(code, 'dim')}{paint(f'{row.text:<{self._text}}', heat)}  "
                f"{paint(f'{why:<{self._why}}', 'why')}  {paint(data, 'data')}{note}")


def _plain(text: str) -> str:
    """An instruction without what assemblers leave open: white space, widths, names of registers."""
    return "".join(_REGISTER.sub(lambda name: _REGISTERS[name[0]], _WIDTH.sub("", text.lower())).split())


def _why(row: Row) -> str:
    """Cycles above the minimum of one execution, on average, by reason."""
    return ", ".join(f"{cycles / row.executed:+.2f}".rstrip("0").rstrip(".") + f" {reason}" if row.executed else f"{cycles:+,} {reason}"
                     for reason, cycles in sorted(row.reasons.items(), key=lambda pair: -abs(pair[1])))


def _moved(traffic: Traffic) -> str:
    """Bytes, as the table of traffic has them: read, and +written."""
    return " ".join([*([f"{traffic.bytes_read:,}"] if traffic.reads else []), *([f"+{traffic.bytes_written:,}"] if traffic.writes else [])])


def _hex(raw: bytes) -> str:
    """Halfwords, as the architecture's manual writes them."""
    return " ".join(f"{int.from_bytes(raw[at:at + 2], 'little'):04x}" for at in range(0, len(raw), 2))


def _number(value: float) -> str:
    """Without decimals where it has none; large ones with one."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.{1 if value >= 100 else 2}f}"
