"""The gate's findings: as a table, JSON, GitHub's Markdown, JUnit XML and GitHub's annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from xml.etree import ElementTree as xml

from rich.table import Table
from rich.text import Text

from emu.check.budgets import OPTIONS
from emu.check.gate import ELSEWHERE, FAILS, IMPROVED, Checked, written
from emu.report import json_form, markdown
from emu.report.table import printed

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_TOTALS = ("instructions", "cycles", "bytes_read", "bytes_written")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(checked: Sequence[Checked]) -> str:
    """A line a run, and under the table a line for everything that is not as its budget says."""
    return printed(_parts(checked))


def _parts(checked: Sequence[Checked]) -> list[Table | str]:
    return [_table(checked), *(f"{one.budget.name}: {text}" for one in checked for _, text in _remarks(one))]


def render_update(checked: Sequence[Checked], settled: Sequence[Checked]) -> str:
    """The same of an update: the table as it stands now, what was written, and what still fails."""
    left = [f"{one.budget.name}: {text}" for one in settled for _, text in _remarks(one)]
    return printed([_table(settled), *(f"written: {line}" for line in written(checked, settled) or ["nothing"]), *left])


def _table(checked: Sequence[Checked]) -> Table:
    table = Table(title="thumbcycle: kernels against their budgets, all layers together", title_justify="left", header_style="bold")
    table.add_column("run")
    for name in _TOTALS:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("bit-exact")
    table.add_column("verdict")
    for one in checked:
        table.add_row(one.budget.name, *_totals(one), _exact(one), Text(one.verdict, "bold" if one.problems else ""))
    return table


def render_markdown(checked: Sequence[Checked]) -> str:
    """The same in GitHub's Markdown."""
    return markdown.text(_parts(checked)) + "\n"


def render_json(checked: Sequence[Checked]) -> str:
    """schema, passed, runs (options, compiler, budget_compiler, verdict, bit_exact, difference, failure, and layers: name, verdict, budget,
    measured, compared)."""
    return json_form.dumps({"schema": SCHEMA, "passed": not any(one.problems for one in checked), "runs": [{
        **dict(zip(OPTIONS, one.budget.options, strict=True)), "shapes": one.budget.shapes or None, "compiler": one.compiler or None, "budget_compiler": one.budget.compiler,
        "verdict": one.verdict, "bit_exact": None if one.floating or one.failure else not one.wrong, "difference": one.wrong or None,
        "failure": one.failure or None,
        "layers": [{"name": layer.name, "verdict": layer.verdict, "budget": asdict(layer.budget) if layer.budget else None,
                    "measured": asdict(layer.measured) if layer.measured else None, "compared": list(layer.compared)}
                   for layer in one.layers],
    } for one in checked]})


def render_junit(checked: Sequence[Checked]) -> str:
    """A suite a run: a case for its output, and one for every layer; what another compiler made is skipped."""
    root = xml.Element("testsuites", name="thumbcycle")
    for one in checked:
        suite = xml.SubElement(root, "testsuite", name=one.budget.name)
        _case(suite, one, "run", "error" if one.failure else "", one.failure)
        if not one.failure and not one.floating:
            _case(suite, one, "bit-exact", "failure" if one.wrong else "", one.wrong)
        for layer in one.layers:
            _case(suite, one, layer.name, "failure" if layer.verdict in FAILS else "skipped" if layer.verdict == ELSEWHERE else "",
                  str(layer) if layer.verdict in FAILS else _elsewhere(one))
        cases = list(suite)
        suite.set("tests", str(len(cases)))
        for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: xml.Element, one: Checked, name: str, kind: str, message: str) -> None:
    case = xml.SubElement(suite, "testcase", classname=f"{one.budget.shown}.{one.budget.core}", name=name)
    if kind:
        xml.SubElement(case, kind, message=_NOT_XML.sub("?", message))


def annotations(path: str, checked: Sequence[Checked]) -> Iterator[str]:
    """Workflow commands of GitHub Actions, one a finding, at the line of the budget in the file `path`."""
    for one in checked:
        for level, found in (("error", one.problems), ("notice", _notices(one))):
            for layer, text in found:
                where = f"file={_property(path)},line={one.budget.line(layer)},title={_property(one.budget.name)}"
                yield f"::{level} {where}::{_data(text)}"


def _remarks(one: Checked) -> list[tuple[str, str]]:
    return [*one.problems, *_notices(one)]


def _notices(one: Checked) -> list[tuple[str, str]]:
    """(layer or "", text) of what does not fail."""
    better = [(layer.name, f"{layer.name} improved: {str(layer).partition(': ')[2]}; --update writes it down")
              for layer in one.of(IMPROVED) if not one.wrong]
    return better + [("", _elsewhere(one))] * bool(one.of(ELSEWHERE))


def _elsewhere(one: Checked) -> str:
    names = [layer.name for layer in one.of(ELSEWHERE)]
    what = "what C costs" if all(not layer.compared for layer in one.of(ELSEWHERE)) else "what C costs, and assembly's cycles"
    return f"not comparable in {', '.join(names)}: {what} belongs to {one.budget.compiler}, this is {one.compiler}"


def _totals(one: Checked) -> list[str]:
    if not one.layers:
        return [""] * len(_TOTALS)
    sides = [one.total(figure) for figure in _TOTALS]
    return [f"{measured:,}" + (f" ({measured - budget:+,})" if budget and measured != budget else "") for budget, measured in sides]


def _exact(one: Checked) -> str:
    return "" if one.floating or one.failure else "no" if one.wrong else "yes"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
