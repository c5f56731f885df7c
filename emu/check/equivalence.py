"""Outputs against the reference: bit for bit for int8, largest error for float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emu.profile import Profile


@dataclass(frozen=True)
class Difference:
    """The first element of the first layer that differs: coordinates in the output's shape, and both values."""

    layer: str
    at: tuple[int, ...]
    got: int
    expected: int
    elements: int  # of the layer that differ
    size: int  # of the layer

    def __str__(self) -> str:
        return (f"layer {self.layer} is not bit-exact: element {self.at} is {self.got}, the reference says {self.expected} "
                f"({self.elements} of {self.size} elements differ)")


def check(profile: Profile, outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> tuple[Profile, Difference | None]:
    """The profile with `bit_exact` (int8) or `max_abs_error` (float) filled in, and the first difference of int8 outputs.

    outputs, expected: one array a layer; each pair holds the same elements in the same order (a reference may add or drop axes of 1).
    """
    changes: list[dict[str, object]] = []
    first = None
    for row, got, want in zip(profile.layers, outputs, expected, strict=True):
        want = np.asarray(want).reshape(got.shape)
        if got.dtype.kind == "f":
            changes.append({"max_abs_error": float(np.abs(got.astype(np.float64) - want).max())})
            continue
        wrong = np.argwhere(got != want)
        changes.append({"bit_exact": not len(wrong)})
        if len(wrong) and first is None:
            at = tuple(int(i) for i in wrong[0])
            first = Difference(row.name, at, int(got[at]), int(want[at]), len(wrong), got.size)
    return profile.with_rows(changes), first
