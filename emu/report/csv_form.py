"""One row a layer. The first four columns are TinyMind's runner's, so that its scripts read this file."""

from __future__ import annotations

import csv
import io

from emu.report.result import Result

COLUMNS = ("name", "weight_bytes", "activation_bytes", "cycles", "kernel", "instructions", "skipped", "macs", "loads", "stores",
           "bytes_read", "bytes_written", "fetch_bytes", "stack_bytes", "bit_exact", "max_abs_error")


def render(result: Result) -> str:
    """CSV text with a header line, no total. An empty field where a fact does not apply."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    extra = ("milliseconds",) if result.mhz else ()
    writer.writerow((*COLUMNS, *extra))
    for row in result.profile.layers:
        facts = [getattr(row, column) for column in COLUMNS]
        if result.mhz:
            facts.append(result.milliseconds(row.cycles))
        writer.writerow(["" if fact is None else str(fact).lower() if isinstance(fact, bool) else fact for fact in facts])
    return text.getvalue()
