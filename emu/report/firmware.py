"""A firmware's run as a table, JSON and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from rich.table import Table
from rich.text import Text

from emu.firmware import FirmwareResult, Totals
from emu.report import functions
from emu.report.csv_form import text
from emu.report.records import IMAGE, Records, of_functions, of_image
from emu.report.run import LookedInto

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
FIGURES = tuple(field.name for field in fields(Totals))
_COLUMNS = {**dict.fromkeys(FIGURES, "int64"), "milliseconds": "double", "ending": "string", "exit_code": "int64", "core": "string",
            "memory": "string", "board": "string", "clock": "int64", **IMAGE, "mhz": "double", "problem": "string"}  # of Parquet
_HEADINGS = {"instructions": "instructions", "skipped": "(skipped)", "cycles": "cycles", "loads": "loads", "stores": "stores", "bytes_read": "bytes read",
             "bytes_written": "written", "stack_bytes": "stack"}


def parts(result: FirmwareResult, mhz: float | None = None) -> list[Table | Text | str]:
    """What the run cost, on which core, how it ended."""
    title = Text(f"{result.about['image']['path']} on a modelled {result.core} with {result.memory} memory, board {result.about['board']}", "italic")
    return [title, _totals(result, mhz), *_about(result)]


def _totals(result: FirmwareResult, mhz: float | None) -> Table:
    table = Table(header_style="bold")
    cells = []
    for figure, heading in _HEADINGS.items():
        table.add_column(heading, justify="right")
        cells.append(f"{getattr(result.totals, figure):,}")
        if figure == "cycles" and mhz:
            table.add_column("ms", justify="right")
            cells.append(f"{milliseconds(result.totals.cycles, mhz):,.3f}")
    table.add_row(*cells)
    return table


def _about(result: FirmwareResult) -> list[str]:
    totals, lines = result.totals, []
    if totals.exceptions or totals.sleep_cycles:
        lines.append(f"taken    {totals.exceptions:,} exceptions; {totals.sleep_cycles:,} cycles asleep")
    for other in result.others:
        cycles = f"{other.cycles:,} cycles" if other.cycles is not None else f"not priced: {other.problem}"
        lines.append(f"core     {other.core}: {cycles}")
    if result.reads_time:
        lines.append(f"time     the program read {' and '.join(result.reads_time)}: what it did may depend on {result.core}'s cycles")
    lines.append(f"end      {result.ending.text}")
    return lines


def milliseconds(cycles: int, mhz: float) -> float:
    """At that clock."""
    return cycles / (mhz * 1e3)


def document(result: FirmwareResult, mhz: float | None = None) -> dict[str, object]:
    """For JSON; docs/firmware.md has the keys."""
    totals: dict[str, object] = {figure: getattr(result.totals, figure) for figure in FIGURES}
    if mhz:
        totals["milliseconds"] = milliseconds(result.totals.cycles, mhz)
    of_image = {"image": result.about["image"], "layers": []}  # the same keys as the main job's; a firmware has no layers
    cores: dict[str, object] = {result.core: {"cycles": result.totals.cycles, **of_image}}
    cores |= {other.core: {"cycles": other.cycles, **of_image, **({"problem": other.problem} if other.problem else {})} for other in result.others}
    ending = result.ending
    return {
        "schema": SCHEMA, "core": result.core, "memory": result.memory, **result.about, "cycles": result.totals.cycles, "totals": totals, "cores": cores,
        "ending": {"how": ending.how, "text": ending.text, "exit_code": ending.code, "status": ending.status},
        "notes": list(result.notes), "reads_time": list(result.reads_time), **({"mhz": mhz} if mhz else {})}


def render_csv(result: FirmwareResult, mhz: float | None = None) -> str:
    """CSV text: a header line and a row."""
    extra: Sequence[object] = [milliseconds(result.totals.cycles, mhz)] if mhz else []
    row = ["total", *(getattr(result.totals, figure) for figure in FIGURES), *extra]
    return text(("name", *FIGURES, *(["milliseconds"] if mhz else [])), [row])


def records(result: FirmwareResult, mhz: float | None = None) -> Records:
    """A row a core: counts are the run's, cycles the core's (none where it could not be priced)."""
    about = result.about
    made = {**asdict(result.totals), "ending": result.ending.text, "exit_code": result.ending.code, "memory": result.memory,
            "board": about["board"], "clock": about["clock"], "mhz": mhz, **of_image(about)}
    cores = [(result.core, result.totals.cycles, None), *((other.core, other.cycles, other.problem or None) for other in result.others)]
    rows = [made | {"core": core, "cycles": cycles, "problem": problem,
                    "milliseconds": milliseconds(cycles, mhz) if mhz and cycles is not None else None} for core, cycles, problem in cores]
    return Records(_COLUMNS, rows, about)


@dataclass(frozen=True)
class FirmwareRun(LookedInto):
    """A firmware. mhz: clock for milliseconds."""

    result: FirmwareResult
    mhz: float | None = None

    def parts(self) -> list[Table | Text | str]:
        """Totals, how it ended, functions."""
        return [*parts(self.result, self.mhz), *self._parts()]

    def document(self) -> dict[str, object]:
        """docs/firmware.md has the keys."""
        return document(self.result, self.mhz) | self._document()

    def csv(self) -> str:
        """A row; with functions, one a function."""
        return functions.render_csv(self.functions) if self.functions else render_csv(self.result, self.mhz)

    def records(self) -> Records:
        """A row a core; with functions, one a function."""
        return of_functions(self.functions, self.ran.about) if self.functions else records(self.result, self.mhz)


def record(run: FirmwareRun, _target: str) -> bytes:
    """The run as a recording, which other cores and tables can price."""
    from emu.timing import recording

    return recording.save(recording.record(run.ran.counts, run.ran.instructions))
