"""One row a layer. The first four columns are TinyMind's runner's, so that its scripts read this file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from emu.result import Result

COLUMNS = ("name", "weight_bytes", "activation_bytes", "cycles", "kernel", "instructions", "skipped", "macs", "loads", "stores",
           "bytes_read", "bytes_written", "fetch_bytes", "stack_bytes", "bit_exact", "wrong_bytes", "max_difference", "max_abs_error")


def render(result: Result) -> str:
    """CSV text with a header line, no total; with several cores a column cycles_CORE each, filled for the first input; with several inputs
    the rows of all of them, and a last column `input`."""
    several = len(result.inputs) > 1
    cores = result.cores if len(result.cores) > 1 else ()
    extra = (*(("milliseconds",) if result.mhz else ()), *(f"cycles_{column.core}" for column in cores), *(("input",) if several else ()))
    rows = []
    for heard in result.inputs:
        for number, row in enumerate(heard.profile.layers):
            milliseconds = [result.milliseconds(row.cycles)] if result.mhz else []
            on_cores = [column.profile.layers[number].cycles if column.profile and heard is result.inputs[0] else None for column in cores]
            rows.append([*(getattr(row, column) for column in COLUMNS), *milliseconds, *on_cores, *([heard.name] if several else [])])
    return text((*COLUMNS, *extra), rows)


def text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text. None is an empty field, True and False are lower case."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if fact is None else str(fact).lower() if isinstance(fact, bool) else fact for fact in row] for row in rows)
    return written.getvalue()
