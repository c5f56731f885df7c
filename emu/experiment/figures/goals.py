"""What is measured for publication, and what the kernels are to reach: figures.toml, read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu.build import kernel_folder
from emu.errors import InputError, UsageError
from emu.experiment.sweep import spec, values
from emu.experiment.sweep.plan import FILTERS
from emu.experiment.sweep.values import SpecError
from emu.timing import core as cores

FIGURES = ("cycles", "cycles_per_mac", "of_baseline")
Reader = Callable[[str, object], str]  # of a kernel set in the file: where, value
_GOAL = ("what", "kernels", "core", "where", "figure", "wanted", "aim")


@dataclass(frozen=True)
class Where:
    """Columns of a sweep's rows, and the values that fit: one, or a range with both ends, which may be open."""

    columns: tuple[tuple[str, object], ...]

    def fits(self, row: Mapping[str, Any]) -> bool:
        return all(_fits(row.get(name), wanted) for name, wanted in self.columns)

    @classmethod
    def read(cls, where: str, table: object) -> Where:
        """SpecError."""
        columns = values.known_keys(where, table, FILTERS)
        for name, wanted in columns.items():
            if isinstance(wanted, dict):
                values.known_keys(f"{where}: {name}", wanted, ("from", "to"))
        return cls(tuple(columns.items()))


def _fits(value: object, wanted: object) -> bool:
    if not isinstance(wanted, dict):
        return value == wanted
    return isinstance(value, int) and wanted.get("from", value) <= value <= wanted.get("to", value)


@dataclass(frozen=True)
class Goal:
    """wanted, aim: the most that `figure` may be of a line of these kernels that `where` fits. aim: None where there is none."""

    what: str
    kernels: str
    core: str
    where: Where
    figure: str
    wanted: float
    aim: float | None


@dataclass(frozen=True)
class Measure:
    """On one core: `kernels` run the keyword spotter and all shapes, `spotter` the keyword spotter alone."""

    core: str
    kernels: tuple[str, ...]
    spotter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """shapes: sweep files -> titles. baseline: the kernel set that others are held against."""

    shapes: Mapping[str, str]
    baseline: str
    measures: tuple[Measure, ...]
    goals: tuple[Goal, ...]


def load(file: Path) -> Published:
    """Paths of sweep files and of folders of kernels are relative to the file's. InputError for a file that is missing or wrong."""
    try:
        return _published(tomllib.loads(file.read_text()), file.parent)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except (ValueError, UsageError) as error:  # of TOML, of UTF-8, SpecError; of names that do not exist
        raise InputError(f"{file}: {error}") from None


def _published(table: dict[str, Any], folder: Path) -> Published:
    values.known_keys("the file", table, ("shapes", "baseline", "measure", "goal"))
    shapes = values.known_keys("shapes", table.get("shapes"), table.get("shapes") or ())
    kernels = _kernels(folder)
    rows = {key: table.get(key, []) if isinstance(table.get(key, []), list) else [table[key]] for key in ("measure", "goal")}
    if not rows["measure"]:
        raise SpecError("no [[measure]] says what to run")
    measures = tuple(_measure(f"measure {number}", row, kernels) for number, row in enumerate(rows["measure"], 1))
    measured = {(name, measure.core) for measure in measures for name in (*measure.kernels, *measure.spotter)}
    goals = tuple(_goal(f"goal {number}", row, kernels) for number, row in enumerate(rows["goal"], 1))
    for number, goal in enumerate(goals, 1):
        if (goal.kernels, goal.core) not in measured:
            raise SpecError(f"goal {number} is of {goal.kernels} on {goal.core}, which no [[measure]] runs")
    return Published({_beside(name, folder): values.text(f"shapes: {name}", title) for name, title in shapes.items()},
                     kernels("baseline", table.get("baseline")), measures, goals)


def _beside(name: str, folder: Path) -> str:
    """A sweep file that comes with the project by its name, one of somebody's by its path."""
    return str(folder / name) if (folder / name).is_file() else name


def _kernels(folder: Path) -> Reader:
    def one(where: str, value: object) -> str:
        return kernel_folder.beside(values.text(where, value), folder)

    return one


def _measure(where: str, row: object, kernels: Reader) -> Measure:
    table = values.known_keys(where, row, ("core", "kernels", "spotter"))
    core = values.text(f"{where}: core", table.get("core"))
    cores.load(core)
    return Measure(core, values.values(f"{where}: kernels", table.get("kernels"), kernels),
                   values.values(f"{where}: spotter", table["spotter"], kernels) if "spotter" in table else ())


def _goal(where: str, row: object, kernels: Reader) -> Goal:
    table = values.known_keys(where, row, _GOAL)
    what, core = (values.text(f"{where}: {key}", table.get(key, usual)) for key, usual in (("what", None), ("core", spec.DEFAULTS["core"])))
    figure = values.choice(FIGURES)(f"{where}: figure", table.get("figure"))
    return Goal(what, kernels(f"{where}: kernels", table.get("kernels")), core, Where.read(f"{where}: where", table.get("where")), figure, _most(f"{where}: wanted", table.get("wanted")),
                _most(f"{where}: aim", table["aim"]) if "aim" in table else None)


def _most(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise SpecError(f"{where} is {value!r}; a number above 0 is wanted")
    return value
