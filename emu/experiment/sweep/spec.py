"""Sweep files, read strictly: shapes, and grids of what they are run with.

    timeout = 60                    # seconds that a point may take; these three may be left out
    max_macs = 2_000_000            # shapes with more are left out
    seed = [0, 1]                   # of weights and inputs

    [[grid]]                        # every combination; what is left out is as DEFAULTS says
    kernels = ["thumb2", "../mine"] # sets, and folders of kernels, relative to this file's
    opt = ["-O2", "-O3"]
    flags = ["", "-funroll-loops"]  # more of the compiler's options, several in one text
    cc = ["gcc", "clang"]           # gcc: the one that emu.run takes; or a path
    core = ["cortex-m4", "cortex-m7"]
    memory = "zero-wait"
    mcpu = "core"                   # whose code runs: the core's own, or one core's, whose run is then priced for every core

    [[shape]]                       # see `shapes`
"""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emu import tables
from emu.build import compile as images
from emu.build import kernel_folder
from emu.build.flags import obstacle, shown
from emu.errors import InputError, UsageError
from emu.experiment.sweep import shapes, values
from emu.experiment.sweep.shapes import Shape
from emu.experiment.sweep.values import SpecError
from emu.timing import core as cores
from emu.timing import memory as memories

READY = Path(__file__).parents[1] / "sweeps"  # files that come with the project
DEFAULTS = {"kernels": "thumb2", "cc": "gcc", "opt": "-O3", "flags": "", "core": "cortex-m4", "memory": memories.DEFAULT, "mcpu": "core"}
DEFAULT_TIMEOUT = 60.0
KEYS = ("timeout", "max_macs", "seed", "grid", "shape")
MOST_POINTS = 1_000_000


@dataclass(frozen=True)
class Variant:
    """What a shape is run with. kernels: a set's name, or a folder's path. cc: None is the compiler that emu.run takes. mcpu: the core whose code runs."""

    kernels: str
    cc: str | None
    opt: str
    flags: tuple[str, ...]
    core: str
    memory: str
    mcpu: str

    @property
    def compiler(self) -> str:
        """As a sweep file names it."""
        return self.cc or DEFAULTS["cc"]


@dataclass(frozen=True)
class Sweep:
    """A sweep file. max_macs: 0 is no limit."""

    name: str
    shapes: tuple[Shape, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    timeout: float
    max_macs: int


def load(target: str) -> Sweep:
    """The sweep file at a path, or the one of that name that comes with the project. UsageError, InputError."""
    path = Path(target)
    ready = tables.names(READY)
    if not path.exists() and target in ready:
        path = READY / f"{target}.toml"
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"no sweep file {target}{values.near(target, ready)}: a FILE.toml is wanted, or one of {', '.join(ready)}") from None
    except OSError as error:
        raise InputError(f"{target}: {error.strerror}") from None
    except ValueError as error:  # of TOML, and of UTF-8
        raise InputError(f"{target}: no TOML: {error}") from None
    try:
        return parse(path.stem, table, path.parent)
    except SpecError as error:
        raise InputError(f"{target}: {error}") from None


def with_kernels(sweep: Sweep, kernels: Iterable[str], core: str) -> Sweep:
    """Its shapes with these sets or folders on that core, whatever its grids say."""
    variants = (Variant(name, None, DEFAULTS["opt"].removeprefix("-"), (), core, DEFAULTS["memory"], core) for name in kernels)
    return replace(sweep, variants=tuple(variants))


def of_kernels(sweep: Sweep, kernels: Iterable[str]) -> Sweep:
    """Its grids with these sets or folders instead of theirs; itself where there are none. UsageError, InputError."""
    names = [kernel_folder.beside(name, Path()) for name in kernels]
    for name in names:
        kernel_folder.find(name)
    variants = (replace(variant, kernels=name) for variant in sweep.variants for name in names)
    return replace(sweep, variants=tuple(dict.fromkeys(variants))) if names else sweep


