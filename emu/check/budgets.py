"""`budgets.toml`: what every layer of a kernel set may cost on a core, read strictly and written in one order.

    [[run]]
    kernels = "c"              # a kernel set, or a folder, from the file's on; the rest of OPTIONS may be left out
    core = "cortex-m4"
    compiler = "..."           # first line of its --version: whose C the figures belong to (written by --update)

    [run.layers]               # written by --update
    qconv2d_3x3_8 = { instructions = 38012, cycles = 40303, bytes_read = 39408, bytes_written = 7438, stack = 520, code = 4188 }

A run is of the keyword spotter, or of each shape of a sweep file: shapes = "mlperf-tiny".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from emu import files
from emu.errors import InputError
from emu.names import near
from emu.profile import Row

# And what they are when left out; shapes: a sweep file's, "" is the keyword spotter on `input`.
OPTIONS = {"kernels": None, "core": "cortex-m4", "memory": "zero-wait", "input": "yes", "opt": "O3", "shapes": ""}
_RUN = (*OPTIONS, "compiler", "layers")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[\[\s*run\s*\]\]")
_KEY = re.compile(r'\s*(?:"([^"\\]+)"|([\w.-]+))\s*=')


@dataclass(frozen=True)
class Figures:
    """What one layer costs; bytes are those of data, stack is its deepest, in bytes, code the bytes of the functions that ran."""

    instructions: int
    cycles: int
    bytes_read: int
    bytes_written: int
    stack: int
    code: int

    @classmethod
    def of(cls, row: Row, code_bytes: int) -> Figures:
        return cls(row.instructions, row.cycles, row.bytes_read, row.bytes_written, row.stack_bytes, code_bytes)


FIGURES = tuple(figure.name for figure in fields(Figures))


@dataclass(frozen=True)
class Budget:
    """One [[run]]: what to run, and the figures of its layers or shapes, None where none were written down yet. lines: layer or key -> line
    of the file, "" of the run."""

    kernels: str
    core: str
    memory: str
    input: str
    opt: str
    shapes: str
    compiler: str | None
    layers: Mapping[str, Figures] | None
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)
    folder: str = field(default="", compare=False)  # name of the file's

    @property
    def options(self) -> tuple[str, ...]:
        """What no two runs of a file may share."""
        return tuple(getattr(self, option) for option in OPTIONS)

    @property
    def name(self) -> str:
        """The run in words, without what is as usual."""
        unusual = [f"{option} {getattr(self, option)}" for option in ("memory", "input", "opt", "shapes") if getattr(self, option) != OPTIONS[option]]
        return ", ".join([f"{self.shown} on {self.core}", *unusual])

    @property
    def shown(self) -> str:
        """The kernels in words: of the file's own folder its name."""
        return self.folder if self.kernels == "." and self.folder else self.kernels

    def line(self, layer: str = "") -> int:
        return self.lines.get(layer, self.lines.get("", 1))


@dataclass(frozen=True)
class Budgets:
    """The whole file. head: the comments that it begins with."""

    file: str
    head: str
    runs: tuple[Budget, ...]

    def with_runs(self, runs: Sequence[Budget]) -> Budgets:
        return replace(self, runs=tuple(runs))


