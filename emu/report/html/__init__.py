"""Reports as one HTML file that needs nothing else: a run, a comparison, a listing. Imported where one is asked for."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.report.annotate import Shown as Annotated
    from emu.report.compare import Shown as Compared
    from emu.report.firmware import FirmwareRun
    from emu.report.run import KwsRun


def of_run(run: KwsRun | FirmwareRun, _target: str = "-") -> str:
    """What `python -m emu.run` ran. Its calls were followed, and its accesses counted by instruction."""
    from emu.report.html import firmware, kws
    from emu.result import Result

    return (kws if isinstance(run.result, Result) else firmware).render(run, command_line())


def of_comparison(shown: Compared, _target: str = "-") -> str:
    """Sides of a comparison."""
    from emu.report.html import comparison

    return comparison.render(shown.found, command_line())


def of_listing(shown: Annotated, _target: str = "-") -> str:
    """A listing alone."""
    from emu.report.html import annotated

    return annotated.render(shown, command_line())


def command_line() -> str:
    """The line that started this process; "" where it was none of the project's commands."""
    words = sys.orig_argv[1:]
    return shlex.join(["python", *words]) if words[:1] == ["-m"] and words[1].startswith("emu.") else ""
