"""One page: sections drawn from templates, charts as data, and all that they need inside the file."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

ROOM = Path(__file__).parent
_MINUS = "\N{MINUS SIGN}"
_CHART_LIBRARIES = (("vendor/d3.LICENSE", "vendor/d3.min.js"), ("vendor/plot.LICENSE", "vendor/plot.umd.min.js"))


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own. template: templates/TEMPLATE.html.j2, drawn with `values`.

    charts: what static/charts.js draws, by the id of its place in the template. title: "" for a part that no link of the bar leads to.
    """

    id: str
    title: str
    template: str
    values: Mapping[str, object]
    charts: Mapping[str, object] = field(default_factory=dict)


def page(title: str, sections: Sequence[Section]) -> str:
    """HTML text. Nothing in it is fetched, and the browser is told to fetch nothing and to run no script but these."""
    from markupsafe import Markup

    charts = {name: chart for section in sections for name, chart in section.charts.items()}
    theme, libraries = _text("static/theme.js"), [_library(*files) for files in _CHART_LIBRARIES] if charts else []
    modules = [*([_text("static/charts.js")] if charts else []), _text("static/page.js")]
    policy = f"default-src 'none'; script-src {' '.join(map(_hash, (theme, *libraries, *modules)))}; style-src 'unsafe-inline'; font-src data:; " \
             "base-uri 'none'; form-action 'none'"
    templates = _environment()
    drawn = [(section, Markup(templates.get_template(f"{section.template}.html.j2").render(id=section.id, title=section.title, **section.values)))
             for section in sections]
    return templates.get_template("page.html.j2").render(
        title=title, policy=policy, style=Markup(_style()), theme=Markup(theme), libraries=list(map(Markup, libraries)),
        modules=list(map(Markup, modules)), sections=drawn, charts=charts)


@functools.cache
def _environment() -> Environment:
    """Whatever a template shows is escaped: names come from programs and files that nobody has to trust."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(ROOM / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters |= {"n": count, "percent": share, "change": change, "signed": signed, "signed_percent": signed_percent,
                            "hex8": "{:08x}".format}
    return environment


@functools.cache
def _style() -> str:
    font = base64.b64encode((ROOM / "vendor" / "inter.woff2").read_bytes()).decode()
    source = f'url("data:font/woff2;base64,{font}") format("woff2")'
    face = f"@font-face {{ font-family: Inter; font-weight: 100 900; font-display: block; src: {source}; }}\n"
    return f"/* Inter:\n{_text('vendor/inter.LICENSE')}*/\n{face}{_text('static/page.css')}"


@functools.cache
def _library(licence: str, file: str) -> str:
    """With its licence before it."""
    return f"/*\n{_text(licence)}*/\n{_text(file)}"


@functools.cache
def _text(file: str) -> str:
    return (ROOM / file).read_text(encoding="utf-8")


@functools.cache
def _hash(script: str) -> str:
    """As a content security policy names a script."""
    return f"'sha256-{base64.b64encode(sha256(script.encode()).digest()).decode()}'"


def count(value: float | None) -> str:
    """12,345; "" for what is not known."""
    return "" if value is None else f"{value:,}"


def share(part: float, whole: float) -> str:
    """12.3%; "" of nothing."""
    return f"{100 * part / whole:.1f}%" if whole else ""


def change(value: float, first: float) -> str:
    """Against the first, with its sign: "+1.2%", "−0.05%"; "=" where nothing changed, "new" of 0."""
    if value == first:
        return "="
    return signed_percent(value - first, first) if first else "new"


def signed(value: int) -> str:
    """+1,234, −5; "=" for 0."""
    return f"{value:+,}".replace("-", _MINUS) if value else "="


def signed_percent(part: float, whole: float) -> str:
    """+1.2%; less than one percent to a hundredth."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:+,.{1 if abs(percent) >= 1 else 2}f}%".replace("-", _MINUS)
