"""Pages in a real Chromium, opened from files: nothing fetched, no error, and all that a reader does."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.html.conftest import FUNCTION, Page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PHONE, DESKTOP = (390, 844), (1280, 900)
DARK, LIGHT = "rgb(21, 23, 26)", "rgb(255, 255, 255)"
Open = Callable[..., "Chrome"]


@pytest.fixture
def opened(browser: Chrome) -> Open:
    """opened(page): the browser that shows it; when the test ends the page has fetched nothing and complained of nothing."""

    def show(page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> Chrome:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        browser.get(page.as_uri())
        browser.execute_script("localStorage.clear()")
        browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))")
        return browser

    yield show
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith('data:'))")
    assert fetched == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.fixture(scope="module")
def kws(main_job: tuple[Path, dict]) -> Path:
    return main_job[0]


def column(browser: Chrome, section: str, place: int) -> list[str]:
    """Texts of a column of the section's first table."""
    return browser.execute_script("return [...document.querySelector(arguments[0] + ' table').tBodies[0].rows].filter((row) => !row.matches('.more'))"
                                  ".map((row) => row.cells[arguments[1]].textContent.trim())", f"#{section}", place)


def click(browser: Chrome, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
    browser.find_element("css selector", selector).click()


def test_every_chart_is_drawn(opened: Open, kws: Path) -> None:
    browser = opened(kws)
    drawn = browser.execute_script("return [...document.querySelectorAll('[data-chart]')].map((place) => [place.dataset.chart, "
                                   "place.querySelectorAll('svg rect, svg circle, svg path').length])")
    assert {"layer-cycles", "traffic-bytes", "memory-0", "memory-1", "roofline-points"} == {name for name, _ in drawn}
    assert all(marks > 3 for _, marks in drawn)


def test_a_table_is_sorted_by_click_and_by_keyboard(opened: Open, kws: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened(kws)
    head = "#layers thead th:nth-child(2)"
    click(browser, f"{head} > button")
    cycles = [int(text.replace(",", "")) for text in column(browser, "layers", 1)]
    assert cycles == sorted(cycles, reverse=True) and len(cycles) == 7
    assert browser.find_element("css selector", head).get_attribute("aria-sort") == "descending"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert [int(text.replace(",", "")) for text in column(browser, "layers", 1)] == sorted(cycles)
    assert browser.find_element("css selector", head).get_attribute("aria-sort") == "ascending"
    click(browser, "#layers thead th:nth-child(1) > button")
    assert column(browser, "layers", 0) == sorted(column(browser, "layers", 0))
    assert browser.find_element("css selector", head).get_attribute("aria-sort") == "none"


def test_a_layer_unfolds_and_stays_with_its_row(opened: Open, kws: Path) -> None:
    browser = opened(kws)
    button = browser.find_element("css selector", "#layers .unfold")
    more = browser.find_element("id", button.get_attribute("aria-controls"))
    assert not more.is_displayed() and button.get_attribute("aria-expanded") == "false"
    click(browser, "#layers .unfold")
    assert more.is_displayed() and button.get_attribute("aria-expanded") == "true"
    assert "Data moved by conv2d_s8" in more.text
    click(browser, "#layers thead th:nth-child(1) > button")
    assert browser.execute_script("return arguments[0].previousElementSibling.cells[0].textContent.trim()", more) == "qconv2d_3x3_8"


def test_a_link_from_a_layer_opens_the_listing(opened: Open, kws: Path) -> None:
    browser = opened(kws)
    click(browser, "#layers .unfold")
    link = browser.find_element("css selector", "#layers tr.more:not([hidden]) a")
    fold = browser.find_element("id", link.get_attribute("href").rpartition("#")[2])
    assert fold.get_attribute("open") is None
    link.click()
    assert fold.get_attribute("open") is not None


def test_search_finds_instructions_and_functions(opened: Open, kws: Path) -> None:
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser = opened(kws)
    browser.find_element("css selector", "body").send_keys("/")
    field = browser.switch_to.active_element
    assert field.get_attribute("id") == "search"
    found = browser.find_element("id", "found")
    field.send_keys("smlad")
    WebDriverWait(browser, 5).until(lambda _: "instruction" in found.text)
    shown = browser.execute_script("return [...document.querySelectorAll('details.fn:not([hidden]) tbody tr:not([hidden])')]"
                                   ".filter((row) => row.id).map((row) => row.querySelector('.i').textContent)")
    assert shown and all("smlad" in text for text in shown)
    assert f"{len(shown):,} instructions" in found.text
    assert browser.find_elements("css selector", ".listing mark")
    field.send_keys(Keys.ESCAPE)
    assert found.text == "" and not browser.find_elements("css selector", ".listing mark")
    assert not browser.find_elements("css selector", "details.fn[hidden], .listing tr[hidden]")
    field.send_keys("global_avg_pool2")
    WebDriverWait(browser, 5).until(lambda _: "function" in found.text)
    names = browser.execute_script("return [...document.querySelectorAll('details.fn:not([hidden])')].map((fold) => fold.dataset.name)")
    assert "global_avg_pool2d_s8" in names


def test_source_unfolds_beside_the_instructions(opened: Open, kws: Path) -> None:
    browser = opened(kws)
    click(browser, "details.fn summary")
    cells = browser.find_elements("css selector", "details.fn[open] td.s")
    assert cells and not any(cell.is_displayed() for cell in cells[:5])
    click(browser, "button[data-source]")
    assert cells[0].is_displayed() and re.search(r"\.(S|inc):\d+", cells[0].text)
    assert browser.find_element("css selector", "button[data-source]").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_theme_is_the_system_s_until_one_is_chosen(dark: bool, opened: Open, kws: Path) -> None:
    browser = opened(kws, dark=dark)
    paper = "return getComputedStyle(document.body).backgroundColor"
    ours, other = (DARK, LIGHT) if dark else (LIGHT, DARK)
    assert browser.execute_script(paper) == ours
    click(browser, "#theme")
    assert browser.execute_script(paper) == other
    browser.refresh()
    assert browser.execute_script(paper) == other
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("which", ["kws", "compare", "hostile"])
def test_a_phone_scrolls_one_way(which: str, opened: Open, kws: Path, written: Page, hostile: Path) -> None:
    others = {"compare": ("emu.experiment", "compare", "thumb2", "c"), "hostile": ("emu.run", str(hostile))}
    browser = opened(written(*others[which]) if which in others else kws, PHONE)
    browser.execute_script("document.querySelectorAll('details').forEach((fold) => { fold.open = true; });"
                           "document.querySelectorAll('tr.more').forEach((row) => { row.hidden = false; })")
    browser.execute_async_script("const done = arguments[0]; setTimeout(done, 150)")
    assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


def test_the_keyboard_reaches_everything(opened: Open, kws: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened(kws)
    browser.find_element("css selector", "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the report" and skip.rect["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "content"
    unreachable = browser.execute_script(
        "return [...document.querySelectorAll('.scroll')].filter((place) => place.tabIndex !== 0 || !place.getAttribute('aria-label')).length")
    assert unreachable == 0


def test_it_prints_in_light_with_its_figures_open(opened: Open, kws: Path) -> None:
    browser = opened(kws, dark=True)
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF") and printed.count(b"/Type /Page\n") >= 3
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == LIGHT
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert not browser.find_elements("css selector", "details.plain:not(.long):not([open])")
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not browser.find_elements("css selector", "details.plain[open]")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_a_comparison_unfolds_its_figures(opened: Open, written: Page) -> None:
    browser = opened(written("emu.experiment", "compare", "thumb2", "c"))
    drawn = "return document.querySelectorAll('[data-chart] svg').length"
    assert browser.execute_script(drawn) == 1
    click(browser, "#layers details:nth-of-type(2) > summary")
    browser.execute_async_script("const done = arguments[0]; setTimeout(done, 100)")
    assert browser.execute_script(drawn) == 2


def test_a_hostile_program_stays_text(opened: Open, hostile: Path, written: Page) -> None:
    browser = opened(written("emu.run", str(hostile)))
    assert browser.title == f"{hostile.name}, cortex-m4"
    browser.execute_script("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert FUNCTION in browser.execute_script("return document.querySelector('#functions').textContent")
    assert browser.execute_script("return document.images.length") == 0
    click(browser, "#functions .unfold")
    assert browser.title == f"{hostile.name}, cortex-m4"
