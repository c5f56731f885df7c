"""GitHub's Markdown, of the tables and lines that a terminal shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Column, Table
from rich.text import Text

_ESCAPES = str.maketrans({"&": "&amp;", "|": "&#124;", "<": "&lt;", "\n": " ",
                          **{character: f"\\{character}" for character in "\\*_`~[]#"}})


def text(parts: Iterable[Table | Text | str]) -> str:
    """A table each; what stands in italics, and a table's title, are headings; other lines are a list."""
    blocks, items = [], []
    for part in parts:
        lines = _table(part) if isinstance(part, Table) else _line(part)
        if lines[0].startswith("- "):
            items += lines
            continue
        blocks, items = [*blocks, *([items] if items else []), lines], []
    return "\n\n".join("\n".join(lines) for lines in (*blocks, *([items] if items else []))) + "\n"


def escaped(cell: str) -> str:
    """As it is, for GitHub: nothing in it ends a cell, starts emphasis, a link or a heading, or is a tag."""
    return cell.translate(_ESCAPES)


def row(cells: Iterable[str], bold: bool = False) -> str:
    """Of a table. Cells are Markdown."""
    return f"| {' | '.join(f'**{cell}**' if bold and cell else cell for cell in cells)} |"


def head(words: Sequence[str], numbers: Sequence[str]) -> list[str]:
    """The two first lines of a table; numbers stand under each other's ends. Cells are Markdown."""
    return [row((*words, *numbers)), row((*("---" for _ in words), *("---:" for _ in numbers)))]


def _line(part: Text | str) -> list[str]:
    words = escaped(" ".join(_plain(part).split()))
    return [f"### {words}"] if isinstance(part, Text) and part.style == "italic" else [f"- {words}"]


def _table(table: Table) -> list[str]:
    title = [f"### {escaped(_plain(table.title))}", ""] if table.title else []
    heads = row(_cell(column.header) for column in table.columns), row(_rule(column) for column in table.columns)
    return [*title, *heads, *(row(cells, bold="bold" in str(style or "")) for cells, style in _rows(table))]


def _rows(table: Table) -> Iterator[tuple[list[str], object]]:
    """(cells, style) of each."""
    columns = [list(column.cells) for column in table.columns]
    for number, styled in enumerate(table.rows):
        yield [_cell(column[number]) for column in columns], styled.style


def _rule(column: Column) -> str:
    return "---:" if column.justify == "right" else "---"


def _cell(cell: object) -> str:
    return escaped(" ".join(_plain(cell).split()))


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)
