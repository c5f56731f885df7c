"""What a sweep found: tables for a terminal, JSON; and the points that are to be run."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from emu.experiment.sweep.cliffs import Cliff
from emu.experiment.sweep.columns import TYPES
from emu.experiment.sweep.plan import Plan, Work
from emu.experiment.sweep.run import Outcome
from emu.experiment.sweep.shapes import NETWORK
from emu.report import json_form
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
MADE, PLACE = ("kernels", "cc", "opt", "flags", "mcpu"), ("core", "memory", "seed")  # how an image is made, and where it runs
AXES = (*MADE, *PLACE)
PATHS = ("kernels", "cc")  # names, or paths
MOST_COLUMNS, MOST_LINES, MOST_PROBLEMS = 6, 60, 10
Row = Mapping[str, Any]


def render(found: Outcome, target: str) -> str:
    """Every shape with every variant, each variant against the first, and what went wrong."""
    rows = found.rows
    parts: list[Table | Text | str] = []
    if any(row["status"] == "ok" for row in rows):
        table = _Pivot(rows)
        parts += [Text(_title(rows), "italic"), table.drawn()]
        if len(table.variants) > 1 and len(table.subjects) > MOST_COLUMNS:
            parts += [Text("each variant over all of them", "italic"), _variants(table)]
    return printed([*parts, *problems(rows), _summary(found, target)])


def varied(rows: Sequence[Row], axes: Sequence[str] = AXES) -> tuple[str, ...]:
    """The axes on which the rows differ; code for the core that runs it is no axis of its own."""
    own = all(row["mcpu"] == row["core"] for row in rows)
    of = {axis: {row[axis] for row in rows if axis != "seed" or row["kind"] != "network"} for axis in axes if axis != "mcpu" or not own}
    return tuple(axis for axis, values in of.items() if len(values) > 1)


def _title(rows: Sequence[Row]) -> str:
    """What all rows have in common."""
    axes = varied(rows)
    same = [_axis(axis, rows[0][axis], ()) for axis in AXES if axis not in (*axes, "mcpu", "seed") and rows[0][axis]]
    return f"cycles a MAC; cycles of networks and pools: {', '.join(same)}"


def variant(row: Row, axes: Sequence[str], alike: Collection[str]) -> str:
    """What tells a row from others of its shape. alike: `same_names` of all rows."""
    return " ".join(_axis(axis, row[axis], alike) for axis in axes if row[axis] not in ("", None)) or str(row["kernels"])


def same_names(rows: Sequence[Row]) -> set[str]:
    """Kernels and compilers whose last name is another one's, too: those are shown with their folders."""
    found = {str(row[axis]) for row in rows for axis in PATHS}
    named = Counter(_last(value) for value in found)
    return {value for value in found if named[_last(value)] > 1}


def _axis(axis: str, value: object, alike: Collection[str]) -> str:
    shown = str(value) if value in alike else _last(str(value))
    return {"opt": f"-{value}", "mcpu": f"-mcpu={value}", "seed": f"seed {value}", **dict.fromkeys(PATHS, shown)}.get(axis, str(value))


def _last(path: str) -> str:
    return path.rpartition("/")[2]


