"""A region as one run met it: its expansions in an image, its units, what they do to values, and the streams that go through it."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emu import kws, measure
from emu.build import kernel_folder
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.check import equivalence
from emu.errors import InputError, NotBitExact, UsageError
from emu.experiment.search import marks
from emu.experiment.search.cost import Cost
from emu.experiment.search.effects import REGISTERS, effects, unmovable
from emu.experiment.search.flow import Flow, Unit, flow, units_of
from emu.experiment.search.liveness import needed_at
from emu.experiment.search.marks import Place, Region
from emu.isa import cpu as cpus
from emu.isa.instruction import Instruction
from emu.machine import code
from emu.measure import Inference
from emu.profile import Profile
from emu.timing import pricing
from emu.timing.core import Core
from emu.timing.core import load as load_core
from emu.timing.pricing import Prices


@dataclass(frozen=True)
class Sources:
    """A kernel set with its regions, by name. kernels: as emu.kws takes it; folder: of the set, relative to `root`.

    outside: somebody's folder, at root/folder; otherwise root holds armsrc/.
    """

    root: Path
    kernels: str
    folder: str
    outside: bool
    regions: Mapping[str, Region]

    def job(self, job: kws.Job, root: Path | None = None) -> kws.Job:
        """The job with these sources, or with a copy of them at `root`."""
        root = root or self.root
        return replace(job, kernels=str(root / self.folder), source_root=None) if self.outside else replace(
            job, kernels=self.kernels, source_root=root)


@dataclass(frozen=True)
class Measured:
    """A run of an image on one input. others: cores beside the one that it ran for; difference: the first byte that is not the
    reference's, in words."""

    ready: kws.Prepared
    x: np.ndarray
    run: Inference
    others: tuple[Core, ...]
    difference: str

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Of all cores."""
        return self.run.profile, *(self.run.on(core, self.ready.memory) for core in self.others)

    def prices(self) -> tuple[Prices, ...]:
        """Of all cores."""
        return tuple(pricing.prices(self.run.counts, self.run.instructions, core, self.ready.memory) for core in (self.ready.core, *self.others))


@dataclass(frozen=True)
class Subject:
    """expansions: those that are alike, with their units; others: how many there are that differ (they stay as they are).

    places: all expansions in the image, in the linker's order; alike: numbers of those among them. flow: of the units' values.
    """

    sources: Sources
    region: Region
    measured: Measured
    places: tuple[Place | None, ...]
    alike: tuple[int, ...]
    expansions: tuple[tuple[Place, tuple[Unit, ...]], ...]
    flow: Flow
    cost: Cost

    @property
    def units(self) -> tuple[Unit, ...]:
        """Of the first expansion."""
        return self.expansions[0][1]

    @property
    def others(self) -> int:
        return sum(place is not None for place in self.places) - len(self.expansions)


def sources(kernels: str, root: Path = REPOSITORY) -> Sources:
    """A kernel set's regions. UsageError for a set that there is not, and for float kernels; InputError for marks that are wrong."""
    if kernels == kws.FLOAT_SET:
        raise UsageError("float kernels are held against their reference within rounding alone, so a search could not tell what is right")
    found = kernel_folder.find(kernels, root)
    path = root / found.folder
    base, folder = (path.parent, path.name) if found.outside else (root, found.folder)
    return Sources(base, kernels, folder, found.outside, {region.name: region for region in marks.find(base, folder)})


@contextmanager
def overlay(found: Sources, changed: Mapping[str, str]) -> Iterator[Path]:
    """What Sources.job takes as `root`: a copy of the sources, some of them changed (file -> text), that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="thumbcycle-") as folder:
        root = Path(folder)
        copied = found.folder if found.outside else "armsrc"
        shutil.copytree(found.root / copied, root / copied, ignore=shutil.ignore_patterns("__pycache__", ".git"))
        for file, text in changed.items():
            (root / file).write_text(text)
        yield root


def noted(found: Sources, build: Callable[[Path], Image]) -> tuple[Image, dict[str, list[Place | None]]]:
    """The image that `build` makes of sources with notes, and where each region stands in it; the code is that of the plain sources."""
    regions = list(found.regions.values())
    numbers = marks.numbers(regions)
    changed = {file: marks.noted((found.root / file).read_text(errors="replace"), [one for one in regions if one.file == file], numbers)
               for file in {region.file for region in regions}}
    with overlay(found, changed) as root:
        image = build(root)
    return image, marks.places(image, regions)


def prepared(job: kws.Job) -> kws.Prepared:
    """The network with the job's kernels. Raises what kws does."""
    return kws.prepared(job, kws.load(job), job.kernels)