def load(file: str) -> Budgets:
    """InputError, with the line where one is to blame, for a file that is missing, no TOML, or holds what is not known."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{file}: {error}") from None
    _known(file, "key", table, ("run",))
    rows = table.get("run")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{file}: there is no [[run]] in it, so there is nothing to check")
    lines = _lines(text)
    lines += [{"": 1}] * (len(rows) - len(lines))
    runs: dict[tuple[str, ...], Budget] = {}
    for row, at in zip(rows, lines, strict=False):
        budget = _budget(file, row, at)
        first = runs.setdefault(budget.options, budget)
        if first is not budget:
            raise InputError(f"{file}:{budget.line()}: {budget.name} stands in the file twice, first in line {first.line()}")
    return Budgets(file, _head(text), tuple(runs.values()))


def save(budgets: Budgets) -> None:
    """Rewrite the file: head, then the runs by name, the layers in the order that they have. InputError when it cannot be written."""
    text = budgets.head + "\n".join(_written(budget) for budget in sorted(budgets.runs, key=lambda budget: budget.options))
    try:
        files.write_atomically(Path(budgets.file), text.encode())
    except OSError as error:
        raise InputError(f"cannot write {budgets.file}: {error.strerror}") from None


def _budget(file: str, row: object, lines: Mapping[str, int]) -> Budget:
    where = f"{file}:{lines['']}"
    if not isinstance(row, dict):
        raise InputError(f"{where}: [[run]] must be a table, not {row!r}")
    for key in row:
        _known(f"{file}:{lines.get(key, lines[''])}", "key of a [[run]]", (key,), _RUN)
    for key in (*OPTIONS, "compiler"):
        if key in row and (not isinstance(row[key], str) or not row[key]):
            raise InputError(f"{file}:{lines.get(key, lines[''])}: {key} must be a name, not {row[key]!r}")
    if {"shapes", "input"} <= row.keys():
        raise InputError(f"{file}:{lines.get('input', lines[''])}: input is of the keyword spotter; shapes have inputs of their own")
    if "kernels" not in row:
        raise InputError(f"{where}: [[run]] names no kernels")
    layers = row.get("layers")
    if layers is not None:
        if not isinstance(layers, dict) or not layers:
            raise InputError(f"{where}: layers must be a table with a line a layer, not {layers!r}")
        layers = {name: _figures(f"{file}:{lines.get(name, lines[''])}", name, figures) for name, figures in layers.items()}
        if "compiler" not in row:
            raise InputError(f"{where}: there are figures, but no compiler that they belong to; without [run.layers], --update writes both")
    return Budget(**{key: row.get(key, usual) for key, usual in OPTIONS.items()}, compiler=row.get("compiler"), layers=layers, lines=lines,
                  folder=Path(file).absolute().parent.name)


def _figures(where: str, layer: str, figures: object) -> Figures:
    if not isinstance(figures, dict):
        raise InputError(f"{where}: {layer} must be a table of {', '.join(FIGURES)}, not {figures!r}")
    _known(where, f"figure of {layer}", figures, FIGURES)
    if missing := [figure for figure in FIGURES if figure not in figures]:
        raise InputError(f"{where}: {layer} has no {', '.join(missing)}")
    for figure, value in figures.items():
        if type(value) is not int or value < 0:
            raise InputError(f"{where}: {figure} of {layer} must be a whole number from 0, not {value!r}")
    return Figures(**figures)


def _known(where: str, what: str, found: Collection[str], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            raise InputError(f"{where}: no {what} is called {key!r}{near(key, known)}; there are {', '.join(known)}")


def _lines(text: str) -> list[dict[str, int]]:
    """Of every [[run]] its line under "", and the lines of its keys; tomllib tells none."""
    found: list[dict[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            found.append({"": number})
        elif found and (key := _KEY.match(line)):
            found[-1].setdefault(key[1] or key[2], number)
    return found


def _head(text: str) -> str:
    """The comments and blank lines before the first key."""
    lines = text.splitlines(keepends=True)
    end = next((at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    return "".join(lines[:end])


def _written(budget: Budget) -> str:
    keys = [key for key, usual in OPTIONS.items() if getattr(budget, key) != usual or key == "core"]
    rows = [f"{key} = {_quoted(getattr(budget, key))}" for key in (*keys, *["compiler"] * (budget.compiler is not None))]
    if budget.layers is not None:
        rows += ["", "[run.layers]"]
        for name, figures in budget.layers.items():
            key = name if _BARE.fullmatch(name) else _quoted(name)
            rows.append(f"{key} = {{ {', '.join(f'{figure} = {getattr(figures, figure)}' for figure in FIGURES)} }}")
    return "\n".join(["[[run]]", *rows, ""])


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in escaped) + '"'
