"""The tables that a person reads in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.profile import PARTS, Profile, Row
from emu.result import Answer, Beside, Result

_FETCH = "instruction fetch"
UNTRAINED = " (untrained: the weights are random, so the word means nothing)"


def parts(result: Result, traffic: bool = False) -> list[Table | Text | str]:
    """The layers' table, or of several inputs a line each; under it what was heard, the image, other kernel sets and the compiler.

    `traffic` adds bytes by tensor, of the first input.
    """
    several = len(result.inputs) > 1
    head = [_several(result), _inputs(result)] if several else [_layers(result)]
    cores = [_cores(result)] if len(result.cores) > 1 else []
    return [*head, *cores, *([_traffic(result)] if traffic else []), *([] if several else [_heard(result.answer)]), *_about(result)]


def printed(parts: Sequence[Table | Text | str]) -> str:
    """Tables and lines, one under the other; with colours where standard output is a terminal."""
    console = _console()
    for part in parts:
        if isinstance(part, Table):
            _print(console, part)
        else:
            console.print(part, highlight=False, soft_wrap=True)
    return console.file.getvalue()


def _several(result: Result) -> Text:
    """A line, not a title: a title is folded to the width of its table."""
    about = result.profile.about
    return Text(f"{about['network']} {modelled(result.profile)}, {about['kernels']} kernels, {len(result.inputs)} inputs"
                f"{_untrained(result.answer)}", "italic")


def modelled(profile: Profile) -> str:
    """What the cycles are of."""
    return f"on a modelled {profile.core} with {profile.memory} memory"


def _inputs(result: Result) -> Table:
    """One line an input."""
    integer = result.profile.totals.max_abs_error is None
    table = Table(header_style="bold")
    for name in ("input", "heard"):
        table.add_column(name)
    for name in ("confidence", "bit-exact" if integer else "max |error|", "cycles", *(["ms"] if result.mhz else [])):
        table.add_column(name, justify="right")
    for heard in result.inputs:
        totals = heard.profile.totals
        milliseconds = [f"{result.milliseconds(totals.cycles):.3f}"] if result.mhz else []
        table.add_row(heard.name, heard.answer.winner, f"{heard.answer.confidence:.1%}", _verdict(totals, integer), f"{totals.cycles:,}", *milliseconds)
    return table


def _console() -> Console:
    """Writes into memory as it would to standard output."""
    real = Console()
    return Console(file=io.StringIO(), force_terminal=real.is_terminal, color_system=real.color_system, width=real.width, markup=False)


def _print(console: Console, table: Table) -> None:
    """Never narrower than the table: a line too long for a terminal is better than a figure cut in half."""
    wide = console.options.update(width=1000, max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table, crop=False)


def _about(result: Result) -> list[str]:
    about = result.profile.about
    image = about["image"]
    size = f"{image['flash_bytes']:,} bytes of flash, {image['ram_bytes']:,} of RAM ({image['stack_reserve']:,} of them stack)"
    return [
        *(f"mismatch {line}" for line in mismatches(result.profile)),
        *(f"kernels  {line}" for line in whose(about)),
        f"image    {size}; SHA-256 {image['sha256'][:16]}",
        *_columns(result),
        *_beside(result),
        f"compiler {compiler(about)}",
    ]


def built(about: Mapping[str, object], width: int = len("compiler ")) -> list[str]:
    """Whose kernels ran, and what compiled them, a line each, names in a column; nothing of a firmware, which somebody else has built."""
    facts = [*(("kernels", line) for line in whose(about)), ("compiler", compiler(about))] if "kernel_set" in about else []
    return [f"{name:<{width}}{line}" for name, line in facts]


def compiler(about: Mapping[str, object]) -> str:
    """Its version, who named it, and its options; which of these are a folder's own, where some sources were compiled without them."""
    toolchain, folder = about["toolchain"], about["kernel_set"]
    own = f" ({' '.join(folder['flags'])} of {folder['name']}'s sources alone)" if folder["flags"] else ""
    return f"{toolchain['version']}, from {toolchain['origin']}, {' '.join(about['flags'])}{own}"


def mismatches(profile: Profile) -> list[str]:
    """A line for every layer that is not bit-exact."""
    return [f"{row.name} ({row.kernel}): {row.wrong_bytes:,} of {row.activation_bytes:,} bytes differ, by {row.max_difference} at most"
            for row in profile.layers if row.wrong_bytes]


