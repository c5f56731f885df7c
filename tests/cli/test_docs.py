"""What the documents show is what the commands print."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from emu.build.cache import REPOSITORY


def test_the_readmes_table_is_todays(run) -> None:
    """By layer: all figures. Of assembly, so whatever compiler is here."""
    rows = {cells[0]: cells for line in (REPOSITORY / "README.md").read_text().splitlines()
            if (cells := [cell.strip() for cell in line.strip("│").split("│")]) and line.startswith("│")}
    facts = json.loads(run("emu.run", "kws", "--json", "-").stdout)
    for layer in facts["layers"]:
        cells = rows[layer["name"]]
        assert [cells[1], cells[2], *cells[4:6], *cells[7:13]] == [layer["kernel"], *(f"{layer[key]:,}" for key in (
            "instructions", "cycles", "macs", "loads", "stores", "bytes_read", "bytes_written", "stack_bytes")), "yes"]
    heard = re.search(r"^heard .*-> (\w+)", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert heard and heard.group(1) == facts["answer"]["winner"]


def test_figures_of_the_spotter_are_those_that_are_checked() -> None:
    """Its cycles and instructions on the M4, as budgets.toml has them, in the pages that name them."""
    budgets = tomllib.loads((REPOSITORY / "budgets.toml").read_text())["run"]
    totals = {}
    for kernels in ("thumb2", "fused"):
        layers = next(run["layers"] for run in budgets if (run["kernels"], run["core"]) == (kernels, "cortex-m4") and "shapes" not in run)
        totals[kernels] = {key: sum(layer[key] for layer in layers.values()) for key in ("instructions", "cycles")}
    for page in ("README.md", "docs/kernel-figures.md", "docs/tricks.md", "docs/public-kernels.md"):
        text = (REPOSITORY / page).read_text()
        assert [kernels for kernels, total in totals.items() if f"{total['cycles']:,}" not in text] == [], page
    assert f"thumb2: {totals['thumb2']['instructions']:,} instructions an inference" in (REPOSITORY / "README.md").read_text()


def test_the_readmes_python_runs(capsys) -> None:
    code = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL).group(1)
    exec(code, {})  # noqa: S102
    assert re.search(r"\] \d+\n$", capsys.readouterr().out)


def test_the_python_of_the_kernels_page_runs(capsys) -> None:
    code = re.search(r"```python\n(import numpy.*?)```", (REPOSITORY / "docs/kernels.md").read_text(), re.DOTALL).group(1)
    exec(code, {})  # noqa: S102
    assert re.match(r"\d+ \[", capsys.readouterr().out)


@pytest.mark.parametrize("name", ["annotate", "timeline"])
def test_functions_that_help_names_run(name: str) -> None:
    """The examples with a function or a layer in them, a firmware's aside."""
    from click.testing import CliRunner

    command = importlib.import_module(f"emu.experiment.commands.{name}").command
    examples = [shlex.split(line.partition("   ")[0]) for line in re.findall(rf"emu\.experiment {name} (\w.*)", command.epilog)]
    assert examples
    for arguments in examples:
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0 and done.output, (arguments, done.exception)


def _anchors(page: Path) -> set[str]:
    """What links may name in a page: its headings, as GitHub spells them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)", text, re.MULTILINE)}


def test_links_lead_somewhere() -> None:
    for page in (REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")):
        for link, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text()):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in _anchors(target), f"{page.name}: {link}#{anchor}"