def parse(name: str, table: dict[str, Any], folder: Path) -> Sweep:
    """A Sweep from a parsed file in `folder`. SpecError."""
    values.known_keys("the file", table, KEYS)
    found = [shape for number, row in enumerate(_tables(table, "shape"), 1) for shape in shapes.read(f"shape {number}", row)]
    if not found:
        raise SpecError("the grid is empty: no [[shape]] says what to run")
    found = list(dict.fromkeys(found))
    names = [shape.name for shape in found]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise SpecError(f"shape {names.index(twice) + 1} and another one are both called {twice!r}")
    grids = _tables(table, "grid") or [{}]
    variants = [variant for number, row in enumerate(grids, 1) for variant in _variants(f"grid {number}", row, folder)]
    seeds = values.values("seed", table.get("seed", 0), values.seed)
    sweep = Sweep(name, tuple(found), tuple(dict.fromkeys(variants)), seeds, _timeout(table.get("timeout", DEFAULT_TIMEOUT)),
                  values.number("max_macs", table["max_macs"]) if "max_macs" in table else 0)
    if (count := len(sweep.shapes) * len(sweep.variants) * len(seeds)) > MOST_POINTS:
        raise SpecError(f"{count:,} points; at most {MOST_POINTS:,} are run")
    return sweep


def _tables(table: dict[str, Any], key: str) -> list[Any]:
    """[[key]], or [key] for a single one."""
    rows = table.get(key, [])
    return rows if isinstance(rows, list) else [rows]


def _timeout(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise SpecError(f"timeout is {value!r}; seconds are wanted")
    return float(value)


def _variants(where: str, row: object, folder: Path) -> Iterator[Variant]:
    table, read = values.known_keys(where, row, tuple(DEFAULTS)), {**_READ, "kernels": _kernels(folder)}
    lists = {key: values.values(f"{where}: {key}", table.get(key, usual), read[key]) for key, usual in DEFAULTS.items()}
    for combination in itertools.product(*lists.values()):
        variant = Variant(**dict(zip(lists, combination, strict=True)))
        yield replace(variant, mcpu=variant.core) if variant.mcpu == DEFAULTS["mcpu"] else variant


def _kernels(folder: Path) -> Callable[[str, object], str]:
    """A set's name, or somebody's folder: relative to the sweep file's."""

    def one(where: str, value: object) -> str:
        with _placed(where):
            kernels = kernel_folder.beside(values.text(where, value), folder)
            kernel_folder.find(kernels)
        return kernels

    return one


@contextlib.contextmanager
def _placed(where: str) -> Iterator[None]:
    """SpecError says where in the file a name stands that does not exist."""
    try:
        yield
    except UsageError as error:
        raise SpecError(f"{where}: {error}") from None


def _opt(where: str, value: object) -> str:
    level = values.text(where, value).removeprefix("-")
    return values.choice(images.OPTIMIZATIONS)(where, level)


def _flags(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise SpecError(f'{where} is {value!r}; options in one text are wanted, e.g. "-funroll-loops -fno-tree-vectorize"')
    flags = tuple(value.split())
    for flag in flags:
        if flag.startswith("-O"):
            raise SpecError(f"{where}: {flag} belongs into opt")
        if reason := obstacle(flag):
            raise SpecError(f"{where}: {shown(flag)} cannot be given: {reason}")
    return flags


def _table(load: Callable[[str], Any]) -> Callable[[str, object], str]:
    """The name of a table that exists."""

    def one(where: str, value: object) -> str:
        name = values.text(where, value)
        with _placed(where):
            load(name)
        return name

    return one


_READ: dict[str, Callable[[str, object], Any]] = {
    "cc": lambda where, value: None if values.text(where, value) == DEFAULTS["cc"] else value,
    "opt": _opt, "flags": _flags, "core": _table(cores.load), "memory": _table(memories.load),
    "mcpu": lambda where, value: value if value == DEFAULTS["mcpu"] else _table(cores.load)(where, value)}
