"""The tables that a person reads in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.profile import PARTS, Row
from emu.report.result import Answer, Beside, Result

_FETCH = "instruction fetch"


def render(result: Result, traffic: bool = False) -> str:
    """The layers' table, and under it what was heard, the image, other kernel sets and the compiler; `traffic` adds bytes by tensor.

    With colours where standard output is a terminal.
    """
    console = Console()
    with console.capture() as captured:
        _print(console, _layers(result))
        if traffic:
            _print(console, _traffic(result))
        for line in (_heard(result.answer), *_about(result)):
            console.print(line, highlight=False, soft_wrap=True)
    return captured.get()


def _print(console: Console, table: Table) -> None:
    """Never narrower than the table: a line too long for a terminal is better than a figure cut in half."""
    wide = console.options.update(width=1000, max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table, crop=False)


def _about(result: Result) -> list[str]:
    about = result.profile.about
    image, toolchain = about["image"], about["toolchain"]
    size = f"{image['flash_bytes']:,} bytes of flash, {image['ram_bytes']:,} of RAM ({image['stack_reserve']:,} of them stack)"
    return [
        f"image    {size}; SHA-256 {image['sha256'][:16]}",
        *_beside(result),
        f"compiler {toolchain['version']}, from {toolchain['origin']}, -{about['opt']}",
    ]


def _layers(result: Result) -> Table:
    profile = result.profile
    integer = all(row.max_abs_error is None for row in profile.layers)
    table = Table(title=f"{profile.about.get('network', '')} on a modelled {profile.core} at zero wait states, {profile.about.get('kernels', '')} kernels, "
                        f"input {profile.about.get('input', '')}", title_justify="left", header_style="bold")
    for name in ("layer", "kernel"):
        table.add_column(name)
    numbers = ["instructions", "(skipped)", "cycles", *(["ms"] if result.mhz else []), "MACs", "cycles/MAC", "loads", "stores",
               "bytes read", "written", "stack"]
    for name in (*numbers, "bit-exact" if integer else "max |error|"):
        table.add_column(name, justify="right")
    rows = [*profile.layers, profile.outside]
    for position, row in enumerate(rows, 1):
        table.add_row(*_cells(row, result, integer), end_section=position == len(rows))
    table.add_row(*_cells(profile.totals, result, integer), style="bold")
    return table


def _cells(row: Row, result: Result, integer: bool) -> list[str | Text]:
    milliseconds = [f"{result.milliseconds(row.cycles):.3f}"] if result.mhz else []
    per_mac = f"{row.cycles_per_mac:.2f}" if row.cycles_per_mac is not None else ""
    if integer:
        verdict = {True: Text("yes", "green"), False: Text("NO", "bold red"), None: Text("")}[row.bit_exact]
    else:
        verdict = f"{row.max_abs_error:.1e}" if row.max_abs_error is not None else ""
    return [row.name, row.kernel, f"{row.instructions:,}", f"({row.skipped:,})", f"{row.cycles:,}", *milliseconds, f"{row.macs:,}", per_mac,
            f"{row.loads:,}", f"{row.stores:,}", f"{row.bytes_read:,}", f"{row.bytes_written:,}", f"{row.stack_bytes:,}", verdict]


def _traffic(result: Result) -> Table:
    """Bytes by tensor: read, and where the layer writes it, +written."""
    profile = result.profile
    rows = [*profile.layers, profile.outside]
    parts = [part for part in PARTS if part in profile.totals.traffic]
    table = Table(title="bytes read + written, by tensor", title_justify="left", header_style="bold")
    table.add_column("layer")
    for part in (*parts, _FETCH):
        table.add_column(part, justify="right")
    for position, row in enumerate([*rows, profile.totals], 1):
        cells = [_moved(row, part) for part in parts]
        table.add_row(row.name, *cells, f"{row.fetch_bytes:,}", end_section=position == len(rows), style="bold" if position > len(rows) else None)
    return table


def _moved(row: Row, part: str) -> str:
    traffic = row.traffic.get(part)
    if traffic is None:
        return ""
    read = f"{traffic.bytes_read:,}" if traffic.bytes_read else ""
    return read + (f" +{traffic.bytes_written:,}" if traffic.bytes_written else "")


def _heard(answer: Answer) -> Text:
    text = Text("heard    ")
    for label, logit in zip(answer.labels, answer.logits, strict=True):
        value = f"{logit:d}" if isinstance(logit, int) else f"{logit:.3f}"
        text.append(f"{label} {value}  ", "bold" if label == answer.winner else "dim")
    text.append(f"-> {answer.winner}", "bold")
    if not answer.trained:
        text.append(" (untrained: the weights are random, so the word means nothing)")
    return text


def _beside(result: Result) -> Sequence[str]:
    own = result.profile.totals
    lines = []
    for other in result.beside:
        lines.append(f"beside   {other.kernels:<8}" + (_compared(other, own) if other.totals else f"not measured: {other.problem}"))
    return lines


def _compared(other: Beside, own: Row) -> str:
    totals = other.totals
    verdict = {True: ", bit-exact", False: ", NOT bit-exact", None: ""}[totals.bit_exact]
    if totals.max_abs_error is not None:
        verdict = f", max |error| {totals.max_abs_error:.1e}"
    return (f"{totals.instructions:>9,} instructions, {totals.cycles:>9,} cycles ({totals.cycles / own.cycles:.2f} times), "
            f"{totals.bytes_read:,} bytes read, {totals.bytes_written:,} written, stack {totals.stack_bytes:,}{verdict}")
