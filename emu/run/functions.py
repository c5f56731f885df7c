"""Options that ask for figures by function, and what answers them; the same for every program."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from emu.errors import UsageError
from emu.run.forms import TOUCHES

if TYPE_CHECKING:
    from emu.build.elf import Image
    from emu.experiment.target import Ran
    from emu.functions import FunctionProfile, Region
    from emu.isa.instruction import Instruction
    from emu.kws import Job, Prepared
    from emu.machine.code import Marks
    from emu.report.functions import View

_OPTIONS = (
    click.option("--functions", is_flag=True, help="Show calls, cycles, instructions, bytes and stack by function, without its callees and with them."),
    click.option("--region", metavar="FUNCTION", help="By function, but only what runs in calls of this one."),
    click.option("--from", "begin", metavar="PLACE",
                 help="By function, but only what runs from here on, interrupts too: an address, SYMBOL, SYMBOL+OFFSET or FILE:LINE."),
    click.option("--to", "end", metavar="PLACE", help="With --from: until there. Default: the run's end."),
    click.option("--callers", metavar="FUNCTION", help="By function, and who called this one and what it called, by place."),
    click.option("--lines", is_flag=True, help="By function, and by line of source (the program must carry debug information)."),
    click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
                 help="Functions and lines that a table shows."),
)
_NAMES = ("functions", "region", "begin", "end", "callers", "lines", "top")


@dataclass(frozen=True)
class Wanted:
    """The options' values."""

    functions: bool = False
    region: str | None = None
    begin: str | None = None
    end: str | None = None
    callers: str | None = None
    lines: bool = False
    top: int = 20

    @classmethod
    def taken_from(cls, options: dict[str, object]) -> Wanted:
        """Takes them out of all of a command's options. UsageError for those that do not go together."""
        wanted = cls(**{name: options.pop(name) for name in _NAMES})
        if wanted.region is not None and (wanted.begin is not None or wanted.end is not None):
            raise UsageError("--region, or --from and --to: one region at a time")
        if wanted.end is not None and wanted.begin is None:
            raise UsageError("--to without --from")
        return wanted

    def __bool__(self) -> bool:
        return self.functions or self.lines or any(option is not None for option in (self.region, self.begin, self.callers))

    @property
    def shows_lines(self) -> bool:
        """Lines of source are in its tables."""
        return self.lines or self.callers is not None

    @property
    def view(self) -> View:
        from emu.report.functions import View

        return View(self.top, self.callers, self.lines)

    def bounds(self, image: Image, instructions: Mapping[int, Instruction]) -> Region | None:
        """The region in that image. UsageError when it has no such place."""
        from emu.functions import region

        if self.region is not None:
            return region.of_symbol(image, self.region)
        return region.between(image, instructions, self.begin, self.end) if self.begin is not None else None


def options(command: Callable) -> Callable:
    """Adds the options to a click command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Following:
    """What a run is to notice for the functions that are asked for, and for forms that need more than layers. Its image is known when it
    has been loaded."""

    def __init__(self, wanted: Wanted, needs: Collection[str] = ()) -> None:
        """needs: of emu.run.forms."""
        self._wanted, self._needs = wanted, needs
        self.region: Region | None = None

    def __bool__(self) -> bool:
        return bool(self._wanted or self._needs)

    def marks(self, image: Image) -> Marks:
        """For the machine. UsageError when the image has no such place as the region's."""
        from emu.functions import Numbering
        from emu.machine.code import Instructions, decoded

        self.region = self._wanted.bounds(image, Instructions(decoded(image)))
        return Numbering(image).marks(self.region, touches=TOUCHES in self._needs)

    def in_layers(self, image: Image) -> Marks:
        """The same where kernels begin layers: a region from place to place then needs a run of its own (`bounded`)."""
        return replace(self.marks(image), begin=(), end=())

    def bounded(self, job: Job, ready: Prepared, ran: Ran) -> Ran:
        """Where the region is from place to place: the same inference of the keyword spotter once more, with the region for a layer."""
        from emu import kws, measure
        from emu.functions import REGION_LAYER
        from emu.machine import Machine
        from emu.timing import predictor, pricing

        if self.region is None or not self.region.begin:
            return ran
        machine = Machine(ready.image, ready.core.name, layers=REGION_LAYER, marks=self.marks(ready.image), limit=job.limit,
                          followers=(*ready.memory.followers, *predictor.followers(ready.core)))
        measure.write_input(machine, ready.program, ready.network.input_array(kws.read(job.inputs[0]).features))
        machine.reset_and_run()
        counts = machine.counts()
        return replace(ran, counts=counts, instructions=machine.instructions, layers=(),
                       prices=pricing.prices(counts, machine.instructions, ready.core, ready.memory))

    def profile(self, ran: Ran, *, lines: bool) -> FunctionProfile | None:
        """By function, where that is asked for; lines: with lines of source, though no table shows them."""
        if not self._wanted:
            return None
        from emu import functions

        return functions.profile(ran.counts, ran.image, ran.instructions, ran.numbering, ran.prices, ran.core.name, ran.memory.name,
                                 region=self.region, lines=lines or self._wanted.shows_lines)
