"""A finished run of emu.run, as forms draw it: of the keyword spotter, of a long recording, of a firmware."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.report import csv_form, firmware, functions, json_form, table, timeline
from emu.report.functions import View

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from emu.experiment.target import Ran
    from emu.firmware import FirmwareResult
    from emu.functions import FunctionProfile, Region
    from emu.report.result import Result
    from emu.stream.timeline import Timeline


@dataclass(frozen=True)
class _Followed:
    """ran: what ran, for forms that look into it; region: what of it is looked at (None: all). functions: the profile by function, where it
    is asked for; view: what of it is shown."""

    ran: Ran = field(kw_only=True)
    region: Region | None = field(default=None, kw_only=True)
    functions: FunctionProfile | None = field(default=None, kw_only=True)
    view: View = field(default=View(), kw_only=True)

    def _parts(self) -> list[Table | Text | str]:
        return functions.parts(self.functions, self.view) if self.functions else []

    def _document(self) -> dict[str, object]:
        return {"functions": functions.document(self.functions)} if self.functions else {}


@dataclass(frozen=True)
class KwsRun(_Followed):
    """The keyword spotter on one input or several. traffic: bytes by tensor are shown, too."""

    result: Result
    traffic: bool = False

    def parts(self) -> list[Table | Text | str]:
        """Layers, what was heard, functions."""
        return [*table.parts(self.result, self.traffic), *self._parts()]

    def document(self) -> dict[str, object]:
        """docs/reports.md has the keys."""
        return json_form.document(self.result) | self._document()

    def csv(self) -> str:
        """A row a layer; with functions, one a function."""
        return functions.render_csv(self.functions) if self.functions else csv_form.render(self.result)

    def plot(self, target: str) -> bytes:
        """Cycles and bytes by layer."""
        from emu.report import plot

        return plot.render(self.result, target)


@dataclass(frozen=True)
class FirmwareRun(_Followed):
    """A firmware. mhz: clock for milliseconds."""

    result: FirmwareResult
    mhz: float | None = None

    def parts(self) -> list[Table | Text | str]:
        """Totals, how it ended, functions."""
        return [*firmware.parts(self.result, self.mhz), *self._parts()]

    def document(self) -> dict[str, object]:
        """docs/firmware.md has the keys."""
        return firmware.document(self.result, self.mhz) | self._document()

    def csv(self) -> str:
        """A row; with functions, one a function."""
        return functions.render_csv(self.functions) if self.functions else firmware.render_csv(self.result, self.mhz)


@dataclass(frozen=True)
class StreamRun:
    """The keyword spotter listening to a long recording."""

    result: Timeline

    def parts(self) -> list[Table | Text | str]:
        """What was heard when."""
        return timeline.parts(self.result)

    def document(self) -> dict[str, object]:
        """docs/reports.md has the keys."""
        return timeline.document(self.result)

    def csv(self) -> str:
        """A row a decision."""
        return timeline.render_csv(self.result)

    def plot(self, target: str) -> bytes:
        """Confidence over time."""
        from emu.report import confidence

        return confidence.render(self.result, target)


Run = KwsRun | FirmwareRun | StreamRun


def plot(run: KwsRun | StreamRun, target: str) -> bytes:
    """A picture, PNG or SVG by the suffix of `target`."""
    return run.plot(target)


def record(run: FirmwareRun, _target: str) -> bytes:
    """The run as a recording, which other cores and tables can price."""
    from emu.timing import recording

    return recording.save(recording.record(run.ran.counts, run.ran.instructions))
