"""What stands in a page: figures, what made it, nothing from elsewhere, and nothing that a hostile program wants there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emu.report.html import lines
from emu.report.html.page import ROOM, change, signed_percent
from tests.cli.conftest import Run, one_line_error, run
from tests.firmware.conftest import Builder
from tests.report.html.conftest import DATA, FUNCTION, Page

__all__ = ["one_line_error", "run"]

KWS, COMPARE = ("emu.run", "kws"), ("emu.experiment", "compare", "thumb2", "c")
MOST = 2 << 20  # bytes of a page
VOID = {"meta", "input", "img", "br", "link", "base"}
ROWS = {"tr", "td", "th"}  # whose ends may be left out
HUNDRED, SECONDS = 100, 5


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Descendants in their order; class_="x" is one of its classes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and all(value in child.attributes.get(name, "").split() for name, value in wanted.items()):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        return " ".join("".join(child if isinstance(child, str) else child.text for child in self.children).split())

    def rows(self) -> list[list[str]]:
        """Texts of a table's cells, without rows that unfold."""
        return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in self.all("tr")
                if "more" not in row.attributes.get("class", "") and not _inside(row, self, "tr")]


def _inside(element: Element, top: Element, tag: str) -> bool:
    at = element.parent
    while at is not top:
        if at.tag == tag:
            return True
        at = at.parent
    return False


