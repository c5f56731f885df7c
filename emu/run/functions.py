"""Options that ask for figures by function, and what answers them; the same for every program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from emu.errors import UsageError

if TYPE_CHECKING:
    from emu.build.elf import Image
    from emu.functions import FunctionProfile, Numbering, Region
    from emu.isa.instruction import Instruction
    from emu.kws import Job
    from emu.probe import Counts
    from emu.report.functions import View
    from emu.timing.core import Core
    from emu.timing.memory import Memory

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


def profile_of(counts: Counts, image: Image, instructions: Mapping[int, Instruction], numbering: Numbering, core: Core,
               memory: Memory | None, region: Region | None, *, lines: bool = True) -> FunctionProfile:
    """Of a finished run whose Machine had `numbering.marks(region)` and, where those have a begin, one layer."""
    from emu import functions
    from emu.timing import pricing
    from emu.timing.memory import DEFAULT

    return functions.profile(counts, image, instructions, numbering, pricing.prices(counts, instructions, core, memory), core.name,
                             memory.name if memory else DEFAULT, region=region, lines=lines)


def of_kws(job: Job, wanted: Wanted, *, for_json: bool) -> FunctionProfile:
    """One inference of the keyword spotter on its first input, by function."""
    from emu import kws, measure
    from emu.functions import REGION_LAYER, Numbering
    from emu.machine import Machine
    from emu.machine.code import Instructions, decoded
    from emu.timing import predictor

    loaded = kws.load(job)
    ready = kws.prepared(job, loaded, job.kernels)
    image, numbering = ready.image, Numbering(ready.image)
    region = wanted.bounds(image, Instructions(decoded(image)))
    machine = Machine(image, ready.core.name, layers=REGION_LAYER if region and region.begin else 0, marks=numbering.marks(region),
                      limit=job.limit, followers=(*loaded.memory.followers, *predictor.followers(ready.core)))
    measure.write_input(machine, ready.program, ready.network.input_array(kws.read(job.inputs[0]).features))
    machine.reset_and_run()
    return profile_of(machine.counts(), image, machine.instructions, numbering, ready.core, loaded.memory, region,
                      lines=wanted.shows_lines or for_json)


def shown(profile: FunctionProfile | None, wanted: Wanted) -> str:
    """The tables; nothing without a profile."""
    if profile is None:
        return ""
    from emu.report import functions

    return functions.render(profile, wanted.view)


def csv(profile: FunctionProfile) -> str:
    """One row a function."""
    from emu.report import functions

    return functions.render_csv(profile)


def with_functions(document: str, profile: FunctionProfile | None) -> str:
    """A JSON document with the profile, where there is one, under `functions`."""
    if profile is None:
        return document
    from emu.report import functions, json_form

    return json_form.dumps(json.loads(document) | {"functions": functions.document(profile)})
