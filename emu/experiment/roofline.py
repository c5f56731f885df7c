"""Layers under their core's roofs: MACs for each byte that moved, MACs a cycle, and what the core would let through at that many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from emu import kws
from emu.errors import BuildError, ThumbcycleError, UsageError
from emu.experiment import bounds
from emu.experiment.bounds import Bounds, NoBound
from emu.profile import Profile, Row
from emu.timing.core import Core
from emu.timing.core import load as load_core


@dataclass(frozen=True)
class Point:
    """One layer. moved: bytes that loads and stores moved, each access counted; unique: of its input, weights, bias, requantization and output,
    each counted once. bound: the least cycles that the core needs for `macs` and `moved`; limit: "MACs" or "bytes", which takes more of them.
    """

    name: str
    kernel: str
    macs: int
    moved: int
    unique: int
    cycles: int
    bound: float
    limit: str

    @property
    def intensity(self) -> float:
        """MACs for each byte that moved."""
        return self.macs / self.moved

    @property
    def unique_intensity(self) -> float:
        """MACs for each byte that has to be read or written at least once."""
        return self.macs / self.unique

    @property
    def macs_per_cycle(self) -> float:
        return self.macs / self.cycles

    @property
    def bound_macs_per_cycle(self) -> float:
        return self.macs / self.bound

    @property
    def share(self) -> float:
        """Of the bound that was reached, 0 to 1."""
        return self.bound / self.cycles


@dataclass(frozen=True)
class Roofline:
    """One kernel set on one core. points: its layers that multiply. without: names of those that do not. problem: the first byte that is wrong.

    about: what made the run.
    """

    core: str
    memory: str
    kernels: str
    bounds: Bounds
    points: tuple[Point, ...]
    without: tuple[str, ...]
    about: Mapping[str, object]
    problem: str = ""


@dataclass(frozen=True)
class Rooflines:
    """found: by core, then by kernel set. failed: ("core, kernels", why) of those that the core cannot execute."""

    input: str
    found: tuple[Roofline, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def problem(self) -> str:
        """Of the first that is not bit-exact."""
        return next((f"{one.kernels} on {one.core}: {one.problem}" for one in self.found if one.problem), "")


def points(profile: Profile, core: Core) -> Roofline:
    """Of a run that was priced for that core."""
    floating = any(row.kernel.endswith("_f32") for row in profile.layers)
    roofs = bounds.bounds(core, floating)
    return Roofline(profile.core, profile.memory, str(profile.about.get("kernels", "")), roofs,
                    tuple(_point(row, roofs) for row in profile.layers if row.macs), tuple(row.name for row in profile.layers if not row.macs),
                    profile.about)


def _point(row: Row, roofs: Bounds) -> Point:
    moved = row.bytes_read + row.bytes_written
    return Point(row.name, row.kernel, row.macs, moved, row.weight_bytes + row.activation_bytes + row.input_bytes, row.cycles,
                 roofs.cycles(row.macs, moved), roofs.limit(row.macs, moved))


def rooflines(job: kws.Job, cores: Sequence[str], kernel_sets: Sequence[str], status: Callable[[str], None] = lambda text: None) -> Rooflines:
    """Build, run and check every kernel set for every core. What a core cannot execute, or has no bound for, is left out; when that is all, it is
    raised: BuildError, UsageError.

    status: is told what is going on.
    """
    for names in (cores, kernel_sets):
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"{twice} is there twice")
    found: list[Roofline] = []
    failed: list[tuple[str, ThumbcycleError]] = []
    for core, kernels in product(map(load_core, cores), kernel_sets):
        status(f"running {kernels} on {core.name}")
        try:
            judged = kws.judged(replace(job, core=core.name, kernels=kernels))
            roofline = points(judged.profile, core)
        except (BuildError, NoBound) as error:
            failed.append((f"{core.name}, {kernels}", error))
        else:
            found.append(replace(roofline, problem=judged.difference))
    if not found:
        raise failed[0][1]
    return Rooflines(job.inputs[0], tuple(found), tuple((pair, str(error)) for pair, error in failed))
