"""`Timeline`: every decision over a recording, the words detected, and what listening cost. The only thing that its reports read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from emu.profile import Profile
from emu.stream.detect import STEP, Detection, Rule


class Decision(NamedTuple):
    """One second of sound, up to `time`. posteriors and smoothed: one a label; level: RMS in dBFS; difference: as of equivalence."""

    time: float
    heard: str
    posteriors: tuple[float, ...]
    smoothed: tuple[float, ...]
    level: float
    quiet: bool
    bit_exact: bool | None
    difference: str | None


@dataclass(frozen=True)
class Timeline:
    """duration: seconds of the recording; profile: all decisions together, the network alone; mhz: clock for milliseconds, or None."""

    name: str
    duration: float
    labels: Sequence[str]
    trained: bool
    about: Mapping[str, object]
    rule: Rule
    decisions: Sequence[Decision]
    detections: Sequence[Detection]
    profile: Profile
    max_abs_error: float | None
    mhz: float | None

    @cached_property
    def wrong(self) -> list[Decision]:
        """Decisions that are not bit-exact."""
        return [decision for decision in self.decisions if decision.bit_exact is False]

    @property
    def bit_exact(self) -> int | None:
        """How many decisions are; None for float kernels."""
        return None if self.max_abs_error is not None else sum(decision.bit_exact is True for decision in self.decisions)

    @property
    def cycles(self) -> float:
        """Modelled cycles a decision, mean."""
        return self.profile.totals.cycles / len(self.decisions)

    @property
    def milliseconds(self) -> float | None:
        """A decision."""
        return self.cycles / (self.mhz * 1000) if self.mhz else None

    @property
    def share(self) -> float | None:
        """Of the CPU's time, 0 to 1 (more than 1: too slow), with a decision every STEP seconds."""
        return self.milliseconds / (STEP * 1000) if self.mhz else None
