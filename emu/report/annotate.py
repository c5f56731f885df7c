"""A listing for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import PurePath

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.experiment.listing import FunctionListing, Listing, Loop, Row
from emu.profile import Traffic
from emu.report import json_form
from emu.report.sources import Sources
from emu.report.table import printed
from emu.timing.explain import REASONS

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_HOT, _WARM = 0.05, 0.01  # shares of a function's cycles, from which a row is coloured
_STYLES = {"bold": "1", "dim": "2", "hot": "1;31", "warm": "33", "why": "35", "data": "36", "source": "32", "loop": "34"}
_WIDEST = 34  # characters of an instruction that others are aligned to
_WIDEST_WHY = 44


@dataclass(frozen=True)
class View:
    """What is shown. top: functions; all_rows: instructions that did not run, too; sources: None leaves lines of source out."""

    top: int = 20
    all_rows: bool = False
    sources: Sources | None = None


def render(listing: Listing, view: View) -> str:
    """Functions and their costs; each one's instructions; cycles by reason."""
    paint = _Paint()
    shown = listing.functions[:view.top]
    body = [line for function in shown for line in (*_function(function, view, paint), "")]
    return "".join((printed([_title(listing), _functions(listing, view.top)]), "\n", *(f"{line.rstrip()}\n" for line in body),
                    printed([_reasons(listing), *_notes(listing, view)])))


