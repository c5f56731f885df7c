"""GitHub's Markdown, of the tables and lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.table import Column, Table
from rich.text import Text

_ESCAPES = str.maketrans({"&": "&amp;", "|": "&#124;", "<": "&lt;", **{character: f"\\{character}" for character in "\\*_`~[]#"}})


def text(parts: Iterable[Table | Text | str]) -> str:
    """A table each; what stands in italics, and a table's title, are headings; other lines are a list."""
    blocks: list[str] = []
    for is_item, same in groupby(parts, _is_item):
        drawn = [_drawn(part) for part in same]
        blocks += ["\n".join(drawn)] if is_item else drawn
    return "\n\n".join(blocks) + "\n"


def _is_item(part: Table | Text | str) -> bool:
    return isinstance(part, str) or isinstance(part, Text) and part.style != "italic"


def _drawn(part: Table | Text | str) -> str:
    return "\n".join(_table(part)) if isinstance(part, Table) else f"{'-' if _is_item(part) else '###'} {_escaped(part)}"


def _table(table: Table) -> list[str]:
    title = [f"### {_escaped(table.title)}", ""] if table.title else []
    heads = _row(_escaped(column.header) for column in table.columns), _row(_rule(column) for column in table.columns)
    return [*title, *heads, *(_row(cells) for cells in _rows(table))]


def _rows(table: Table) -> Iterator[list[str]]:
    """Cells of each; bold where the row or the cell is."""
    columns = [list(column.cells) for column in table.columns]
    for number, styled in enumerate(table.rows):
        yield [_cell(column[number], _is_bold(styled.style)) for column in columns]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(column: Column) -> str:
    return "---:" if column.justify == "right" else "---"


def _cell(cell: object, bold: bool) -> str:
    words = _escaped(cell)
    return f"**{words}**" if words and (bold or _is_bold(getattr(cell, "style", ""))) else words


def _is_bold(style: object) -> bool:
    return "bold" in str(style or "")


def _escaped(part: object) -> str:
    """In one line, as it is: nothing in it ends a cell, starts emphasis, a link or a heading, or is a tag."""
    return " ".join((part.plain if isinstance(part, Text) else str(part)).split()).translate(_ESCAPES)
