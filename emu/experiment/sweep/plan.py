"""A sweep file's points, each with what makes it, and the tasks that run those that are not done yet."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from emu import __version__, kws
from emu.build import kernel_folder, revision
from emu.build.cache import key
from emu.errors import BuildError, InputError, UsageError
from emu.experiment.sweep import identity
from emu.experiment.sweep.measure import ILLEGAL, LATE, LOST, NOT_BUILT, OK, Task
from emu.experiment.sweep.shapes import NETWORK, Shape
from emu.experiment.sweep.spec import Sweep, Variant
from emu.names import near

Row = dict[str, Any]
FILTERS = ("shape", "kind", "kernels", "opt", "flags", "cc", "mcpu", "core", "memory", "seed", "padding", "activation", "per_channel",
           "in_h", "in_w", "in_c", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w")


@dataclass(frozen=True)
class Point:
    """One row to be. row: what is known of it before it runs; one with a status is not to be run."""

    shape: Shape
    variant: Variant
    seed: int
    sizes: Mapping[str, int]
    row: Row

    @property
    def together(self) -> tuple[object, ...]:
        """Equal for points that one run serves."""
        v = self.variant
        return self.shape, self.seed, v.kernels, v.cc, v.opt, v.flags, v.mcpu


@dataclass(frozen=True)
class Plan:
    """points: in the file's order. large: shapes left out for their MACs."""

    sweep: Sweep
    points: tuple[Point, ...]
    large: int


@dataclass(frozen=True)
class Work:
    """What is left of a plan. ready: rows that need no run. tasks, and for each the points that it serves, in the order of its targets."""

    ready: list[Row] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    served: list[list[Point]] = field(default_factory=list)

    @property
    def points(self) -> int:
        return len(self.ready) + sum(map(len, self.served))


@dataclass(frozen=True)
class _Compiler:
    """problem: why there is none."""

    version: str = ""
    identity: str = ""
    problem: str = ""


def make(sweep: Sweep, where: Sequence[str] = ()) -> Plan:
    """The points of a sweep file that pass all filters (KEY=PATTERN each). UsageError for a filter that is none, or leaves nothing."""
    filters = [_filter(text) for text in where]
    known = _Known()
    points, large = [], 0
    for shape in sweep.shapes:
        for seed in sweep.seeds if shape.kind != NETWORK else (0,):
            base = _shape_row(shape, seed)
            if sweep.max_macs and (base["macs"] or 0) > sweep.max_macs:
                large += seed == sweep.seeds[0]
                continue
            for variant in sweep.variants:
                point = known.point(sweep, shape, variant, seed, base)
                if _passes(point.row, filters):
                    points.append(point)
    if not points:
        why = f"every shape has more than max_macs = {sweep.max_macs:,}" if large and not where else "no point passes --where"
        raise (UsageError if where else InputError)(f"{sweep.name}: the grid is empty: {why}")
    return Plan(sweep, tuple(points), large)


def left(plan: Plan, done: Mapping[str, Row], retry: bool = False) -> Work:
    """What the rows `done` (by point) do not hold yet; retry: failures again."""
    work = Work()
    groups: dict[tuple[object, ...], list[Point]] = {}
    for point in plan.points:
        if _is_done(point.row, done.get(point.row["point"]), plan.sweep.timeout, retry):
            continue
        if "status" in point.row:
            work.ready.append(point.row)
        else:
            groups.setdefault(point.together, []).append(point)
    for points in groups.values():
        work.tasks.append(_task(points, plan.sweep.timeout))
        work.served.append(points)
    return work


def _is_done(row: Row, before: Row | None, timeout: float, retry: bool) -> bool:
    """A point that a worker's death or a shorter time limit left open is not done."""
    if before is None or before["key"] != row["key"]:
        return False
    if before["status"] == LOST or (before["status"] == LATE and before["timeout"] < timeout):
        return False
    return not retry or before["status"] == OK


def _task(points: Sequence[Point], timeout: float) -> Task:
    first = points[0]
    v, row, facts = first.variant, first.row, first.shape.values
    return Task(kernels=v.kernels, cc=v.cc, opt=v.opt, flags=v.flags, mcpu=v.mcpu, kernel=None if first.shape.kind == NETWORK else row["kernel"],
                targets=tuple((point.variant.core, point.variant.memory) for point in points), seconds=timeout, sources=row["sources"],
                emulator=row["emulator"], compiler=row["compiler"], sizes=first.sizes, input=facts.get("input", ""), seed=first.seed,
                activation=facts.get("activation", "relu"), per_channel=facts.get("per_channel", True))


