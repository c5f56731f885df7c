"""What a command line shows, and the forms that are made of it alike, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from emu.report.records import Records


class Shown(Protocol):
    """What was found, as forms draw it. A form that something has not is none of its options."""

    def parts(self) -> list[Table | Text | str]:
        """Tables and lines for a person."""

    def document(self) -> dict[str, object]:
        """For JSON: plain values."""

    def csv(self) -> str:
        """CSV text."""

    def records(self) -> Records:
        """Flat rows with what made them."""

    def plot(self, target: str) -> bytes:
        """A picture."""


class Long(Shown, Protocol):
    """What a person sees more of than tables."""

    def terminal(self) -> str:
        """All of it, with colours where standard output is a terminal."""


def terminal(shown: Shown, _target: str = "-") -> str:
    """The tables, with colours where standard output is a terminal."""
    from emu.report import table

    return table.printed(shown.parts())


def markdown(shown: Shown, _target: str = "-") -> str:
    """The same tables for GitHub."""
    from emu.report import markdown

    return markdown.text(shown.parts())


def json(shown: Shown, _target: str = "-") -> str:
    """JSON text."""
    from emu.report import json_form

    return json_form.dumps(shown.document())


def csv(shown: Shown, _target: str = "-") -> str:
    """CSV text."""
    return shown.csv()


def parquet(shown: Shown, _target: str = "-") -> bytes:
    """A Parquet file."""
    return shown.records().parquet()


def plot(shown: Shown, target: str) -> bytes:
    """A picture, PNG or SVG by the suffix of `target`."""
    return shown.plot(target)