def whose(about: Mapping[str, object]) -> list[str]:
    """A line on where the kernels come from, of a set that has some of another one, or that was not compiled from sources alone."""
    folder = about["kernel_set"]
    implements: Mapping[str, str] = folder["implements"]
    own = [kernel for kernel, name in implements.items() if name == folder["name"]]
    rest = sorted({name for name in implements.values() if name != folder["name"]})
    mine = f"{', '.join(own)} of {folder['name']}, the others" if own else f"none of {folder['name']}, all"
    parts = [f"{mine} of {' and '.join(rest)}"] * bool(rest)
    parts += [f"{', '.join(name.rpartition('/')[2] for name in folder['linked'])} linked as compiled elsewhere, with options that are not known"] * bool(
        folder["linked"])
    return ["; ".join(parts)] * bool(parts)


def _layers(result: Result) -> Table:
    profile = result.profile
    integer = all(row.max_abs_error is None for row in profile.layers)
    table = Table(title=f"{profile.about.get('network', '')} {modelled(profile)}, {profile.about.get('kernels', '')} kernels, "
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


def _cores(result: Result) -> Table:
    """Cycles of the first input, a column a core; layers by their place, since a core's image can be of another network's names."""
    columns = [_rows(column.profile) for column in result.cores]
    of = f", input {result.inputs[0].name}" if len(result.inputs) > 1 else ""
    table = Table(title=f"cycles by core, {result.profile.memory} memory{of}", title_justify="left", header_style="bold")
    table.add_column("layer")
    for column in result.cores:
        table.add_column(column.core, justify="right")
    rows = _rows(result.profile)
    for position, row in enumerate(rows, 1):
        cells = [f"{column[position - 1].cycles:,}" if column else "" for column in columns]
        table.add_row(row.name, *cells, end_section=position == len(rows) - 1, style="bold" if position == len(rows) else None)
    return table


def _rows(profile: Profile | None) -> list[Row]:
    return [*profile.layers, profile.outside, profile.totals] if profile else []


def _columns(result: Result) -> list[str]:
    """Which image each core's column is of: a line for the first core's and those that share its run, and one for each other."""
    if len(result.cores) < 2:
        return []
    first, *others = result.cores
    sharing = [first.core, *(column.core for column in others if column.profile and not column.reason)]
    lines = [f"cores    {', '.join(sharing)}: one run of {_image(first.profile)}"]
    for column in others:
        if column.profile is None:
            lines.append(f"         {column.core}: not measured: {column.problem}")
        elif column.reason:
            verdict = {True: ", bit-exact", False: ", NOT bit-exact", None: ""}[column.profile.totals.bit_exact]
            lines.append(f"         {column.core}: {_image(column.profile)}{verdict}, since {column.reason}")
    return lines


def _image(profile: Profile) -> str:
    about = profile.about
    return f"{about['kernels']} {' '.join(about['flags'])} ({about['image']['sha256'][:16]}), {profile.totals.instructions:,} instructions"


def _cells(row: Row, result: Result, integer: bool) -> list[str | Text]:
    milliseconds = [f"{result.milliseconds(row.cycles):.3f}"] if result.mhz else []
    per_mac = f"{row.cycles_per_mac:.2f}" if row.cycles_per_mac is not None else ""
    return [row.name, row.kernel, f"{row.instructions:,}", f"({row.skipped:,})", f"{row.cycles:,}", *milliseconds, f"{row.macs:,}", per_mac,
            f"{row.loads:,}", f"{row.stores:,}", f"{row.bytes_read:,}", f"{row.bytes_written:,}", f"{row.stack_bytes:,}", _verdict(row, integer)]


def _verdict(row: Row, integer: bool) -> str | Text:
    if integer:
        return {True: Text("yes", "green"), False: Text("NO", "bold red"), None: Text("")}[row.bit_exact]
    return f"{row.max_abs_error:.1e}" if row.max_abs_error is not None else ""


def _traffic(result: Result) -> Table:
    """Bytes by tensor: read, and where the layer writes it, +written."""
    profile = result.profile
    rows = [*profile.layers, profile.outside]
    parts = [part for part in PARTS if part in profile.totals.traffic]
    of = f", input {result.inputs[0].name}" if len(result.inputs) > 1 else ""
    table = Table(title=f"bytes read + written, by tensor{of}", title_justify="left", header_style="bold")
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
    text.append(f"-> {answer.winner}", "bold").append(f", {answer.confidence:.1%} confident")
    return text.append(_untrained(answer))


def _untrained(answer: Answer) -> str:
    return "" if answer.trained else UNTRAINED


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
