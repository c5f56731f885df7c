"""Cycles over a grid of shapes, and the reasons of what sticks out of it: growth.toml, read strictly."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emu import kws
from emu.errors import InputError
from emu.experiment import bounds
from emu.experiment.figures.goals import Where
from emu.experiment.sweep import cliffs, values
from emu.experiment.sweep.cliffs import Cliff
from emu.experiment.sweep.shapes import KINDS
from emu.timing import core as cores

FILE = Path(__file__).parent / "growth.toml"
SWEEP = "growth"  # the sweep file
FIXED = "smaller shapes, cheaper in all: what a call, a pixel or a channel costs once is shared by fewer MACs"  # of cliffs that are not steep
_AXES = ("input", "in_c", "out_c", "channels", "kernel")
_SIDES = ("row", "neighbour")


@dataclass(frozen=True)
class Reason:
    """kernels, kind, axis: empty is any. row, neighbour: of the dearer and the cheaper shape.

    padding: the cliff is none when only MACs over the input count.
    """

    text: str
    kernels: tuple[str, ...]
    kind: tuple[str, ...]
    axis: tuple[str, ...]
    row: Where
    neighbour: Where
    padding: bool

    def explains(self, cliff: Cliff) -> bool:
        return ((not self.kernels or cliff.row["kernels"] in self.kernels) and (not self.kind or cliff.row["kind"] in self.kind)
                and (not self.axis or cliff.axis in self.axis) and self.row.fits(cliff.row) and self.neighbour.fits(cliff.neighbour)
                and (not self.padding or cliff.ratio * inside(cliff.neighbour) <= cliffs.RATIO * inside(cliff.row)))


@dataclass(frozen=True)
class Growth:
    """One kernel set on one core. pairs: of neighbours that were compared. explained: reason -> cliffs. Without one: unexplained where they are steep,
    else fixed."""

    kernels: str
    core: str
    rows: tuple[Mapping[str, Any], ...]
    pairs: int
    explained: Mapping[str, Sequence[Cliff]]
    unexplained: tuple[Cliff, ...]
    fixed: tuple[Cliff, ...]


def least(growth: Growth) -> float:
    """The least cycles in which the core multiplies and accumulates once."""
    return 1 / bounds.bounds(cores.load(growth.core), growth.kernels == kws.FLOAT_SET).macs_per_cycle


def inside(row: Mapping[str, Any]) -> float:
    """The share of a shape's MACs that are over its input, not over padding."""
    return math.prod(_inside(*(row[name] for name in names)) for names in _ALONG) if row["kernel_h"] else 1.0


_ALONG = (("in_h", "out_h", "kernel_h", "stride_h", "pad_top"), ("in_w", "out_w", "kernel_w", "stride_w", "pad_left"))


def _inside(size: int, out: int, kernel: int, stride: int, pad: int) -> float:
    return sum(0 <= place * stride - pad + tap < size for place in range(out) for tap in range(kernel)) / (out * kernel)


def load(file: Path = FILE) -> tuple[Reason, ...]:
    """InputError for a file that is missing or wrong."""
    try:
        table = values.known_keys("the file", tomllib.loads(file.read_text()), ("reason",))
        return tuple(_reason(f"reason {number}", row) for number, row in enumerate(table.get("reason", []), 1))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValueError as error:  # of TOML, of UTF-8, and SpecError
        raise InputError(f"{file}: {error}") from None


def _reason(where: str, row: object) -> Reason:
    table = values.known_keys(where, row, ("text", "kernels", "kind", "axis", "padding", *_SIDES))
    return Reason(values.text(f"{where}: text", table.get("text")),
                  values.values(f"{where}: kernels", table["kernels"], values.text) if "kernels" in table else (),
                  values.values(f"{where}: kind", table["kind"], values.choice(tuple(KINDS))) if "kind" in table else (),
                  values.values(f"{where}: axis", table["axis"], values.choice(_AXES)) if "axis" in table else (),
                  *(Where.read(f"{where}: {side}", table.get(side, {})) for side in _SIDES), values.flag(f"{where}: padding", table.get("padding", False)))


def growths(rows: Sequence[Mapping[str, Any]], reasons: Sequence[Reason]) -> tuple[Growth, ...]:
    """By kernel set and core, of rows that are ok and have MACs."""
    usable = [row for row in rows if row["status"] == "ok" and row["macs"]]
    return tuple(_growth(*made, [row for row in usable if (row["kernels"], row["core"]) == made], reasons)
                 for made in dict.fromkeys((row["kernels"], row["core"]) for row in usable))


def _growth(kernels: str, core: str, rows: Sequence[Mapping[str, Any]], reasons: Sequence[Reason]) -> Growth:
    explained: dict[str, list[Cliff]] = {}
    unexplained, fixed = [], []
    for cliff in cliffs.find(rows):
        reason = next((reason for reason in reasons if reason.explains(cliff)), None)
        (explained.setdefault(reason.text, []) if reason else unexplained if cliff.steep else fixed).append(cliff)
    return Growth(kernels, core, tuple(rows), cliffs.pairs(rows), explained, tuple(unexplained), tuple(fixed))
