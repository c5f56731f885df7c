"""What a search found: for a terminal and for GitHub, as JSON, and as a patch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.table import Table
from rich.text import Text

from emu.experiment.search.marks import Region
from emu.experiment.search.run import Line, Result, Side
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes


@dataclass(frozen=True)
class Shown:
    """A search."""

    result: Result

    def parts(self) -> list[Table | Text | str]:
        """What was gained, then the region before and behind, instruction by instruction."""
        result = self.result
        about = result.about
        title = Text(f"search {result.region.name} ({result.region.where}), {about['kernels']} kernels, on a modelled {about['cores'][0]} with "
                     f"{about['memory']} memory, input {about['input']}", "italic")
        return [title, _summary(result), _listing(result), *_notes(result)]

    def document(self) -> dict[str, object]:
        """docs/experiments.md has the keys."""
        result, region = self.result, self.result.region
        return {
            "schema": SCHEMA, **result.about,
            "region": {"name": region.name, "file": region.file, "begin": region.begin, "end": region.end, "expansions": result.expansions,
                       "others": result.others, "executions": result.executions},
            "priced": result.priced, "orders": result.orders, "exhausted": result.exhausted, "before": _side(result.before),
            "after": _side(result.after) if result.after else None, "gained": result.gained, "predicted": list(result.predicted),
            "calls": result.calls, "rejected": list(result.rejected),
            "source": list(result.source.lines) if result.source else None, "obstacle": result.source.obstacle if result.source else None}


def diff(shown: Shown, _target: str) -> str:
    """What would change in the source; empty when nothing would."""
    return shown.result.diff


def listed(regions: Sequence[Region]) -> str:
    """The regions that there are, and why some cannot be searched."""
    table = Table(header_style="bold")
    for name in ("region", "where", "statements"):
        table.add_column(name, justify="right" if name == "statements" else "left")
    for region in regions:
        table.add_row(region.name, f"{region.where}-{region.end}", "none" if region.problem else str(len(region.items)))
    return printed([table, *(f"{region.name}: {region.problem}" for region in regions if region.problem)])


def _side(side: Side) -> dict[str, object]:
    lines = [{**line._asdict(), "reasons": dict(line.reasons)} for line in side.lines]
    return {"cycles": side.cycles, "layers": dict(side.layers), "totals": dict(side.totals), "lines": lines}


def _summary(result: Result) -> Table:
    table = Table(header_style="bold")
    table.add_column("cycles")
    for name in ("before", "after", "difference", "%"):
        table.add_column(name, justify="right")
    for name, before, after in _figures(result):
        gained = () if after is None else (f"{after - before:+,}", f"{100 * (after - before) / before:+.2f}" if before else "")
        table.add_row(name, f"{before:,}", "" if after is None else f"{after:,}", *gained)
    return table


def _figures(result: Result) -> Iterator[tuple[str, int, int | None]]:
    """(what, cycles before, cycles behind)."""
    before, after = result.before, result.after
    yield f"the region, {result.executions:,} times", before.cycles, after.cycles if after else None
    behind = dict(after.layers) if after else {}
    for name, cycles in before.layers:
        yield name, cycles, behind.get(name)
    for number, (core, cycles) in enumerate(before.totals):
        yield f"the whole run{f', {core}' if number else ''}", cycles, after.totals[number][1] if after else None


def _listing(result: Result) -> Table:
    table = Table(header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("before", no_wrap=True)
    table.add_column("cycles", justify="right")
    if not result.after:
        table.add_column("why")
        for line in result.before.lines:
            table.add_row(str(line.unit), line.text, str(line.cycles), _why(line))
        return table
    table.add_column("#", justify="right")
    table.add_column("after", no_wrap=True)
    table.add_column("cycles", justify="right")
    table.add_column("why")
    for old, new in zip_longest(result.before.lines, result.after.lines):
        table.add_row(str(old.unit), old.text, str(old.cycles), str(new.unit), Text(new.text, "bold" if new.moved else ""), str(new.cycles), _why(new))
    return table


def _why(line: Line) -> str:
    return ", ".join(f"{reason} {cycles}" for reason, cycles in line.reasons)


def _notes(result: Result) -> Iterator[str]:
    of = ("of too many legal orders to count" if result.orders is None else "the only legal order among them" if result.orders == 1
          else f"all {result.orders:,} legal orders among them" if result.exhausted else f"of {result.orders:,} legal orders")
    yield f"{result.priced:,} schedule{'s' if result.priced != 1 else ''} priced, {of}; seed {result.about['seed']}"
    if result.expansions > 1:
        yield f"{result.expansions} expansions of the region were changed alike"
    if result.others:
        yield f"{result.others} of its expansions have other instructions and stay as they are"
    for wrong in result.rejected:
        yield f"rejected, though its dependences and its price allow it: {wrong}"
    if any("cycles were measured" not in wrong for wrong in result.rejected):
        yield "so something jumps into the region, or accesses meet that its mark says never do, or this is a bug in thumbcycle"
    if not result.after:
        yield "nothing cheaper was found" if not result.rejected else "nothing cheaper held"
        return
    measured = tuple(cycles for _, cycles in result.after.totals)
    agree = "as measured" if result.predicted == measured else f"but {_listed(measured)} were measured"
    yield f"bit-exact in the network and in {result.calls} calls of its kernels; predicted {_listed(result.predicted)} cycles, {agree}"
    if result.source.obstacle:
        yield f"the source cannot be changed by itself: {result.source.obstacle}"


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)
