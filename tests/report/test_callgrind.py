"""--callgrind: what callgrind_annotate and a reader of our own find in it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emu.build.cache import REPOSITORY
from tests.firmware.conftest import needs
from tests.report.conftest import CALLS, FIGURES, Exported, export

EVENTS = ("Cycles", "Instructions", "BytesRead", "BytesWritten")


@dataclass
class Profile:
    """What the format says: sums by (function, file, line), and calls by (caller, callee): how many, and their inclusive sums."""

    header: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    own: Counter[tuple[str, str, int, int]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def sum(self, function: str | None = None) -> list[int]:
        return [sum(cost for (name, _, _, event), cost in self.own.items() if event == number and function in (None, name))
                for number in range(4)]

    def called(self, of: int, function: str) -> list[int]:
        """Inclusive sums of all calls by a function (of = 0) or of one (1)."""
        return [sum(cost for (*names, event), cost in self.calls.items() if event == number and names[of] == function)
                for number in range(4)]


def read(path: Path) -> Profile:
    """A reader of the format, with nothing of the writer's. Every line must be one that the format has."""
    found, names = Profile(), {}
    function = file = callee = called = None
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"(ob|fl|fi|fe|fn|cfi|cfn)=\((\d+)\)(?: (.+))?", line):
            kind, number, name = match.groups()
            space = {"cfn": "fn", "fi": "fl", "fe": "fl", "cfi": "fl"}.get(kind, kind)
            assert (name is None) == ((space, number) in names), line
            name = names.setdefault((space, number), name)
            if kind == "fn":
                function = name
            elif kind == "cfn":
                callee = name
            elif kind in ("fl", "fi", "fe"):
                file = name
        elif match := re.fullmatch(r"calls=(\d+) 0x[0-9a-f]+ \d+", line):
            called = int(match[1])
        elif match := re.fullmatch(r"0x[0-9a-f]+ (\d+) (\d+) (\d+) (\d+) (\d+)", line):
            number, *costs = map(int, match.groups())
            for event, cost in enumerate(costs):
                if called is None:
                    found.own[function, file, number, event] += cost
                else:
                    found.calls[function, callee, event] += cost
            if called is not None:
                found.counts[function, callee] += called
            called = None
        elif match := re.fullmatch(r"(\w+): (.*)", line):
            found.header[match[1]].append(match[2])
        else:
            assert not line or line.startswith("#"), line
    return found


@pytest.fixture
def profile(exported: Exported) -> Profile:
    return read(exported.path("callgrind"))


def test_the_head(profile, exported) -> None:
    assert profile.header["events"] == [" ".join(EVENTS)]
    assert profile.header["positions"] == ["instr line"]
    assert exported.json["core"] in profile.header["event"][0] and exported.json["memory"] in profile.header["event"][0]
    assert profile.header["totals"] == profile.header["summary"] == [" ".join(str(exported.totals[figure]) for figure in FIGURES)]


def test_costs_add_up_by_function_and_line(profile, exported) -> None:
    assert profile.sum() == list(exported.totals.values())
    assert {row["name"]: profile.sum(row["name"]) for row in exported.functions} == {
        row["name"]: [row["self"][figure] for figure in FIGURES] for row in exported.functions}
    lines: Counter[tuple[str, int]] = Counter()
    for (_, file, line, event), cost in profile.own.items():
        lines[Path(file).name, line] += cost if not event else 0
    expected: Counter[tuple[str, int]] = Counter()
    for row in exported.json["functions"]["lines"]:
        expected[Path(row["file"]).name if row["file"] else "???", row["line"] or 0] += row["cycles"]
    if not any(row["symbol"] == "SysTick_Handler" for row in exported.functions):  # entering one stands at the handler here
        assert +lines == +expected


def test_calls_cost_what_functions_cost_with_their_callees(profile, exported) -> None:
    """What calls a function is what it cost with all that it called, recursion once; exceptions and starts call nobody."""
    calls: Counter[tuple[str, str]] = Counter()
    for site in exported.json["functions"]["calls"]:
        if site["kind"] not in ("handler", "start"):
            calls[site["caller"], site["callee"]] += site["count"]
    assert profile.counts == calls
    for row in exported.functions:
        own, below = profile.sum(row["name"]), profile.called(0, row["name"])
        inclusive = profile.called(1, row["name"]) if row["name"] in called(profile) else [a + b for a, b in zip(own, below, strict=True)]
        assert inclusive == [row["inclusive"][figure] for figure in FIGURES]


def called(profile: Profile) -> set[str]:
    return {callee for _, callee in profile.counts}


def annotated(exported: Exported, *options: str) -> list[tuple[list[int], str]]:
    """(figures, what they are of) of each line that has figures."""
    done = subprocess.run(["callgrind_annotate", "--threshold=100", *options, str(exported.path("callgrind"))], cwd=exported.folder,
                          capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    rows = re.findall(r"^ *((?:[\d,]+(?: \([ \d.]+%\))? +){4})(.*)$", done.stdout, re.MULTILINE)
    return [([int(number.replace(",", "")) for number in re.findall(r"([\d,]+)(?: \([ \d.]+%\))? +", figures)], of) for figures, of in rows]


@needs("callgrind_annotate")
def test_callgrind_annotate_adds_up_functions(exported) -> None:
    rows = annotated(exported, "--auto=no")
    assert rows[0] == (list(exported.totals.values()), "PROGRAM TOTALS") and len(rows) > len(exported.functions)
    assert [sum(column) for column in zip(*(figures for figures, _ in rows[1:]), strict=True)] == rows[0][0]
    assert {row["name"] for row in exported.functions if any(row["self"].values())} == {of.split(" [")[0].rpartition(":")[2] for _, of in rows[1:]}


@needs("callgrind_annotate")
def test_callgrind_annotate_adds_up_callees(exported, profile) -> None:
    rows = annotated(exported, "--auto=no", "--inclusive=yes")
    for row in exported.functions:
        if row["name"] in called(profile):
            found = [figures for figures, of in rows if of.split(" [")[0].endswith(f":{row['name']}")]
            assert [row["inclusive"][figure] for figure in FIGURES] in found


@needs("callgrind_annotate")
def test_costs_stand_beside_the_source(exported) -> None:
    lines = exported.json["functions"]["lines"]
    first = next(row for row in lines if row["file"] and not row["file"].startswith("generated"))
    text = (REPOSITORY / first["file"]).read_text().splitlines()[first["line"] - 1].strip()
    times = sum(row["instructions"] for row in lines if (row["file"], row["line"]) == (first["file"], first["line"]))
    assert any(figures[1] == times and text in of for figures, of in annotated(exported, "--auto=yes"))


def test_a_region_is_all_there_is(builder, tmp_path) -> None:
    region = export(tmp_path, str(builder.elf(CALLS)), "--region", "behind", "--report", "/dev/null", forms=("json", "callgrind"))
    assert read(region.path("callgrind")).sum() == [region.json["functions"]["totals"][figure] for figure in FIGURES]
    assert read(region.path("callgrind")).called(1, "behind") == [region.json["functions"]["totals"][figure] for figure in FIGURES]
