"""What a run shows: a profile, what the network answered, and the same totals of other kernel sets beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emu.profile import Profile, Row


@dataclass(frozen=True)
class Answer:
    """The network's last layer, by label. trained: False while the weights are random, so that no word is really heard."""

    labels: Sequence[str]
    logits: Sequence[float]
    trained: bool

    @property
    def winner(self) -> str:
        return self.labels[max(range(len(self.logits)), key=self.logits.__getitem__)]


@dataclass(frozen=True)
class Beside:
    """Totals of another kernel set on the same input, or why there are none."""

    kernels: str
    totals: Row | None
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """All that the forms draw. mhz: clock for milliseconds, or None."""

    profile: Profile
    answer: Answer
    beside: Sequence[Beside] = ()
    mhz: float | None = None

    def milliseconds(self, cycles: int) -> float | None:
        return cycles / (self.mhz * 1000) if self.mhz else None
