"""What rules are worth: as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from emu.experiment.ablate import Ablation
from emu.report import json_form
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes


def render(found: Sequence[Ablation]) -> str:
    """A table a program, the rules that are worth most first."""
    tables = []
    for one in found:
        title = f"{one.program}: {one.cycles:,} cycles on {one.core}, memories {one.memory}"
        table = Table(title=title, title_justify="left", header_style="bold")
        table.add_column("without")
        for name in ("cycles", "difference", "%"):
            table.add_column(name, justify="right")
        for row in one.without:
            table.add_row(row.rule, f"{row.cycles:,}", f"{row.cycles - one.cycles:+,}", f"{_percent(row.cycles, one.cycles):+.2f}")
        tables.append(table)
    return printed(tables)


def render_json(found: Sequence[Ablation]) -> str:
    """schema, programs (program, core, memory, cycles, without (rule, cycles, difference, percent, source))."""
    return json_form.dumps({"schema": SCHEMA, "programs": [{
        "program": one.program, "core": one.core, "memory": one.memory, "cycles": one.cycles,
        "without": [{"rule": row.rule, "cycles": row.cycles, "difference": row.cycles - one.cycles,
                     "percent": _percent(row.cycles, one.cycles), "source": row.does} for row in one.without]} for one in found]})


def _percent(cycles: int, of: int) -> float:
    return 100 * (cycles - of) / of if of else 0.0
