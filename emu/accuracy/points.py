"""Published figures, as data: `points/*.toml`, a set of programs on one board a file. Strictly checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu import tables

POINTS = Path(__file__).with_name("points")
RECORDINGS = Path(__file__).with_name("recordings")

# key -> type; of a set, and of a point. What is not in REQUIRED may be left out.
_SET = {"title": str, "core": str, "board": str, "memory": str, "source": str, "built": str, "point": list}
_POINT = {"program": str, "published": (int, float), "recording": str, "runs": int, "memory": str, "source": str, "apart": str, "note": str}
_REQUIRED = {"set": {"title", "core", "board", "memory", "source", "built", "point"}, "point": {"program", "published", "recording"}}


@dataclass(frozen=True)
class Point:
    """One program on one board. published: cycles of one run. recording: a file below `recordings/`, of `runs` runs.
    apart: why it does not count in the summary ("": it does)."""

    program: str
    published: float
    recording: Path
    runs: int
    memory: str
    source: str
    apart: str
    note: str


@dataclass(frozen=True)
class PointSet:
    """Programs on one board. source: where the figures are published; built: how the programs were made, in prose."""

    name: str
    title: str
    core: str
    board: str
    source: str
    built: str
    points: tuple[Point, ...]


def names() -> list[str]:
    """Names of the sets that exist."""
    return tables.names(POINTS)


def load(name: str) -> PointSet:
    """The set of that name. UsageError names the ones that exist; InputError a file that is not as it should be."""
    return tables.load(POINTS, "set of points", name, lambda table: _set(name, table))


def _set(name: str, table: Mapping[str, Any]) -> PointSet:
    _check("the set", table, _SET, _REQUIRED["set"])
    points = []
    for number, row in enumerate(table["point"], 1):
        where = f"point {number} ({row.get('program', 'without a program')})" if isinstance(row, dict) else f"point {number}"
        _check(where, row, _POINT, _REQUIRED["point"])
        if row["published"] <= 0:
            raise ValueError(f"{where}: published must be more than 0 cycles, not {row['published']}")
        if row.get("runs", 1) < 1:
            raise ValueError(f"{where}: runs must be at least 1, not {row['runs']}")
        points.append(Point(row["program"], row["published"], RECORDINGS / row["recording"], row.get("runs", 1), row.get("memory", table["memory"]),
                            row.get("source", table["source"]), row.get("apart", ""), row.get("note", "")))
    return PointSet(name, table["title"], table["core"], table["board"], table["source"], table["built"], tuple(points))


def _check(where: str, row: object, keys: Mapping[str, Any], required: set[str]) -> None:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a table was expected, not {row!r}")  # noqa: TRY004
    if unknown := row.keys() - keys.keys():
        raise ValueError(f"{where}: unknown key {', '.join(sorted(unknown))}; there are {', '.join(keys)}")
    if missing := required - row.keys():
        raise ValueError(f"{where}: no {', '.join(sorted(missing))}")
    for key, value in row.items():
        if not isinstance(value, keys[key]) or isinstance(value, bool):
            raise ValueError(f"{where}: {key} is {value!r}")  # noqa: TRY004
