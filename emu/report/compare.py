"""Sides of a comparison: tables for a terminal and for GitHub, JSON, CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from emu.experiment.compare import FIGURES, Comparison, FunctionLine, Line, Measured, percent
from emu.experiment.sides import columns
from emu.profile import Row
from emu.report.csv_form import text as csv_text
from emu.report.records import BUILT, Records, built
from emu.report.table import compiler, whose

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
HEADS = ("instructions", "cycles", "bytes read", "written", "stack", "code bytes")  # of FIGURES
_COLUMNS = {"layer": "string", "side": "string", "kernel": "string", **dict.fromkeys(FIGURES, "int64"),
            **{f"percent_{name}": "double" for name in FIGURES}, "bit_exact": "bool", "max_abs_error": "double", **BUILT,
            "revision": "string", "commit": "string"}  # of Parquet
_LAYERS_TITLE = "by layer; percent against {}"
_FUNCTIONS_TITLE = "functions that the differences come from: own cycles, and the difference in percent of all of {}'s"


@dataclass(frozen=True)
class Shown:
    """A comparison as forms draw it. top: functions that tables show."""

    found: Comparison
    top: int = 10

    def parts(self) -> list[Table | Text | str]:
        """Layers, a line a side; the functions that differ most; what each side is."""
        return _parts(self.found, self.top)

    def document(self) -> dict[str, object]:
        """docs/reports.md has the keys."""
        return _document(self.found)

    def csv(self) -> str:
        """A row a layer and side."""
        return _csv(self.found)

    def records(self) -> Records:
        """The same rows, with what made each side."""
        return Records(_COLUMNS, list(_rows(self.found)), {"input": self.found.input, "sides": [one.side.text for one in self.found.sides]})


def _parts(found: Comparison, top: int) -> list[Table | Text | str]:
    names = columns([one.side for one in found.sides])
    parts: list[Table | Text | str] = [Text(f"kws, input {found.input}, {_LAYERS_TITLE.format(names[0])}", "italic"), _layers(found, names)]
    if found.functions:
        parts += [Text(_FUNCTIONS_TITLE.format(names[0]), "italic"), _functions(found, names, top)]
    else:
        parts.append("no function's cycles differ")
    return [*parts, *(f"{one.side.text}: {_about(one)}" for one in found.sides)]


def _layers(found: Comparison, names: Sequence[str]) -> Table:
    table = Table(header_style="bold")
    for name in ("layer", "side"):
        table.add_column(name)
    for name in (*HEADS, _verdict_head(found)):
        table.add_column(name, justify="right")
    for line in found.lines:
        total = line is found.lines[-1]
        for number, (name, cell) in enumerate(zip(names, line.cells, strict=True)):
            table.add_row("" if number else line.name, name, *_figures(line, number), _verdict(cell.row),
                          end_section=number == len(names) - 1, style="bold" if total else None)
    return table


def _figures(line: Line, number: int) -> list[Text]:
    """Of one side: figure and difference, which has a place of its own so that figures stand under each other."""
    cells = []
    for value, first in zip(line.cells[number].figures, line.cells[0].figures, strict=True):
        shown = _percent(value, first) if number else ""
        style = "" if value == first else "green" if value < first else "red"
        cells.append(Text(f"{value:,} ").append(f"{shown:>8}", style))
    return cells


def _percent(value: int, first: int) -> str:
    change = percent(value, first)
    return "new" if change is None else _signed(change) if change else "="


def _signed(change: float) -> str:
    """Percent; small ones to a hundredth."""
    return f"{change:+.{1 if abs(change) >= 1 else 2}f}%"


def _functions(found: Comparison, names: Sequence[str], top: int) -> Table:
    table = Table(header_style="bold")
    for name in ("layer", "function"):
        table.add_column(name)
    for name in _function_heads(names):
        table.add_column(name, justify="right")
    rows = _function_rows(found, top)
    for position, row in enumerate(rows, 1):
        total = position == len(rows)
        table.add_row(*row, end_section=position == len(rows) - 1, style="bold" if total else None)
    return table


def _function_heads(names: Sequence[str]) -> list[str]:
    return [names[0], *(head for name in names[1:] for head in (name, "difference", "%"))]


def _function_rows(found: Comparison, top: int) -> list[list[str]]:
    """Cells: the `top` functions, what the others come to, the total. The lines above the total add up to it."""
    total = tuple(cell.row.cycles for cell in found.lines[-1].cells)
    shown = list(found.functions[:top])
    rest = tuple(whole - sum(line.cycles[number] for line in shown) for number, whole in enumerate(total))
    hidden = len(found.functions) - len(shown)
    lines = [*shown, *([FunctionLine("", f"{hidden} more, and what is equal" if hidden else "what is equal", rest)] if any(rest) else []),
             FunctionLine("", "total", total)]
    return [[line.layer, line.function, *_function_figures(line.cycles, total[0])] for line in lines]


def _function_figures(cycles: Sequence[int], total: int) -> list[str]:
    first, *others = cycles
    cells = [f"{first:,}" if first else ""]
    for other in others:
        change = (f"{other - first:+,}", _signed(100 * (other - first) / total)) if other != first else ("=" if first else "", "")
        cells += [f"{other:,}" if other else "", *change]
    return cells


def _verdict_head(found: Comparison) -> str:
    floating = [one.profile.totals.max_abs_error is not None for one in found.sides]
    return "max |error|" if all(floating) else "bit-exact or max |error|" if any(floating) else "bit-exact"


def _verdict(row: Row) -> Text:
    return Text(_verdict_words(row), {True: "green", False: "bold red", None: ""}[row.bit_exact])


def _verdict_words(row: Row) -> str:
    if row.max_abs_error is not None:
        return f"{row.max_abs_error:.1e}"
    return {True: "yes", False: "NO", None: ""}[row.bit_exact]


def _about(one: Measured) -> str:
    profile, about = one.profile, one.profile.about
    verdict = (f"max |error| {profile.totals.max_abs_error:.1e}" if profile.totals.max_abs_error is not None
               else "bit-exact" if not one.difference else f"NOT bit-exact: {one.difference}")
    commit = f" of commit {one.commit[:12]}" if one.commit else ""
    image = f"{about['image']['flash_bytes']:,} bytes of flash (SHA-256 {about['image']['sha256'][:16]})"
    kernels = "".join(f" ({line})" for line in whose(about))
    name = about["kernel_set"]["name"] if one.commit else about["kernels"]  # of a commit the folder is one of the cache
    return (f"{name} kernels{commit}{kernels}, {compiler(about)}; "
            f"{profile.core}, {profile.memory} memory; {image}; {verdict}")


# --- for scripts ---


def _document(found: Comparison) -> dict[str, object]:
    """schema, input, figures, sides (what each is, its layers, outside and total, each with its differences), functions."""
    return {
        "schema": SCHEMA, "input": found.input, "figures": list(FIGURES),
        "sides": [_side(found, number) for number in range(len(found.sides))],
        "functions": [{"layer": line.layer, "function": line.function, "cycles": list(line.cycles),
                       "difference": [cycles - line.cycles[0] for cycles in line.cycles]} for line in found.functions]}


def _side(found: Comparison, number: int) -> dict[str, object]:
    one = found.sides[number]
    *layers, outside, total = (_facts(line, number) for line in found.lines)
    about = {key: value for key, value in one.profile.about.items() if key != "input"}
    return {"side": one.side.text, "core": one.profile.core, "memory": one.profile.memory, "revision": one.side.revision,
            "commit": one.commit, **about, "bit_exact": one.profile.totals.bit_exact, "first_difference": one.difference,
            "layers": layers, "outside": outside, "totals": total}


def _facts(line: Line, number: int) -> dict[str, object]:
    cell = line.cells[number]
    return {"name": cell.row.name, "kernel": cell.row.kernel, **dict(zip(FIGURES, cell.figures, strict=True)),
            "bit_exact": cell.row.bit_exact, "max_abs_error": cell.row.max_abs_error,
            "difference": _by_figure(line, number, lambda value, first: value - first), "percent": _by_figure(line, number, percent)}


def _by_figure(line: Line, number: int, of: Callable[[int, int], float | None]) -> dict[str, float | None]:
    return {name: of(value, first) for name, value, first in zip(FIGURES, line.cells[number].figures, line.cells[0].figures, strict=True)}


def _csv(found: Comparison) -> str:
    """One row a layer and side, no total; the layer is named as the first side names it."""
    header = ("layer", "side", "kernel", *FIGURES, *(f"percent_{name}" for name in FIGURES), "bit_exact", "max_abs_error")
    return csv_text(header, ([row[name] for name in header] for row in _rows(found)))


def _rows(found: Comparison) -> Iterator[dict[str, object]]:
    for line in found.lines[:-1]:
        for number, one in enumerate(found.sides):
            facts = _facts(line, number)
            percents = {f"percent_{name}": change for name, change in facts.pop("percent").items()}
            made = {"side": one.side.text, "revision": one.side.revision, "commit": one.commit, **built(one.profile)}
            yield {**facts, **percents, **made, "layer": line.name}