class Tree(HTMLParser):
    """The page as a browser takes it apart, as far as these pages go."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.top = self._at = Element("", {})
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        while tag in ROWS and self._at.tag in ROWS and not (tag != "tr" and self._at.tag == "tr"):
            self._at = self._at.parent
        element = Element(tag, {name: value or "" for name, value in attributes}, self._at)
        self._at.children.append(element)
        if tag not in VOID:
            self._at = element

    def handle_endtag(self, tag: str) -> None:
        while self._at.tag in ROWS and self._at.tag != tag:
            self._at = self._at.parent
        assert self._at.tag == tag, (tag, self._at.tag, self._at.text[:200])
        self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        self._at.children.append(data)


def read(page: Path) -> Element:
    return Tree(page.read_text(encoding="utf-8")).top


def table(top: Element, label: str) -> list[list[str]]:
    """Of the table in the place of that name."""
    place = next(place for tag in ("div",) for place in top.all(tag) if place.attributes.get("aria-label") == label)
    return place.all("table")[0].rows()


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture(scope="module")
def page(main_job: tuple[Path, dict]) -> Element:
    return read(main_job[0])


@pytest.fixture
def facts(main_job: tuple[Path, dict]) -> dict:
    return main_job[1]


def test_layers_are_the_json_s(page: Element, facts: dict) -> None:
    heads, *rows, total = table(page, "Layers")
    for row, layer in zip([*rows, total], [*facts["layers"], facts["outside"], facts["totals"]], strict=True):
        shown = dict(zip(heads, row, strict=True))
        assert shown["Layer"] == layer["name"].replace("total", "Total")
        for head, key in (("Cycles", "cycles"), ("Instructions", "instructions"), ("Stack", "stack_bytes")):
            assert number(shown[head]) == layer[key]
        assert number(shown["Bytes moved"]) == layer["bytes_read"] + layer["bytes_written"]
        assert shown["Exact"] == ("" if layer["name"] == "outside" else "✓ yes")


def test_traffic_and_its_chart_are_the_json_s(page: Element, facts: dict) -> None:
    heads, *rows, _ = table(page, "Traffic by tensor")
    chart = charts(page)["traffic-bytes"]
    assert chart["rows"] == [row[0] for row in rows]
    for place, (row, layer) in enumerate(zip(rows, [*facts["layers"], facts["outside"]], strict=True)):
        shown = {head: number(cell) for head, cell in zip(heads[1:], row[1:], strict=True) if cell and head in facts["totals"]["traffic"]}
        assert shown == {part: moved["bytes"] for part, moved in layer["traffic"].items()}
        assert {part["name"]: part["values"][place] for part in chart["parts"] if part["values"][place]} == shown


def test_minimum_and_stalls_add_up(page: Element, facts: dict) -> None:
    chart = charts(page)["layer-cycles"]
    for place, layer in enumerate([*facts["layers"], facts["outside"]]):
        assert sum(part["values"][place] for part in chart["parts"]) == layer["cycles"]


def test_the_listing_adds_up_to_the_run(page: Element, facts: dict) -> None:
    executed = cycles = stalled = 0
    for row in (row for body in page.all("table", class_="listing") for row in body.all("tr") if row.attributes.get("id", "").startswith("i-")):
        times, each, all_of_it = (cell.text for cell in row.all("td", class_="n"))
        executed, cycles = executed + number(times), cycles + number(all_of_it)
        assert float(each) == pytest.approx(number(all_of_it) / number(times), abs=0.005)
        stalled += sum(number(chip.text.split()[0]) for chip in row.all("span", class_="chip"))
    assert (executed, cycles) == (facts["totals"]["instructions"], facts["cycles"])
    minimum = sum(charts(page)["layer-cycles"]["parts"][0]["values"])
    assert stalled == cycles - minimum


def test_says_what_made_it(page: Element, facts: dict) -> None:
    made = page.all("section", id="made")[0].text
    for what in (facts["image"]["sha256"], facts["toolchain"]["version"], " ".join(facts["flags"]), "cortex-m4", "zero-wait", "yes"):
        assert what in made
    assert "python -m emu.run kws --json" in made and "--html" in made
    assert "Bit-exact: every byte of all 6 layers" in page.text


def test_charts_have_names_and_tables(page: Element) -> None:
    places = [place for place in page.all("div") if "data-chart" in place.attributes]
    assert {place.attributes["data-chart"] for place in places} == charts(page).keys()
    assert all(place.attributes["role"] == "img" and "table" in place.attributes["aria-label"] for place in places)


def test_the_main_job_stands_alone_and_is_small(page: Element, main_job: tuple[Path, dict]) -> None:
    assert main_job[0].stat().st_size < MOST
    alone(page)


@pytest.mark.parametrize("arguments", [(*KWS, "--kernels", "c", "--core", "all"), COMPARE, ("emu.experiment", "annotate", "dense_s8")], ids=" ".join)
def test_stands_alone_and_is_small(arguments: tuple[str, ...], written: Page) -> None:
    path = written(*arguments)
    assert path.stat().st_size < MOST
    alone(read(path))


def alone(top: Element) -> None:
    """No address of anything, no script but those whose hashes the policy holds, ids once, every link leads somewhere."""
    policy = next(meta for meta in top.all("meta") if meta.attributes.get("http-equiv") == "Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = [script for script in top.all("script") if script.attributes.get("type") != "application/json"]
    digests = {base64.b64encode(hashlib.sha256("".join(script.children).encode()).digest()).decode() for script in scripts}
    assert digests == set(re.findall(r"'sha256-([^']+)'", policy))
    for tag in ("img", "link", "iframe", "object", "base", "form"):
        assert not top.all(tag)
    style = "".join(top.all("style")[0].children)
    assert set(re.findall(r'url\("?([^:]+):', style)) == {"data"} and "@import" not in style
    identities = [identity for identity in every(top, "id") if identity]
    assert len(set(identities)) == len(identities)
    assert not every(top, "src")
    assert {link[1:] for link in every(top, "href")} <= set(identities)
    assert not [name for name in names(top) if name.startswith("on")]


def every(top: Element, name: str) -> list[str]:
    return [value for element in elements(top) if (value := element.attributes.get(name)) is not None]


def names(top: Element) -> set[str]:
    return {name for element in elements(top) for name in element.attributes}


def elements(top: Element) -> list[Element]:
    return [one for child in top.children if isinstance(child, Element) for one in (child, *elements(child))]


def charts(top: Element) -> dict:
    return json.loads("".join(top.all("script", id="charts")[0].children))


def test_names_of_a_hostile_program_are_text(hostile: Path, written: Page) -> None:
    top = read(written("emu.run", str(hostile)))
    alone(top)
    assert top.all("title")[0].text == f"{hostile.name}, cortex-m4"
    functions = [row[0] for row in table(top, "Functions")]
    assert FUNCTION in functions
    assert DATA in [row[0] for row in table(top, "Functions, tensors and other data")]
    assert any("</td><script>" in cell.text for cell in top.all("td", class_="s"))


def test_a_firmware_of_a_hundred_functions(builder: Builder, written: Page) -> None:
    body = "".join(f"__attribute__((noinline)) unsigned work_{i}(unsigned n) {{ for (unsigned i = 0; i < {i % 7 + 2}; i++) n = n * {i + 3} + sink; "
                   f"return n{f' + work_{i - 1}(n)' if i % 3 == 1 else ''}; }}\n" for i in range(HUNDRED))
    calls = " ".join(f"sink += work_{i}({i});" for i in range(HUNDRED))
    elf = builder.elf(f"volatile unsigned sink;\n{body}\nint main(void) {{ {calls} return 0; }}")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    path = written("emu.run", str(elf))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < SECONDS
    assert path.stat().st_size < MOST
    top = read(path)
    assert {f"work_{i}" for i in range(HUNDRED)} <= {row[0] for row in table(top, "Functions")}
    assert {f"work_{i}" for i in range(HUNDRED)} <= {fold.attributes["data-name"] for fold in top.all("details", class_="fn")}


def test_a_comparison_shows_differences_with_their_sign(written: Page) -> None:
    top = read(written(*COMPARE))
    _, *rows, total = table(top, "cycles by layer and side")
    for row in (*rows, total):
        first, second = number(row[1]), number(row[2])
        assert row[3] == change(second, first)
    assert total[3].startswith("+") and top.all("td", class_="n")
    assert {"good", "bad"} <= {element.attributes.get("class") for element in top.all("span")}
    functions = table(top, "Functions that differ")
    assert functions[1][0] == "conv2d_s8" and functions[1][4].startswith("+")


def test_changes_have_words() -> None:
    assert [change(*pair) for pair in ((5, 5), (7, 0), (110, 100), (99.95, 100), (0, 9))] == ["=", "new", "+10.0%", "−0.05%", "−100.0%"]
    assert signed_percent(1, 0) == ""


def test_what_does_not_fit_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    from emu.experiment.__main__ import main

    monkeypatch.setattr(lines, "MOST_ROWS", 700)
    main.main(["annotate", "--html", "-"], standalone_mode=False)
    top = Tree(capsysbinary.readouterr().out.decode()).top
    folds = top.all("details", class_="fn")
    assert 1 <= len(folds) < 5 and "open" in folds[0].attributes and not any("open" in fold.attributes for fold in folds[1:])
    assert re.search(r"\d+ cheaper functions with [\d,]+ cycles \(\d+\.\d%\) are left out", top.text)


def test_a_page_that_cannot_be_written(one_line_error: Callable[..., str], tmp_path: Path) -> None:
    assert "there is no folder" in one_line_error(3, *KWS, "--html", str(tmp_path / "not" / "there.html"))


def test_it_shows_a_whole_inference(one_line_error: Callable[..., str], tmp_path: Path) -> None:
    assert "leave out --from" in one_line_error(2, *KWS, "--from", "main", "--html", str(tmp_path / "page.html"))
    assert not list(tmp_path.iterdir())


def test_it_is_no_option_of_a_stream(run: Run) -> None:
    done = run(*KWS, "--stream", "--html", "-")
    assert done.returncode == 2 and "--html is no option of kws --stream" in done.stderr


def test_vendored_files_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `([^`]+)` .*?`([^`]+\.LICENSE)` \| `([0-9a-f]{64})` \|$", (ROOM / "vendor" / "README.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in row[:2]} | {"README.md"} == {path.name for path in (ROOM / "vendor").iterdir()}
    for name, _, digest in rows:
        assert hashlib.sha256((ROOM / "vendor" / name).read_bytes()).hexdigest() == digest


def test_licences_stand_in_the_page(main_job: tuple[Path, dict]) -> None:
    text = main_job[0].read_text()
    for path in (ROOM / "vendor").glob("*.LICENSE"):
        assert path.read_text() in text