class _Pivot:
    """Rows by subject (a shape, on a core with memories) and by variant (a kernel set, as a compiler makes it).

    Where there is one variant, cores and memories take its place, which do not compete. best: the fewest cycles by subject.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        made, place = varied(rows, MADE), varied(rows, PLACE)
        self.competing = bool(made)
        across, down = (made, place) if made else (place, ())
        alike = same_names(rows)
        self.cells: dict[tuple[str, str], Row] = {}
        for row in rows:
            subject = " ".join([row["shape"], *(_axis(axis, row[axis], alike) for axis in down)])
            self.cells[subject, variant(row, across, alike)] = row
        self.subjects, self.variants = (list(dict.fromkeys(key[number] for key in self.cells)) for number in (0, 1))
        costs = {subject: [row["cycles"] for of, row in self.cells.items() if of[0] == subject and row["status"] == "ok"] for subject in self.subjects}
        self.best = {subject: min(found) for subject, found in costs.items() if found}

    def cycles(self, subject: str, of: str) -> float:
        """Infinite where nothing is known."""
        row = self.cells.get((subject, of))
        return row["cycles"] if row and row["status"] == "ok" else math.inf

    def drawn(self) -> Table:
        """Subjects down and variants across; few subjects across and many variants down; else the best variant of every subject."""
        if len(self.variants) <= MOST_COLUMNS:
            return self._table("shape", self.subjects, self.variants, lambda subject, of: (subject, of))
        if len(self.subjects) <= MOST_COLUMNS:
            ranked = sorted(self.variants, key=lambda of: [self.cycles(subject, of) for subject in self.subjects])
            return self._table("variant", ranked, self.subjects, lambda of, subject: (subject, of))
        return self._best()

    def _table(self, head: str, down: Sequence[str], across: Sequence[str], key: Callable[[str, str], tuple[str, str]]) -> Table:
        of_shapes = head == "shape"
        table = _titled(head, *(["MACs"] if of_shapes else []), *across)
        for line in down[:MOST_LINES]:
            rows = [self.cells.get(key(line, name)) for name in across]
            macs = next((row["macs"] for row in rows if row and row["macs"]), 0)
            table.add_row(line, *([f"{macs:,}" if macs else ""] if of_shapes else []), *(self._cost(key(line, name)) for name in across))
        return _cut(table, down)

    def _cost(self, place: tuple[str, str]) -> Text:
        """Cycles a MAC where there are MACs; the best of its subject in green."""
        row = self.cells.get(place)
        if row is None or row["status"] != "ok":
            return Text(row["status"] if row else "", "red")
        figure = f"{row['cycles']:,}" if not row["macs"] or row["kind"] == NETWORK else f"{row['cycles_per_mac']:.2f}"
        return Text(figure, "bold green" if self.competing and row["cycles"] == self.best[place[0]] else "")

    def _best(self) -> Table:
        table = _titled("shape", "MACs", "cycles", "cycles/MAC", "best variant", "times", "worst variant")
        for subject in self.subjects[:MOST_LINES]:
            ranked = sorted((self.cycles(subject, of), of) for of in self.variants)
            (cycles, best), (most, worst) = ranked[0], [pair for pair in ranked if pair[0] < math.inf or pair == ranked[0]][-1]
            if cycles < math.inf:
                row = self.cells[subject, best]
                table.add_row(subject, f"{row['macs']:,}" if row["macs"] else "", f"{cycles:,}", f"{row['cycles_per_mac']:.2f}" if row["macs"] else "",
                              best, f"{most / cycles:.2f}", worst)
        return _cut(table, self.subjects)


def _titled(*heads: str) -> Table:
    """Names to the left, figures to the right."""
    table = Table(header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number and not head.endswith("variant") else "left")
    return table


def _cut(table: Table, lines: Sequence[str]) -> Table:
    """Says how many lines were left out."""
    if len(lines) > MOST_LINES:
        table.add_row(f"... {len(lines) - MOST_LINES:,} more", *[""] * (len(table.columns) - 1))
    return table


def _variants(table: _Pivot) -> Table:
    """Of every variant: its points, the mean of its cycles against the first one's, and of how many subjects it is the best."""
    first = table.variants[0]
    drawn = _titled("variant", "ok", "not", f"cycles against {first}", "best of", "median cycles/MAC")
    for of in table.variants:
        rows = {subject: row for (subject, other), row in table.cells.items() if other == of}
        good = {subject: row for subject, row in rows.items() if row["status"] == "ok"}
        ratios = [row["cycles"] / table.cycles(subject, first) for subject, row in good.items() if table.cycles(subject, first) < math.inf]
        per_mac = [row["cycles_per_mac"] for row in good.values() if row["cycles_per_mac"]]
        best = sum(row["cycles"] == table.best[subject] for subject, row in good.items())
        drawn.add_row(of, f"{len(good):,}", f"{len(rows) - len(good):,}" if len(rows) > len(good) else "",
                      f"{statistics.geometric_mean(ratios):.3f}" if ratios else "", f"{best:,}" if table.competing else "",
                      f"{statistics.median(per_mac):.2f}" if per_mac else "")
    return drawn


def problems(rows: Sequence[Row]) -> list[str]:
    """Statuses but ok, and texts: each once, with the number of its points."""
    counted = Counter((row["status"], row["error"] or "") for row in rows if row["status"] != "ok")
    first = {(row["status"], row["error"] or ""): row for row in reversed(rows)}
    lines = [f"{status}: {error or 'no text'} ({count:,} point{'s' * (count > 1)}, first {first[status, error]['shape']}, "
             f"{first[status, error]['kernels']}, {first[status, error]['core']})"
             for (status, error), count in counted.most_common(MOST_PROBLEMS)]
    return lines + ([f"{len(counted) - MOST_PROBLEMS} problems more: see the column error"] if len(counted) > MOST_PROBLEMS else [])


