"""A listing for a terminal and for GitHub, as JSON and as CSV."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from emu.experiment.listing import FunctionListing, Listing, Row
from emu.report import csv_form, markdown
from emu.report.functions import cut
from emu.report.listing import Paint, View, lines
from emu.report.table import built, printed
from emu.timing.explain import sentence

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
COLUMNS = ("function", "address", "bytes", "instruction", "file", "line", "executed", "skipped", "cycles", "minimum", "reasons", "bytes_read",
           "bytes_written", "tensors")


@dataclass(frozen=True)
class Shown:
    """A listing, and what of it a person sees."""

    listing: Listing
    view: View

    def parts(self) -> list[Table | Text | str]:
        """The tables, without the instructions."""
        listing = self.listing
        part = "cycles" if listing.cycles == listing.total else f"of the run's {listing.total:,} cycles ({_share(listing.cycles, listing.total)})"
        return [Text(f"{listing.target}, on a modelled {listing.core} with {listing.memory} memory", "italic"),
                f"{listing.scope}: {listing.instructions:,} instructions, {listing.cycles:,} {part}", _functions(listing, self.view.top), _reasons(listing), *built(listing.about),
                *_notes(listing, self.view)]

    def terminal(self) -> str:
        """Functions and their costs; each one's instructions; cycles by reason."""
        paint = Paint.of_terminal()
        body = [f"{line.rstrip()}\n" for function in self._listed for line in (*lines(function, self.view, paint), "")]
        title, scope, functions, *others = self.parts()  # behind the body, which finds out about sources
        return "".join((printed([title, scope, functions]), "\n", *body, printed(others)))

    def markdown(self) -> str:
        """The tables, and the instructions of each function, folded."""
        blocks = [f"<details><summary><code>{html.escape(function.name)}</code>: {function.cycles:,} cycles</summary>\n\n"
                  f"````\n{_body(function, self.view)}\n````\n\n</details>\n" for function in self._listed]
        title, scope, functions, *others = self.parts()
        return "\n".join((markdown.text([title, scope, functions]), *blocks, markdown.text(others)))

    def document(self) -> dict[str, object]:
        """docs/experiments.md has the keys."""
        listing = self.listing
        facts = {key: getattr(listing, key) for key in ("target", "core", "memory", "scope", "instructions", "cycles", "minimum", "total", "tensors")}
        return {"schema": SCHEMA, **listing.about, **facts, "reasons": dict(listing.reasons), "legend": {reason: sentence(reason) for reason in listing.reasons},
                "functions": [_document(function) for function in listing.functions]}

    def csv(self) -> str:
        """A row an instruction."""
        return csv_form.text(COLUMNS, ([function.name, *_cells(row)] for function in self.listing.functions for row in function.rows))

    @property
    def _listed(self) -> tuple[FunctionListing, ...]:
        return self.listing.functions[:self.view.top]


def markdown_form(shown: Shown, _target: str = "-") -> str:
    """For GitHub."""
    return shown.markdown()


def _body(function: FunctionListing, view: View) -> str:
    return "\n".join(line.rstrip() for line in lines(function, view, Paint(False)))


# --- the run and its functions ---


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
    lines = [((cut(f.name), _layers(f), f"{f.calls:,}"), f.instructions, f.cycles, f.minimum, f.reasons) for f in shown]
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
        table.add_row(reason, f"{cycles:,}", _share(cycles, listing.cycles), sentence(reason), end_section=number == len(listing.reasons))
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

def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


# --- for scripts ---


def _document(function: FunctionListing) -> dict[str, object]:
    facts = {key: getattr(function, key) for key in ("name", "symbol", "address", "calls", "instructions", "cycles", "minimum", "share")}
    return {**facts, "layers": list(function.layers), "reasons": dict(function.reasons), "loops": [asdict(loop) for loop in function.loops],
            "rows": [_fields(row) for row in function.rows]}


def _fields(row: Row) -> dict[str, object]:
    facts = {key: getattr(row, key) for key in ("address", "text", "note", "file", "line", "executed", "skipped", "cycles", "minimum")}
    return {**facts, "bytes": row.raw.hex(), "reasons": dict(row.reasons), "tensors": {name: asdict(traffic) for name, traffic in row.tensors.items()}}


def _cells(row: Row) -> list[object]:
    moved = list(row.tensors.values())
    return [f"0x{row.address:08x}", row.raw.hex(), row.text, row.file, row.line, row.executed, row.skipped, row.cycles, row.minimum,
            "; ".join(f"{reason} {cycles}" for reason, cycles in row.reasons.items()), sum(traffic.bytes_read for traffic in moved),
            sum(traffic.bytes_written for traffic in moved), "; ".join(row.tensors)]
