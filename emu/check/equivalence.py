"""Outputs against the reference: bit for bit for int8, largest error for float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emu.profile import Profile


@dataclass(frozen=True)
class Difference:
    """The first element of the first layer that differs: coordinates in the output's shape, and both values; how many of the layer's
    elements differ, and by how much at most."""

    layer: str
    at: tuple[int, ...]
    got: int
    expected: int
    elements: int
    size: int  # of the layer
    most: int

    def __str__(self) -> str:
        return (f"layer {self.layer} is not bit-exact: element {self.at} is {self.got}, the reference says {self.expected} "
                f"({self.elements} of {self.size} elements differ, by {self.most} at most)")


def check(profile: Profile, outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> tuple[Profile, Difference | None]:
    """The profile with `bit_exact`, `wrong_bytes`, `max_difference` (int8) or `max_abs_error` (float) filled in, and the first difference of int8 outputs.

    outputs, expected: one array a layer; each pair holds the same elements in the same order (a reference may add or drop axes of 1).
    """
    changes: list[dict[str, object]] = []
    first = None
    for row, got, want in zip(profile.layers, outputs, expected, strict=True):
        want = np.asarray(want).reshape(got.shape)
        if got.dtype.kind == "f":
            changes.append({"max_abs_error": _error(got, want)})
            continue
        difference = _difference(row.name, got, want)
        changes.append({"bit_exact": difference is None, **({"wrong_bytes": difference.elements, "max_difference": difference.most} if difference else {})})
        first = first or difference
    return profile.with_rows(changes), first


@dataclass(frozen=True)
class BatchVerdict:
    """Of every input of a batch its first difference, None where all layers are bit-exact; of float layers the largest error instead."""

    differences: tuple[Difference | None, ...]
    max_abs_error: float | None


def check_batch(layers: Sequence[str], outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> BatchVerdict:
    """`check` for many inputs at once: layers are names; outputs and expected one array (inputs, ...) a layer, as for `check`."""
    first: list[Difference | None] = [None] * len(outputs[0])
    errors = []
    for name, got, want in zip(layers, outputs, expected, strict=True):
        want = np.asarray(want).reshape(got.shape)
        if got.dtype.kind == "f":
            errors.append(_error(got, want))
            continue
        for at in np.flatnonzero((got != want).reshape(len(got), -1).any(axis=1)):
            first[at] = first[at] or _difference(name, got[at], want[at])
    return BatchVerdict(tuple(first), float(np.max(errors)) if errors else None)


def _difference(layer: str, got: np.ndarray, want: np.ndarray) -> Difference | None:
    wrong = np.argwhere(got != want)
    if not len(wrong):
        return None
    at = tuple(int(i) for i in wrong[0])
    most = np.abs(got.astype(np.int64) - want).max()
    return Difference(layer, at, int(got[at]), int(want[at]), len(wrong), got.size, int(most))


def _error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got.astype(np.float64) - want).max())