def _summary(found: Outcome, target: str) -> str:
    rows, planned = found.rows, len(found.plan.points)
    statuses = Counter(row["status"] for row in rows)
    words = [f"{count:,} {status}" for status, count in statuses.most_common()]
    parts = [f"{target}: {len(rows):,} of {planned:,} points ({', '.join(words) or 'none'}), {found.ran:,} run now"]
    if found.plan.large:
        parts.append(f"{found.plan.large:,} shapes left out for their MACs")
    if found.others:
        parts.append(f"{found.others:,} rows of other points kept (--fresh drops them)")
    if found.interrupted:
        parts.append("interrupted: the same command goes on")
    return "; ".join(parts)


def render_plan(planned: Plan, work: Work) -> str:
    """Every point, whether it is done, and how many runs serve what is left."""
    left = {row["point"] for row in work.ready} | {point.row["point"] for points in work.served for point in points}
    lines = [_asked(point.row, "to run" if point.row["point"] in left else "done") for point in planned.points]
    large = f"; {planned.large:,} shapes left out for their MACs" if planned.large else ""
    return "\n".join([*lines, f"{len(planned.points):,} points, {work.points:,} to do, in {len(work.tasks):,} runs{large}"]) + "\n"


def _asked(row: Row, state: str) -> str:
    """One point on a line."""
    code = f"-mcpu={row['mcpu']}" if row["mcpu"] != row["core"] else ""
    words = (f"{row['shape']}:", row["kernels"], row["cc"], f"-{row['opt']}", row["flags"], code, row["core"], row["memory"], f"seed {row['seed']}")
    return f"{row.get('status') or state:14} {' '.join(filter(None, words))}"


def render_plan_json(planned: Plan, work: Work) -> str:
    """schema, points (what is known of each before it runs), to_do, runs."""
    return json_form.dumps({"schema": SCHEMA, "points": [point.row for point in planned.points], "to_do": work.points, "runs": len(work.tasks)})


def render_json(found: Outcome, target: str) -> str:
    """schema, file, points, ran, interrupted, statuses, rows (the columns of the results)."""
    return json_form.dumps({
        "schema": SCHEMA, "file": target, "points": len(found.plan.points), "ran": found.ran, "interrupted": found.interrupted,
        "statuses": dict(Counter(row["status"] for row in found.rows)),
        "rows": [{name: row.get(name) for name in TYPES} for row in found.rows]})


# --- cliffs ---


def render_cliffs(cliffs: Sequence[Cliff], ratio: float, top: int) -> str:
    """Shapes that cost over `ratio` times their neighbours a MAC."""
    if not cliffs:
        return f"no shape costs over {ratio:g} times its neighbour a MAC\n"
    table = Table(header_style="bold")
    for head in ("variant", "shape", "cycles", "a MAC", "times", "neighbour", "cycles", "a MAC", "in"):
        table.add_column(head, justify="right" if head in ("cycles", "a MAC", "times") else "left")
    rows = [cliff.row for cliff in cliffs]
    axes, alike = varied(rows), same_names(rows)
    for cliff in cliffs[:top]:
        own, other = ([f"{row['cycles']:,}", f"{row['cycles_per_mac']:.2f}"] for row in (cliff.row, cliff.neighbour))
        table.add_row(variant(cliff.row, axes, alike), cliff.row["shape"], *own, f"{cliff.ratio:.2f}", cliff.neighbour["shape"], *other,
                      f"{cliff.axis}, {'larger' if cliff.up else 'smaller'}")
    up, steep = sum(cliff.up for cliff in cliffs), sum(cliff.steep for cliff in cliffs)
    summary = (f"{len(cliffs):,} in all: {up:,} cost more than a smaller neighbour, {steep - up:,} no fewer cycles than a larger one; {len(cliffs) - steep:,} "
               "have fewer MACs than a larger neighbour for what a call costs at least")
    return printed([Text(f"shapes that cost over {ratio:g} times their neighbour a MAC", "italic"), table, summary])


def cliffs_json(cliffs: Sequence[Cliff]) -> list[dict[str, object]]:
    """Of each its point, the neighbour's, the size in which they differ, and the ratio."""
    return [{"point": cliff.row["point"], "shape": cliff.row["shape"], "kernels": cliff.row["kernels"], "cycles_per_mac": cliff.row["cycles_per_mac"],
             "neighbour": cliff.neighbour["shape"], "neighbour_cycles_per_mac": cliff.neighbour["cycles_per_mac"], "axis": cliff.axis,
             "ratio": cliff.ratio, "up": cliff.up, "steep": cliff.steep} for cliff in cliffs]
