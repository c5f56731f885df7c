"""What functions cost: the table, callers and callees of one function, lines of source, JSON, CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from emu.errors import UsageError
from emu.functions import CallSite, Cost, Function, FunctionProfile, Line
from emu.names import near
from emu.report.csv_form import text as csv_text

FOLDED = "there were more call paths than are kept; inclusive figures and calls are lower bounds"
_WIDEST = 64  # characters of a name in a table
_KINDS = {"call": "called", "tail": "jumped to", "handler": "interrupted", "fall": "ran on into", "start": "started"}
COLUMNS = ("name", "calls", "cycles", "inclusive_cycles", "instructions", "inclusive_instructions", "bytes_read", "bytes_written",
           "inclusive_bytes_read", "inclusive_bytes_written", "stack_bytes", "inclusive_stack_bytes", "address", "symbol")


@dataclass(frozen=True)
class View:
    """What is shown of a profile. top: rows of a table; callers: of which function callers and callees are shown; lines: cycles by line."""

    top: int = 20
    callers: str | None = None
    lines: bool = False


def parts(profile: FunctionProfile, view: View) -> list[Table | Text | str]:
    """The table of functions, dearest first; then, where they are asked for, callers of one function and lines of source."""
    found: list[Table | Text | str] = [_heading(profile), _functions(profile, view.top)]
    if view.callers is not None:
        found += _neighbours(profile, find(profile, view.callers))
    if view.lines:
        found.append(_lines(profile, view.top))
    if not profile.complete:
        found.append(f"note: {FOLDED}")
    return found


def find(profile: FunctionProfile, name: str) -> Function:
    """The function of that name, for the source or the linker, with or without parameters. UsageError when none such ran, or several."""
    for names in (lambda f: (f.name,), lambda f: (f.symbol, f.name.partition("(")[0], f.name.partition("@")[0])):
        found = [f for f in profile.functions if name in names(f)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"--callers: {len(found)} functions are called {name}: {', '.join(f.name for f in found)}")
    raise UsageError(f"--callers: no function {name!r} ran{near(name, [f.name for f in profile.functions])}")


def _heading(profile: FunctionProfile) -> Text:
    where = f"; {profile.region.title}, {_entered(profile.entries or 0)}" if profile.region else ""
    return Text(f"functions on a modelled {profile.core} with {profile.memory} memory{where}; dearest first, (with callees)", "italic")


def _functions(profile: FunctionProfile, top: int) -> Table:
    table = Table(header_style="bold")
    table.add_column("function")
    for name in ("calls", "cycles", "share", "(cycles)", "(share)", "instructions", "(instructions)", "bytes read", "written", "stack",
                 "(stack)"):
        table.add_column(name, justify="right")
    shown, rest = profile.functions[:top], profile.functions[top:]
    for position, f in enumerate(shown, 1):
        table.add_row(cut(f.name), f"{f.calls:,}", *_both(f, profile.totals), f"{f.own_stack:,}", f"{f.stack:,}",
                      end_section=not rest and position == len(shown))
    if rest:
        own = Cost(*map(sum, zip(*(f.own for f in rest), strict=True)))
        table.add_row(f"{len(rest)} more", f"{sum(f.calls for f in rest):,}", *_one(own, profile.totals), "", "", end_section=True)
    table.add_row("total", f"{sum(f.calls for f in profile.functions):,}", *_one(profile.totals, profile.totals), "", "", style="bold")
    return table


def _both(f: Function, totals: Cost) -> list[str]:
    return [f"{f.own.cycles:,}", _share(f.own.cycles, totals.cycles), f"{f.inclusive.cycles:,}", _share(f.inclusive.cycles, totals.cycles),
            f"{f.own.instructions:,}", f"{f.inclusive.instructions:,}", f"{f.own.bytes_read:,}", f"{f.own.bytes_written:,}"]


def _one(cost: Cost, totals: Cost) -> list[str]:
    return [f"{cost.cycles:,}", _share(cost.cycles, totals.cycles), "", "", f"{cost.instructions:,}", "",
            f"{cost.bytes_read:,}", f"{cost.bytes_written:,}"]


def _neighbours(profile: FunctionProfile, function: Function) -> list[Table]:
    callers = [site for site in profile.calls if site.callee == function.name]
    callees = [site for site in profile.calls if site.caller == function.name]
    return [_sites(f"who called {cut(function.name)}", "caller", callers, [site.caller or "(nobody)" for site in callers]),
            _sites(f"what {cut(function.name)} called", "callee", callees, [site.callee for site in callees])]


def _sites(title: str, column: str, sites: Sequence[CallSite], names: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("times", justify="right")
    for name in ("how", column, "at", "line"):
        table.add_column(name)
    for site, name in sorted(zip(sites, names, strict=True), key=lambda row: -row[0].count):
        table.add_row(f"{site.count:,}", _KINDS[site.kind], cut(name), f"0x{site.pc:08x}", site.line or "")
    return table


def _lines(profile: FunctionProfile, top: int) -> Table:
    table = Table(title="lines of source", title_justify="left", header_style="bold")
    for name in ("line", "function"):
        table.add_column(name)
    for name in ("cycles", "share", "instructions", "bytes read", "written"):
        table.add_column(name, justify="right")
    for line in profile.lines[:top]:
        cost = line.cost
        table.add_row(line.line or "(unknown)", cut(line.function), f"{cost.cycles:,}", _share(cost.cycles, profile.totals.cycles),
                      f"{cost.instructions:,}", f"{cost.bytes_read:,}", f"{cost.bytes_written:,}")
    return table


def cut(name: str) -> str:
    """Not wider than a table can be."""
    return name if len(name) <= _WIDEST else f"{name[:_WIDEST - 20]}...{name[-17:]}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _entered(times: int) -> str:
    return {0: "never entered", 1: "entered once"}.get(times, f"entered {times:,} times")


# --- for scripts ---


def document(profile: FunctionProfile) -> dict[str, object]:
    """For JSON: core, memory, region, entries, complete, totals, functions, calls, lines."""
    return {
        "core": profile.core, "memory": profile.memory, "region": profile.region.title if profile.region else None,
        "entries": profile.entries, "complete": profile.complete, "totals": profile.totals._asdict(), "functions": [_facts(f) for f in profile.functions],
        "calls": [site._asdict() | {"caller": site.caller or None} for site in profile.calls], "lines": list(map(_line, profile.lines)),
    }


def render_csv(profile: FunctionProfile) -> str:
    """One row a function, dearest first, no total."""
    return csv_text(COLUMNS, (list(row.values()) for row in flat(profile)))


def flat(profile: FunctionProfile) -> list[dict[str, object]]:
    """A row a function, of COLUMNS."""
    rows = [_facts(f) | f.own._asdict() | {f"inclusive_{key}": value for key, value in f.inclusive._asdict().items()} for f in profile.functions]
    return [{column: row[column] for column in COLUMNS} for row in rows]


def _facts(f: Function) -> dict[str, object]:
    return {"name": f.name, "symbol": f.symbol, "address": f.address, "calls": f.calls,
            "self": f.own._asdict(), "inclusive": f.inclusive._asdict(), "stack_bytes": f.own_stack, "inclusive_stack_bytes": f.stack}


def _line(line: Line) -> dict[str, object]:
    file, _, number = (line.line or "").rpartition(":")
    return {"file": file or None, "line": int(number) if number else None, "function": line.function, **line.cost._asdict()}
