"""Pages that command lines wrote, each once, and a real Chromium that looks at them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emu.build.cache import REPOSITORY
from tests.cli.conftest import called_in
from tests.firmware.conftest import Builder, builder

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["builder"]

Page = Callable[..., Path]
BROWSER, DRIVER = "chromium", "chromedriver"
FUNCTION, DATA = "\"><script>document.title='taken'</script>", "<img src=x onerror=document.title=1>"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """written(arguments of python -m): the page that --html of that command writes."""
    folder, known = tmp_path_factory.mktemp("pages"), {}

    def write(*arguments: str) -> Path:
        if arguments not in known:
            known[arguments] = folder / f"page-{len(known)}.html"
            done = called_in(REPOSITORY, *arguments, "--html", str(known[arguments]))
            assert not done.returncode, done.stderr
        return known[arguments]

    return write


@pytest.fixture(scope="session")
def main_job(written: Page, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The keyword spotter's page, and the JSON of the same run."""
    target = tmp_path_factory.mktemp("json") / "kws.json"
    page = written("emu.run", "kws", "--json", str(target))
    return page, json.loads(target.read_text())


@pytest.fixture(scope="session")
def hostile(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware with markup for names: of a function, of data, of the file; and in its source."""
    function, data = (chr(97 + number) * len(name) for number, name in enumerate((FUNCTION, DATA)))  # names that C takes, as long
    built = builder.elf(f"""
unsigned {data} = 3;
__attribute__((noinline)) int {function}(int x) {{
    for (int i = 0; i < 9; i++) x += {data} * i; /* </td><script>document.title='source'</script> */
    return x;
}}
int main(void) {{ return {function}(2) & 1; }}
""")
    named = tmp_path_factory.mktemp("hostile") / "a<script>document.title=0<_script>&amp;{{ 7 * 7 }}.elf"
    named.write_bytes(built.read_bytes().replace(function.encode(), FUNCTION.encode()).replace(data.encode(), DATA.encode()))
    return named


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Headless; what goes wrong in a page is in its log."""
    for program in (BROWSER, DRIVER):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which(DRIVER)))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()
