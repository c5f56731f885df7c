"""What rules are worth, as forms draw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from emu.experiment.ablate import Ablation
from emu.report.csv_form import text as csv_text
from emu.report.records import Records

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_OF_RULE = ("rule", "cycles", "difference", "percent", "source")
COLUMNS = {**dict.fromkeys(("program", "core", "memory", "rule"), "string"), "cycles": "int64", "difference": "int64",
           "percent": "double", "source": "string"}


@dataclass(frozen=True)
class Shown:
    """Programs as forms draw them."""

    found: Sequence[Ablation]

    def parts(self) -> list[Table | str]:
        """A line and a table a program, the rules that are worth most first."""
        return [part for one in self.found for part in (_line(one), _table(one))]

    def document(self) -> dict[str, object]:
        """schema, programs (program, core, memory, cycles, without (rule, cycles, difference, percent, source))."""
        return {"schema": SCHEMA, "programs": [{
            "program": one.program, "core": one.core, "memory": one.memory, "cycles": one.cycles,
            "without": [{name: row[name] for name in _OF_RULE} for row in _rows(one)]} for one in self.found]}

    def csv(self) -> str:
        """A row a program and rule."""
        return csv_text(tuple(COLUMNS), ([row[name] for name in COLUMNS] for one in self.found for row in _rows(one)))

    def records(self) -> Records:
        """The same rows."""
        return Records(COLUMNS, [row for one in self.found for row in _rows(one)], {"programs": [one.program for one in self.found]})


def _rows(one: Ablation) -> Iterator[dict[str, object]]:
    for row in one.without:
        yield {"program": one.program, "core": one.core, "memory": one.memory, "rule": row.rule, "cycles": row.cycles,
               "difference": row.cycles - one.cycles, "percent": _percent(row.cycles, one.cycles), "source": row.does}


def _line(one: Ablation) -> str:
    """Not the table's title, which would be folded to its width."""
    return f"{one.program}: {one.cycles:,} cycles on a modelled {one.core} with {one.memory} memory"


def _table(one: Ablation) -> Table:
    table = Table(header_style="bold")
    table.add_column("without")
    for name in ("cycles", "difference", "%"):
        table.add_column(name, justify="right")
    for row in one.without:
        table.add_row(row.rule, f"{row.cycles:,}", f"{row.cycles - one.cycles:+,}", f"{_percent(row.cycles, one.cycles):+.2f}")
    return table


def _percent(cycles: int, of: int) -> float:
    return 100 * (cycles - of) / of if of else 0.0
