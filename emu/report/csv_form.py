"""One row a layer. The first four columns are TinyMind's runner's, so that its scripts read this file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from emu.report.result import Result

COLUMNS = ("name", "weight_bytes", "activation_bytes", "cycles", "kernel", "instructions", "skipped", "macs", "loads", "stores",
           "bytes_read", "bytes_written", "fetch_bytes", "stack_bytes", "bit_exact", "max_abs_error")


def render(result: Result) -> str:
    """CSV text with a header line, no total; with several inputs the rows of all of them, and a last column `input`."""
    several = len(result.inputs) > 1
    extra = (*(("milliseconds",) if result.mhz else ()), *(("input",) if several else ()))
    rows = []
    for heard in result.inputs:
        for row in heard.profile.layers:
            milliseconds = [result.milliseconds(row.cycles)] if result.mhz else []
            rows.append([*(getattr(row, column) for column in COLUMNS), *milliseconds, *([heard.name] if several else [])])
    return text((*COLUMNS, *extra), rows)


def text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text. None is an empty field, True and False are lower case."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if fact is None else str(fact).lower() if isinstance(fact, bool) else fact for fact in row] for row in rows)
    return written.getvalue()
