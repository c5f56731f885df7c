"""Branch prediction: what a core's `[predictor]` section says of its shape, and of what a branch that was not foreseen costs.

    shape   btb_sets, btb_ways, counters, history, return_stack: as for emu.probe.follow.Predictor
    cost    cycles of its events, beyond a branch that is foreseen
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from emu.probe import follow

if TYPE_CHECKING:
    from emu.timing.core import Core

SHAPE = tuple(field.name for field in fields(follow.Predictor))
COSTS = ("wrong_direction", "wrong_target", "not_buffered")


@dataclass(frozen=True)
class Branches:
    """What follows a run for a core that foresees branches, and the cycles of the events that it reports."""

    follower: follow.Predictor
    wrong_direction: int
    wrong_target: int
    not_buffered: int

    def cycles(self, event: int) -> int:
        """Of one event of follow.h."""
        return {follow.WRONG_DIRECTION: self.wrong_direction, follow.WRONG_TARGET: self.wrong_target,
                follow.NOT_BUFFERED: self.not_buffered}.get(event, 0)


def parse(section: Mapping) -> Branches:
    """Of the parsed section. ValueError for a row or key that is missing, unknown or no number, or a row without its source."""
    rows = {"shape": SHAPE, "cost": COSTS}
    _same("row in [predictor]", section, rows)
    for row, keys in rows.items():
        _same(f"key of predictor.{row}", section[row], (*keys, "source"))
        if bad := [key for key in keys if type(section[row][key]) is not int or section[row][key] < 0]:
            raise ValueError(f"predictor.{row}.{bad[0]} must be a whole number, not {section[row][bad[0]]!r}")
    return Branches(follow.Predictor(*(section["shape"][key] for key in SHAPE)), *(section["cost"][key] for key in COSTS))


def followers(*cores: Core) -> tuple[follow.Predictor, ...]:
    """What has to follow a run that these cores price; each once. A run that none followed is priced as if all branches were foreseen."""
    return tuple(dict.fromkeys(core.sections["predictor"].follower for core in cores if "predictor" in core.sections))


def costs(core: Core, followed: Sequence[follow.Follower]) -> dict[int, Branches]:
    """Kind of site -> what the events of that follower cost on this core, of a run that these followers followed."""
    branches = core.sections.get("predictor")
    return {follow.FOLLOWED + number: branches for number, follower in enumerate(followed) if branches and follower == branches.follower}


def _same(what: str, found: object, wanted: Sequence[str] | Mapping) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{what}: a table was expected, not {found!r}")  # noqa: TRY004
    if unknown := found.keys() - set(wanted):
        raise ValueError(f"unknown {what}: {', '.join(sorted(unknown))}")
    if missing := set(wanted) - found.keys():
        raise ValueError(f"missing {what}: {', '.join(sorted(missing))}")