class _Paint:
    """Colours where standard output is a terminal that wants them."""

    def __init__(self) -> None:
        console = Console()
        self._colours = console.color_system is not None and not console.no_color

    def __call__(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colours and text.strip() and style else text


# --- the run and its functions ---


def _title(listing: Listing) -> Text:
    part = "" if listing.cycles == listing.total else f" of {listing.total:,} cycles ({_share(listing.cycles, listing.total)})"
    return Text(f"{listing.target}, on a modelled {listing.core} with {listing.memory} memory\n{listing.scope}: {listing.instructions:,} instructions, "
                f"{listing.cycles:,}{part or ' cycles'}", "italic")


def _functions(listing: Listing, top: int) -> Table:
    table = Table(header_style="bold")
    table.add_column("function")
    with_layers = any(function.layers for function in listing.functions)
    if with_layers:
        table.add_column("layer")
    for name in ("calls", "instructions", "cycles", "share", "above minimum"):
        table.add_column(name, justify="right")
    table.add_column("mostly")
    shown, rest = listing.functions[:top], listing.functions[top:]
    lines = [((f.name, _layers(f), f"{f.calls:,}"), f.instructions, f.cycles, f.minimum, f.reasons) for f in shown]
    if rest:
        lines.append(((f"{len(rest)} more (--top)", "", ""), *(sum(getattr(f, what) for f in rest) for what in ("instructions", "cycles", "minimum")), {}))
    lines.append((("total", "", ""), listing.instructions, listing.cycles, listing.minimum, listing.reasons))
    for number, ((name, layers, calls), instructions, cycles, minimum, reasons) in enumerate(lines, 1):
        table.add_row(name, *([layers] if with_layers else []), calls, f"{instructions:,}", f"{cycles:,}", _share(cycles, listing.cycles),
                      f"{cycles - minimum:,}", next(iter(reasons), ""), end_section=number == len(lines) - 1, style="bold" if number == len(lines) else None)
    return table


def _layers(function: FunctionListing) -> str:
    first, *others = function.layers or ("",)
    return f"{first} +{len(others)}" if others else first


def _reasons(listing: Listing) -> Table:
    table = Table(title="cycles by reason", title_justify="left", header_style="bold")
    table.add_column("reason")
    for name in ("cycles", "share"):
        table.add_column(name, justify="right")
    table.add_column("what it is")
    table.add_row("(minimum)", f"{listing.minimum:,}", _share(listing.minimum, listing.cycles), "what the instructions take when nothing interferes",
                  end_section=not listing.reasons)
    for number, (reason, cycles) in enumerate(listing.reasons.items(), 1):
        table.add_row(reason, f"{cycles:,}", _share(cycles, listing.cycles), REASONS.get(reason, ""), end_section=number == len(listing.reasons))
    table.add_row("total", f"{listing.cycles:,}", _share(listing.cycles, listing.cycles), "", style="bold")
    return table


def _notes(listing: Listing, view: View) -> Iterator[str]:
    if listing.functions and not any(function.symbol for function in listing.functions):
        yield "note: the image has no symbols, so code cannot be told apart by function (was it stripped?)"
    if view.sources is None:
        return
    if not any(row.line for function in listing.functions for row in function.rows):
        yield "note: the image has no debug information, so no lines of source (compile with -g)"
    for what, files in (("cannot be read", view.sources.missing), ("changed after the program was built", view.sources.newer)):
        if files:
            yield f"note: source that {what}: {', '.join(files[:5])}{f' and {len(files) - 5} more' if len(files) > 5 else ''}"


# --- one function ---


def _function(function: FunctionListing, view: View, paint: _Paint) -> Iterator[str]:
    where = f" in {', '.join(function.layers)}" if function.layers else ""
    stalls = ", ".join(f"{reason} {cycles:,}" for reason, cycles in function.reasons.items())
    calls = f"{function.calls:,} call{'s' * (function.calls != 1)}"
    above = f", {function.cycles - function.minimum:,} above the minimum ({stalls})" if stalls else ""
    yield paint(f"{function.name}{where}", "bold") + f": {calls}, {function.instructions:,} instructions, {function.cycles:,} cycles{above}"
    columns = _Columns(function, view, paint)
    yield paint(columns.head(), "dim")
    for ran, rows in groupby(function.rows, key=lambda row: bool(row.executed or row.cycles) or view.all_rows):
        draw = columns.lines if ran else columns.folded
        yield from draw(list(rows))


class _Columns:
    """Draws rows of one function under each other."""

    def __init__(self, function: FunctionListing, view: View, paint: _Paint) -> None:
        self._function, self._sources, self._paint = function, view.sources, paint
        self._cycles = max(len("cycles"), *(len(f"{row.cycles:,}") for row in function.rows))
        self._times = max(len("times"), *(len(f"{row.executed:,}") for row in function.rows))
        self._text = max(len("instruction"), min(_WIDEST, max(len(row.text) for row in function.rows)))
        self._why = min(_WIDEST_WHY, max(len(_why(row)) for row in function.rows))
        self._depth = max((loop.depth + 1 for loop in function.loops), default=0)
        self._begin = {start: list(loops) for start, loops in groupby(sorted(function.loops, key=lambda loop: (loop.start, loop.depth)),
                                                                      key=lambda loop: loop.start)}
        self._place: tuple[str | None, int | None] = (None, None)
        self._open: dict[int, Loop] = {}

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
        return " " * (self._cycles + self._times + 16)

    def _loops(self, address: int) -> Iterator[str]:
        for loop in self._begin.get(address, ()):
            self._open[loop.depth] = loop
            each = loop.cycles / loop.iterations if loop.iterations else 0
            about = f"loop: {loop.iterations:,} iterations of {_number(each)} cycles, {loop.cycles:,} in all, {loop.share:.1%} of {self._function.name}"
            yield f"{self._blank()}{self._margin(address, loop.depth)} {self._paint(about, 'loop')}"

    def _margin(self, address: int, begins: int | None = None) -> str:
        """A column a depth: where a loop begins, goes on, ends."""
        self._open = {depth: loop for depth, loop in self._open.items() if address <= loop.end}
        return self._paint("".join(
            " " if depth not in self._open or (begins is not None and depth > begins) else "┌" if depth == begins
            else "└" if address == self._open[depth].end and begins is None else "│" for depth in range(self._depth)), "loop")

    def _source(self, row: Row) -> Iterator[str]:
        """The line that it comes from, when that is not the one before's."""
        if self._sources is None or row.file is None or self._place == (row.file, row.line):
            return
        self._place = row.file, row.line
        text = self._sources.text(row.file, row.line) or ""
        if _plain(text) == _plain(row.text):  # assembly that says no more than the instruction
            return
        line = f"{PurePath(row.file).name}:{row.line}  {text}"
        yield f"{self._blank()}{self._margin_beside(row.address)} {self._paint(line, 'source')}"

    def _margin_beside(self, address: int) -> str:
        """Of a line above the row at that address: no loop ends there yet."""
        return self._margin(address).replace("└", "│")

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
    """An instruction without what assemblers leave open: white space and widths."""
    return "".join(text.lower().replace(".w ", "").replace(".n ", "").split())


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


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


# --- for scripts ---


def render_json(listing: Listing) -> str:
    """schema, the listing's figures, reasons (their meanings), functions with rows and loops."""
    facts = {key: getattr(listing, key) for key in ("target", "core", "memory", "scope", "instructions", "cycles", "minimum", "total", "tensors")}
    return json_form.dumps({"schema": SCHEMA, **facts, "reasons": dict(listing.reasons), "legend": {reason: REASONS[reason] for reason in listing.reasons},
                            "functions": [_document(function) for function in listing.functions]})


def _document(function: FunctionListing) -> dict[str, object]:
    facts = {key: getattr(function, key) for key in ("name", "symbol", "address", "calls", "instructions", "cycles", "minimum", "share")}
    return {**facts, "layers": list(function.layers), "reasons": dict(function.reasons), "loops": [asdict(loop) for loop in function.loops],
            "rows": [_fields(row) for row in function.rows]}


def _fields(row: Row) -> dict[str, object]:
    facts = {key: getattr(row, key) for key in ("address", "text", "note", "file", "line", "executed", "skipped", "cycles", "minimum")}
    return {**facts, "bytes": row.raw.hex(), "reasons": dict(row.reasons), "tensors": {name: asdict(traffic) for name, traffic in row.tensors.items()}}
