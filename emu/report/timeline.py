"""What issues in which cycle: a picture in characters, JSON and CSV. (`timeline_plot` draws it.)"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath

from rich.text import Text

from emu.experiment.timeline import Row, Timeline
from emu.report import csv_form
from emu.report.table import built, printed
from emu.timing.explain import sentence

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
ISSUES, ALONE, HELD = "●", "○", "━"  # marks of an issue, of one whose cycle is lost, of a cycle that the instruction takes itself
# Reason (of those that name a unit, what stands before the colon) -> letter and colour, the same in a terminal and in pictures.
LOOKS = {
    "unpaired load": ("u", "#4c72b0"), "load-use": ("l", "#64b5cd"), "address dependency": ("a", "#8172b3"), "operand": ("o", "#da8bc3"),
    "load behind store": ("s", "#55a868"), "memory change": ("m", "#2f7d5c"), "not paired": ("p", "#117a8b"), "unit busy": ("b", "#937860"),
    "wait state": ("w", "#ccb974"), "write buffer": ("q", "#b59a3c"), "fetch": ("f", "#dd8452"), "lost fetch": ("x", "#e8a87c"),
    "code wait state": ("c", "#a8442a"), "branch refill": ("r", "#c44e52"), "unfolded IT": ("i", "#5f6b8a"), "skipped": ("k", "#bbbbbb"),
    "loop average": ("v", "#444444"),
}
COLUMNS = ("address", "instruction", "function", "line", "skipped", "begin", "issue", "cycles", "minimum", "reasons")
_WIDTH = 160  # where standard output is no terminal
_WIDEST_TEXT, _WIDEST_LINE, _WIDEST_WHY = 30, 22, 30
_FEWEST = 20  # cycles of a section


@dataclass(frozen=True)
class Shown:
    """A timeline as forms draw it. rows: the most that a terminal shows."""

    found: Timeline
    rows: int = 400

    def terminal(self) -> str:
        """What is shown, the picture, the legend, the sums."""
        return printed(self.parts())

    def parts(self) -> list[Text | str]:
        found = self.found
        return [*_head(found), *_picture(found, found.rows[:self.rows], shutil.get_terminal_size((_WIDTH, 0)).columns), *self._cut(), *_legend(found), *_sums(found),
                *built(found.about)]

    def document(self) -> dict[str, object]:
        """docs/experiments.md has the keys."""
        found = self.found
        facts = {key: getattr(found, key) for key in ("target", "core", "memory", "function", "what", "number", "times", "cycles", "minimum", "reasons",
                                                      "function_cycles")}
        rows = [{**asdict(row), "reasons": dict(row.reasons)} for row in found.rows]
        return {"schema": SCHEMA, **found.about, **facts, "loop": asdict(found.loop) if found.loop else None,
                "legend": {reason: sentence(reason) for reason in found.reasons},
                "sites": [{"reason": reason, "address": address, "cycles": cycles} for reason, address, cycles in found.sites], "rows": rows}

    def csv(self) -> str:
        """A row an instruction."""
        return csv_form.text(COLUMNS, ((f"0x{row.address:08x}", row.text, row.function, row.line or "", int(row.skipped), row.begin, row.issue, row.cycles,
                                        row.minimum, why(row)) for row in self.found.rows))

    def _cut(self) -> list[str]:
        more = len(self.found.rows) - self.rows
        return [f"... {more:,} more instructions (--rows, --json)"] if more > 0 else []


def title(found: Timeline) -> str:
    """What is shown, on what."""
    return f"{found.function} on a modelled {found.core} with {found.memory} memory ({found.target})"


def why(row: Row) -> str:
    """Reasons and their cycles."""
    return ", ".join(f"{reason} {cycles}" for reason, cycles in row.reasons)


def look(reason: str) -> tuple[str, str]:
    """Letter and colour."""
    return LOOKS[reason.partition(":")[0]]


def place(row: Row) -> str:
    """FILE:LINE without folders."""
    return PurePath(row.line).name if row.line else ""


def summary(found: Timeline) -> str:
    """The loop, and what of it is shown."""
    loop = found.loop
    if loop is None:
        return found.what
    nested, entered = f", {loop.depth} deep" if loop.depth else "", "" if loop.entries else " (and parts, where it was entered behind its head)"
    return (f"loop 0x{loop.head:08x} to 0x{loop.end:08x}{nested}: {loop.iterations:,} iterations{entered}, {loop.cycles:,} cycles, {loop.share:.1%} of the "
            f"function; shown: {found.what}")


def marks(row: Row) -> Iterator[tuple[int, str, str]]:
    """(cycle, ISSUES, ALONE, HELD or "", the reason for which it is lost or "") of the row's own cycles. Those that it waited for itself stand ahead of
    its issue."""
    waits = [reason for reason, cycles in row.reasons for _ in range(cycles)]
    late = row.issue - row.begin
    yield from ((row.begin + number, "", reason) for number, reason in enumerate(waits[:late]))
    lost = not row.minimum and row.cycles > late
    yield row.issue, ALONE if lost else ISSUES, waits[late] if lost else ""
    own = max(0, row.minimum - 1)
    yield from ((row.issue + number, HELD, "") for number in range(1, own + 1))
    yield from ((row.issue + own + number, "", reason) for number, reason in enumerate(waits[late + lost:], 1))


def _head(found: Timeline) -> list[Text | str]:
    return [Text(title(found), "bold"), summary(found), ""]


def _picture(found: Timeline, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Sections of as many cycles as fit, each with the rows that have something in it."""
    if not rows:
        return
    text, line, reasons = (min(most, max(len(item(row)) for row in rows)) for item, most in (
        (lambda row: row.text, _WIDEST_TEXT), (place, _WIDEST_LINE), (why, _WIDEST_WHY)))
    across = max(_FEWEST, (width - 8 - text - line - reasons - 6) // 10 * 10)
    end = max(row.begin + max(row.cycles, row.issue - row.begin + 1) for row in rows)
    function = found.function
    for first in range(0, end, across):
        last = min(first + across, end)
        yield Text(f"{'':{8 + text + line + 4}}{_ruler(first, last)}", "dim")
        for row in rows:
            cells = [cell for cell in marks(row) if first <= cell[0] < last]
            if not cells:
                continue
            if row.function != function:
                function = row.function
                yield Text(f"{function}:", "italic")
            yield _line(row, cells, (text, line), (first, last))
        yield Text()


def _ruler(first: int, last: int) -> str:
    """Cycles, numbered every ten."""
    marks = "".join("|" if cycle % 10 == 0 else "." if cycle % 5 else ":" for cycle in range(first, last))
    for cycle in range(first - first % -10 if first % 10 else first, last, 10):
        number = str(cycle)
        if cycle - first + len(number) < len(marks):
            marks = marks[:cycle - first + 1] + number + marks[cycle - first + 1 + len(number):]
    return marks


def _line(row: Row, cells: Sequence[tuple[int, str, str]], widths: tuple[int, int], cycles: tuple[int, int]) -> Text:
    line = Text(f"{row.address:08x}  {_cut(row.text, widths[0])}  ", "dim" if row.skipped else "")
    line.append(f"{_cut(place(row), widths[1])}  ", "green")
    at = cycles[0]
    for cycle, mark, reason in cells:
        letter, colour = look(reason) if reason else ("", "")
        line.append(" " * (cycle - at)).append(mark or letter, f"bold {colour}".strip())
        at = cycle + 1
    line.append(" " * (cycles[1] - at + 1))
    return line.append(why(row)[:_WIDEST_WHY], "magenta")


def _cut(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[:width - 1]}…"


def _legend(found: Timeline) -> Iterator[Text]:
    yield Text(f"{ISSUES} issues   {ALONE} issues, and the cycle is lost for the reason beside it   {HELD} takes itself")
    for reason in found.reasons:
        letter, colour = look(reason)
        yield Text.assemble((letter, f"bold {colour}"), f" {reason}: {sentence(reason)}")


def _sums(found: Timeline) -> Iterator[str]:
    rows, reasons = len(found.rows), ", ".join(f"{reason} {cycles}" for reason, cycles in found.reasons.items())
    above = f", {found.cycles - found.minimum} above the minimum ({reasons})" if reasons else ""
    yield ""
    yield f"{rows} instruction{'s' * (rows != 1)}, {found.cycles} cycle{'s' * (found.cycles != 1)}{above}"
    for reason, address, cycles in found.sites:
        yield f"and beside that {reason}: {cycles:g} cycles{'' if found.number else ' on average'} at 0x{address:08x}"
    share = found.cycles * found.times / (found.function_cycles or 1)
    if found.number is None:
        yield f"executed so {found.times:,} time{'s' * (found.times != 1)}: {found.cycles * found.times:,} cycles, {share:.1%} of {found.function}"
    if found.loop and found.loop.entries:
        yield f"an iteration takes {found.loop.cycles / found.loop.iterations:.1f} cycles on average, calls not counted"
