"""What a run shows: inputs with their profiles and what the network answered, and the same totals of other kernel sets beside the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emu.profile import Profile, Row


@dataclass(frozen=True)
class Answer:
    """The network's last layer, by label, and its softmax. trained: False while the weights are random, so that no word is really heard."""

    labels: Sequence[str]
    logits: Sequence[float]
    probabilities: Sequence[float]
    trained: bool

    @property
    def winner(self) -> str:
        return self.labels[self._best]

    @property
    def confidence(self) -> float:
        """The winner's probability, 0 to 1."""
        return self.probabilities[self._best]

    @property
    def _best(self) -> int:
        return max(range(len(self.logits)), key=self.logits.__getitem__)


@dataclass(frozen=True)
class Heard:
    """One input: what it cost, and what was heard in it."""

    name: str
    profile: Profile
    answer: Answer


@dataclass(frozen=True)
class Beside:
    """Totals of another kernel set on the first input, or why there are none."""

    kernels: str
    totals: Row | None
    problem: str = ""


@dataclass(frozen=True)
class OnCore:
    """The first input on one core: the first core's run, priced for it, or (`reason` says why that could not be executed) one of an image of its own.

    `profile` is None where neither was possible, and `problem` says why.
    """

    core: str
    profile: Profile | None
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """All that the forms draw. mhz: clock for milliseconds, or None; cores: the first input on every core that was named, in their order."""

    inputs: Sequence[Heard]
    beside: Sequence[Beside] = ()
    mhz: float | None = None
    cores: Sequence[OnCore] = ()

    @property
    def profile(self) -> Profile:
        """Of the first input."""
        return self.inputs[0].profile

    @property
    def answer(self) -> Answer:
        """To the first input."""
        return self.inputs[0].answer

    def milliseconds(self, cycles: int) -> float | None:
        return cycles / (self.mhz * 1000) if self.mhz else None