# --- rows before they run ---


def _shape_row(shape: Shape, seed: int) -> Row:
    """What a shape says of its rows; a shape that no kernel handles has a status."""
    facts = shape.values
    row: Row = {"shape": shape.name, "kind": shape.kind, "seed": seed, "macs": None, "sizes": {}}
    if shape.kind == NETWORK:
        return row | {"input": facts["input"]}
    row |= {name: facts[name] for name in ("padding", "activation", "per_channel") if name in facts}
    (row["in_h"], row["in_w"]), row["in_c"] = facts.get("size", (1, 1)), facts["in_c"]
    kernel = shape.kernel("c")
    try:
        sizes = kws.kernel_sizes(kernel, {"size": (1, 1), **facts})
    except ValueError as error:
        asked = {f"{name}_{axis}": value for name in ("kernel", "stride") if name in facts for axis, value in zip("hw", facts[name], strict=True)}
        return row | asked | {"out_c": facts.get("out_c"), "status": ILLEGAL, "error": str(error)}
    return row | sizes | {"macs": kws.kernel_macs(kernel, sizes), "sizes": sizes}


class _Known:
    """What many points share, found once."""

    def __init__(self) -> None:
        self._about = {"thumbcycle": __version__, "schema": identity.SCHEMA, "emulator": identity.emulator()}
        head = revision.head()
        self._git = {"git_revision": head[0], "git_dirty": head[1]} if head else {}
        self._sources = functools.cache(identity.sources)
        self._compiler = functools.cache(_find)

    def point(self, sweep: Sweep, shape: Shape, variant: Variant, seed: int, base: Row) -> Point:
        compiler = self._compiler(variant.kernels, variant.cc)
        asked = {"kernels": variant.kernels, "opt": variant.opt, "flags": " ".join(variant.flags), "cc": variant.compiler, "mcpu": variant.mcpu,
                 "core": variant.core, "memory": variant.memory}
        made = {**self._about, "compiler": compiler.version, "compiler_identity": compiler.identity, "sources": self._sources(variant.kernels),
                "tables": identity.tables(variant.core, variant.memory)}
        name = _hash({**asked, "kind": shape.kind, "facts": shape.facts, "seed": seed})
        row = {name: value for name, value in base.items() if name != "sizes"}
        row |= {"point": name, "key": _hash({"point": name, **made}), "sweep": sweep.name,
                "timeout": sweep.timeout,
                "kernel": shape.values[NETWORK] if shape.kind == NETWORK else shape.kernel(variant.kernels), **asked, **made, **self._git}
        if compiler.problem and "status" not in row:
            row |= {"status": NOT_BUILT, "error": compiler.problem}
        return Point(shape, variant, seed, base["sizes"], row)


def _find(kernels: str, cc: str | None) -> _Compiler:
    try:
        found = kernel_folder.find(kernels).toolchain(cc)
    except BuildError as error:
        return _Compiler(problem=str(error))
    return _Compiler(found.version, found.identity)


def _hash(facts: Mapping[str, Any]) -> str:
    return key([json.dumps(facts, sort_keys=True)])[:16]


# --- filters ---


def chosen(rows: Iterable[Row], where: Sequence[str]) -> list[Row]:
    """The rows that pass all filters."""
    filters = [_filter(text) for text in where]
    return [row for row in rows if _passes(row, filters)]


def _passes(row: Row, filters: Sequence[tuple[str, str]]) -> bool:
    return all(fnmatchcase(_shown(row.get(name)), pattern) for name, pattern in filters)


def _filter(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not equals:
        raise UsageError(f"--where {text}: KEY=PATTERN is wanted, e.g. --where core=cortex-m4")
    return column(f"--where {text}", name, FILTERS), pattern


def column(where: str, name: str, known: Collection[str]) -> str:
    """The name, which is one of the known. UsageError."""
    if name not in known:
        raise UsageError(f"{where}: no column {name!r}{near(name, known)}; there are {', '.join(known)}")
    return name


def _shown(value: object) -> str:
    """As --where takes it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
