"""A finished run as forms draw it: what all have that are looked into, the keyword spotter, and the same listening to a long recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from emu.report import csv_form, functions, json_form, records, stream, table
from emu.report.functions import View
from emu.report.records import Records

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from emu.experiment.target import Ran
    from emu.functions import FunctionProfile, Region
    from emu.functions.tree import Tree
    from emu.result import Result
    from emu.stream.timeline import Timeline


@dataclass(frozen=True)
class LookedInto:
    """What forms that follow calls draw. ran: what ran; region: what of it is looked at (None: all). functions: the profile by function,
    where it is asked for; view: what of it is shown."""

    ran: Ran = field(kw_only=True)
    region: Region | None = field(default=None, kw_only=True)
    functions: FunctionProfile | None = field(default=None, kw_only=True)
    view: View = field(default=View(), kw_only=True)

    @cached_property
    def tree(self) -> Tree:
        """The call tree, of a run that followed calls."""
        from emu.functions.tree import tree

        ran = self.ran
        return tree(ran.counts, ran.instructions, ran.numbering, ran.prices, self.region)

    @property
    def sections(self) -> list[tuple[str, int]]:
        """What the tree is told apart by: (title, layer's number). Of the keyword spotter the code between layers, then the layers."""
        if self.ran.layers:
            return [("outside", 0), *((layer.name, number) for number, layer in enumerate(self.ran.layers, 1))]
        return [(self.title, layer) for layer in sorted({layer for layer, _ in self.tree.own})]

    @property
    def title(self) -> str:
        """What ran, and what of it is looked at."""
        return f"{self.ran.title}; {self.region.title}" if self.region else self.ran.title

    @property
    def modelled(self) -> str:
        """What the cycles are of."""
        return f"modelled {self.ran.core.name} with {self.ran.memory.name} memory"

    def _parts(self) -> list[Table | Text | str]:
        return functions.parts(self.functions, self.view) if self.functions else []

    def _document(self) -> dict[str, object]:
        return {"functions": functions.document(self.functions)} if self.functions else {}


@dataclass(frozen=True)
class KwsRun(LookedInto):
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

    def records(self) -> Records:
        """Rows as in CSV, of every core, and of the code between layers, too."""
        return records.of_functions(self.functions, self.ran.about) if self.functions else records.of_kws(self.result)

    @property
    def mhz(self) -> float | None:
        """Clock for times."""
        return self.result.mhz

    def plot(self, target: str) -> bytes:
        """Cycles and bytes by layer."""
        from emu.report import plot

        return plot.render(self.result, target)


@dataclass(frozen=True)
class StreamRun:
    """The keyword spotter listening to a long recording."""

    result: Timeline

    def parts(self) -> list[Table | Text | str]:
        """What was heard when."""
        return stream.parts(self.result)

    def document(self) -> dict[str, object]:
        """docs/reports.md has the keys."""
        return stream.document(self.result)

    def csv(self) -> str:
        """A row a decision."""
        return stream.render_csv(self.result)

    def plot(self, target: str) -> bytes:
        """Confidence over time."""
        from emu.report import confidence

        return confidence.render(self.result, target)
