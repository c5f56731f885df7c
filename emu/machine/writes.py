"""What a kernel may write: its output, scratch, stack and variables of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from emu.errors import TargetFault


def check(who: str, objects: Sequence[str], accesses: np.ndarray, forbidden: Collection[str]) -> None:
    """TargetFault, which names `who`, for a store into a forbidden object, and for one that no object holds.

    accesses: of one layer, as Counts.traffic has them (objects, loads and stores, sizes).
    """
    for name, (_, stores) in zip(objects, accesses, strict=True):
        if stores.any() and (name == "other" or name in forbidden):
            where = "outside every object" if name == "other" else f"into {name}, which is not its output"
            times = int(stores.sum())
            raise TargetFault(f"{who} wrote {where}: {times} time{'s' * (times > 1)}")
