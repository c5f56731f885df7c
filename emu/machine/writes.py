"""What a kernel may write: its output, scratch, stack and variables of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from emu.errors import TargetFault
from emu.isa.instruction import Flag
from emu.machine import faults
from emu.machine.machine import Machine


def check(who: str, objects: Sequence[str], accesses: np.ndarray, forbidden: Collection[str], writer: Callable[[int], str] = lambda number: "") -> None:
    """TargetFault, which names `who`, for a store into a forbidden object, and for one that no object holds.

    accesses: of one layer, as Counts.traffic has them (objects, loads and stores, sizes). writer: of an object, by its number, what the line
    ends with.
    """
    for number, (name, (_, stores)) in enumerate(zip(objects, accesses, strict=True)):
        if stores.any() and (name == "other" or name in forbidden):
            where = "outside every object" if name == "other" else f"into {name}, which is not its output"
            times = int(stores.sum())
            raise TargetFault(f"{who} wrote {where}: {times} time{'s' * (times > 1)}{writer(number)}")


def by_whom(machine: Machine, layer: int, number: int) -> str:
    """The instruction of that layer that stored into that object most often, of a machine that ran with Marks(touches=True)."""
    stores = [touch for touch in machine.counts().touches
              if (touch.layer, touch.object) == (layer, number) and machine.instructions[touch.pc].flags & Flag.STORE]
    most = max(stores, key=lambda touch: (touch.count, -touch.pc), default=None)
    return f"; {faults.place(machine.scene(most.pc), most.pc)}" if most else ""
