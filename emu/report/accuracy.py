"""Modelled against published: as a table, JSON, and the document docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from emu.accuracy.points import PointSet
from emu.accuracy.reprice import Repriced, Summary, summary
from emu.report import json_form
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
COMMAND = "python -m emu.accuracy --markdown docs/accuracy.md"


def render(rows: Sequence[Repriced]) -> str:
    """A table a set, and the summary."""
    parts: list[Table | Text | str] = []
    for group, members in _by_set(rows):
        table = Table(title=f"{group.title}: {group.core} on {group.board}", title_justify="left", header_style="bold")
        table.add_column("program")
        for name in ("instructions", "published", "modelled", "error"):
            table.add_column(name, justify="right")
        table.add_column("apart")
        for row in members:
            table.add_row(row.point.program, f"{row.instructions:,}", f"{row.point.published:,.0f}", f"{row.modelled:,}", f"{row.error:+.2%}", row.point.apart)
        parts.append(table)
    return printed([*parts, _summaries(rows)])


def _by_set(rows: Sequence[Repriced]) -> list[tuple[PointSet, list[Repriced]]]:
    return [(members[0].of, members) for members in (list(group) for _, group in groupby(rows, key=lambda row: row.of.name))]


def _groups(rows: Sequence[Repriced]) -> list[tuple[str, str, list[Repriced]]]:
    """(core, set's title, its rows), and behind each core's sets, where it has several, all of them."""
    found = []
    for core in sorted({row.of.core for row in rows}):
        of_core = [row for row in rows if row.of.core == core]
        sets = _by_set(of_core)
        found += [(core, group.title, members) for group, members in sets]
        if len(sets) > 1:
            found.append((core, "all", of_core))
    return found


def _summaries(rows: Sequence[Repriced]) -> Table:
    table = Table(title="summary: of the points that count", title_justify="left", header_style="bold")
    for name in ("core", "set"):
        table.add_column(name)
    for name in ("points", "mean |error|", "worst", "mean error"):
        table.add_column(name, justify="right")
    for core, title, members in _groups(rows):
        found = summary(members)
        table.add_row(core, title, *(_cells(found) if found else ["0", "", "", ""]))
    return table


def _cells(found: Summary) -> list[str]:
    return [str(found.points), f"{found.mean:.2%}", f"{found.worst:+.2%}", f"{found.bias:+.2%}"]


def render_json(rows: Sequence[Repriced]) -> str:
    """schema, points (set, core, board, memory, program, published, modelled, error as a share, apart, source, note), summary by core and set."""
    return json_form.dumps({
        "schema": SCHEMA,
        "points": [{"set": row.of.name, "core": row.of.core, "board": row.of.board, "memory": row.point.memory, "program": row.point.program,
                    "instructions": row.instructions, "published": row.point.published, "modelled": row.modelled, "error": row.error,
                    "apart": row.point.apart or None, "source": row.point.source, "note": row.point.note} for row in rows],
        "summary": [{"core": core, "set": title} | (vars(found) if found else {"points": 0})
                    for core, title, members in _groups(rows) for found in (summary(members),)],
    })


_HEAD = f"""# How true the cycles are

Written by `{COMMAND}`, which prices every row anew with today's tables in `emu/timing/`. The programs ran once in the
emulator; their streams are kept in `emu/accuracy/recordings` (what each instruction is and how often each stream of them ran; no machine code). What was
published, and where, stands in `emu/accuracy/points`. `error` is modelled over published, less one. A row that stands *apart* is shown and does not count,
for the reason it gives.

These are the programs that the rules were found on, or held against: the tables name, rule by rule, which of them support it. No constant belongs to a program,
but an error of programs that nobody has looked at may be larger. Of floating-point programs, of interrupts and of the H743's caches we know no published
cycles that can be reproduced; nothing is claimed for them beyond the sources in the tables.
"""


def render_markdown(rows: Sequence[Repriced]) -> str:
    """The whole document: the summary at its head, then a section a set."""
    lines = [_HEAD, "| core | set | points | mean &#124;error&#124; | worst | mean error |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for core, title, members in _groups(rows):
        found = summary(members)
        lines.append(f"| {core} | {title} | {' | '.join(_cells(found) if found else ['0', '', '', ''])} |")
    for group, members in _by_set(rows):
        lines += ["", f"## {group.title}", "", f"{group.core} on {group.board}. Published: {group.source}", "", group.built.strip(), "", *markdown_rows(members)]
    return "\n".join(lines) + "\n"


def markdown_rows(rows: Sequence[Repriced]) -> list[str]:
    """The lines of a set's table."""
    lines = ["| program | memory | published | modelled | error | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        remarks = [f"apart: {row.point.apart}"] * bool(row.point.apart) + [row.point.note] * bool(row.point.note)
        remarks += [row.point.source] * (row.point.source != row.of.source)
        lines.append(f"| {row.point.program} | {row.point.memory} | {row.point.published:,.0f} | {row.modelled:,} | {row.error:+.2%} | {'; '.join(remarks)} |")
    return lines