def measure_on(ready: kws.Prepared, x: np.ndarray, job: kws.Job) -> Measured:
    """One inference, checked, for the job's cores. UsageError when one of them cannot execute it."""
    others = tuple(load_core(name) for name in job.other_cores)
    run = measure.infer(ready.image, ready.program, x, ready.core, ready.about, limit=job.limit, memory=ready.memory, others=others)
    for core in others:
        if why := measure.obstacle(run.counts, run.instructions, cpus.find(core.name)):
            raise UsageError(why)
    profile, difference = equivalence.check(run.profile, run.outputs, ready.reference(x))
    return Measured(ready, x, replace(run, profile=profile), others, str(difference or ""))


def subject(found: Sources, region: Region, job: kws.Job) -> Subject:
    """Builds, runs and takes a region apart. Raises what kws does, NotBitExact for kernels that are wrong before anything was searched,
    and InputError, with file and line, for a region that is not straight-line code."""
    if region.problem:
        raise InputError(region.problem)
    plain = prepared(found.job(job))
    image, places = noted(found, lambda root: prepared(found.job(job, root)).image)
    if [segment.data for segment in image.segments] != [segment.data for segment in plain.image.segments]:
        raise InputError(f"{region.where}: the code changes when its marks are followed; macros that count their own lines cannot be searched")
    instructions = code.text(plain.image).instructions
    taken = {number: _instructions(region, place, instructions) for number, place in enumerate(places[region.name]) if place}
    if not taken:
        raise InputError(f"{region.where}: the region {region.name} is not in the image: its function or macro is not used, or it is empty")
    measured = measure_on(plain, plain.network.input_array(kws.read(job.inputs[0]).features), job)
    alike = _alike(region, taken, places[region.name], measured)
    if measured.difference:
        raise NotBitExact(measured.difference)
    expansions = tuple((places[region.name][number], units_of(taken[number])) for number in alike)
    values = flow([units for _, units in expansions], _kept(region, expansions, measured), noalias=region.noalias)
    return Subject(found, region, measured, tuple(places[region.name]), alike, expansions, values,
                   Cost(values, expansions, measured.run.counts, measured.prices()))


def _instructions(region: Region, place: Place, instructions: Mapping[int, Instruction]) -> tuple[Instruction, ...]:
    """The instructions of one expansion. InputError, with the line, for one that cannot be moved."""
    found, at = [], place.start
    while at < place.end:
        instruction = instructions.get(at)
        line = region.items[place.item_at(at)].first
        if instruction is None:
            raise InputError(f"{region.file}:{line}: there is data, not code, in the region {region.name}")
        if why := unmovable(instruction):
            raise InputError(f"{region.file}:{line}: {instruction.text!r} cannot be part of a region: {why}")
        found.append(instruction)
        at += instruction.size
    return tuple(found)


def _alike(region: Region, taken: Mapping[int, Sequence[Instruction]], places: Sequence[Place | None], measured: Measured) -> tuple[int, ...]:
    """Numbers of the expansions that differ in constants alone, of the kind that runs most.

    UsageError when none runs, InputError, with the line, when the run enters or leaves one in its middle.
    """
    runs: Counter[int] = Counter()
    for stream in measured.run.counts.streams:
        for number, instructions in taken.items():
            place = places[number]
            if place.start <= stream.end and stream.start < place.end:
                runs[number] += stream.count
                if stream.start > place.start or stream.end < instructions[-1].address:
                    at, what = (stream.start, "into") if stream.start > place.start else (stream.end, "out of")
                    raise InputError(f"{region.file}:{region.items[place.item_at(at)].first}: the run jumps {what} the region {region.name} here, "
                                     f"at 0x{at:08x}: a region is straight-line code that runs as a whole")
    if not runs:
        raise UsageError(f"{region.where}: the region {region.name} does not run in the keyword spotter, so nothing says what it costs")
    kinds: dict[tuple[object, ...], list[int]] = {}
    for number, instructions in taken.items():
        kinds.setdefault(tuple(_kind(instruction) for instruction in instructions), []).append(number)
    return tuple(max(kinds.values(), key=lambda numbers: (sum(runs[number] for number in numbers), -numbers[0])))


def _kind(instruction: Instruction) -> tuple[object, ...]:
    done = effects(instruction)
    access = (done.access.base, done.access.size, done.access.stores) if done.access else None
    return instruction.text.partition(" ")[0], instruction.size, instruction.base, instruction.index, done.reads, done.writes, access


def _kept(region: Region, expansions: Sequence[tuple[Place, tuple[Unit, ...]]], measured: Measured) -> int:
    """Mask of what is needed behind the region: what its mark says, or what may be read behind any of its expansions."""
    if region.live is not None:
        written = 0
        for unit in expansions[0][1]:
            for instruction in unit.instructions:
                written |= effects(instruction).writes
        return (REGISTERS & ~written | region.live) & ~region.free
    image, instructions = measured.ready.image, measured.run.instructions
    needed = 0
    for place, _ in expansions:
        function = image.function_at(place.start)
        needed |= needed_at(place.end, instructions, function) if function else REGISTERS
    return needed & ~region.free
