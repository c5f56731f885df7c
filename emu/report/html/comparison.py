"""Sides of a comparison as a page."""

from __future__ import annotations

from emu.experiment.compare import FIGURES, Comparison, Measured
from emu.experiment.sides import columns
from emu.report.compare import HEADS
from emu.report.html import shared
from emu.report.html.page import Section, change, count, page

MOST_FUNCTIONS = 200
_CYCLES = FIGURES.index("cycles")
_UNITS = {"instructions": "instructions", "cycles": "cycles"}  # of a figure; else bytes


def render(found: Comparison, command: str) -> str:
    """HTML text. Differences are against the first side."""
    names = columns([one.side for one in found.sides])
    return page(" / ".join(names), [_summary(found, names), _layers(found, names), _functions(found, names), *_made(found, names, command)])


def _summary(found: Comparison, names: list[str]) -> Section:
    cores = dict.fromkeys(f"{one.profile.core} with {one.profile.memory} memory" for one in found.sides)
    totals = [cell.figures[_CYCLES] for cell in found.lines[-1].cells]
    facts = [(name, count(total), f"cycles, {change(total, totals[0])}" if number else "cycles")
             for number, (name, total) in enumerate(zip(names, totals, strict=True))]
    values = {"heading": f"{names[0]} against {' and '.join(names[1:])}",
              "on": f"The keyword spotter on one input, {found.input}; a modelled {', '.join(cores)}",
              "verdict": _verdict(found), "sentences": [], "facts": facts}
    return Section("summary", "Summary", "summary", values)


def _verdict(found: Comparison) -> tuple[bool | None, str]:
    if found.difference:
        return False, f"NOT bit-exact: {found.difference}"
    if any(one.profile.totals.bit_exact is None for one in found.sides):
        return None, "Sides in integers are bit-exact; those in floating point are near their own reference"
    return True, "Bit-exact: every byte of every layer of all sides equals the NumPy reference"


def _layers(found: Comparison, names: list[str]) -> Section:
    """A chart and a table a figure."""
    *lines, total = found.lines
    charts, figures = {}, []
    for place, (figure, head) in enumerate(zip(FIGURES, HEADS, strict=True)):
        rows = [line.name for line in lines]
        sides = [(name, [line.cells[side].figures[place] for line in lines]) for side, name in enumerate(names)]
        charts[f"by-{figure}"] = shared.groups(rows, sides, _UNITS.get(figure, "bytes"))
        figures.append((figure, head, place))
    figures.sort(key=lambda row: row[0] != FIGURES[_CYCLES])  # cycles first, the others as they are
    values = {"lines": lines, "total": total, "names": names, "figures": figures, "legend": shared.sides(names), "open": FIGURES[_CYCLES]}
    return Section("layers", "Layers", "compared_layers", values, charts)


def _functions(found: Comparison, names: list[str]) -> Section:
    whole = found.lines[-1].cells[0].figures[_CYCLES]
    values = {"lines": found.functions[:MOST_FUNCTIONS], "hidden": len(found.functions) - MOST_FUNCTIONS, "names": names, "whole": whole}
    return Section("functions", "Functions", "compared_functions", values)


def _made(found: Comparison, names: list[str], command: str) -> list[Section]:
    """What each side is; then the command."""
    sides = [(name, _facts(one)) for name, one in zip(names, found.sides, strict=True)]
    return [Section("sides", "Sides", "sides", {"sides": sides}), shared.made([("Input", found.input)], command)]


def _facts(one: Measured) -> list[tuple[str, str]]:
    commit = [("Commit", f"{one.commit} ({one.side.revision})")] if one.commit else []
    exact = {True: "yes", False: f"NO: {one.difference}", None: f"floating point, at most {one.profile.totals.max_abs_error or 0:.1e} off"}
    return [("Side", one.side.text), *commit, *shared.facts_of_build(one.profile.about), ("Modelled core", one.profile.core),
            ("Memory", one.profile.memory), ("Bit-exact", exact[one.profile.totals.bit_exact])]
