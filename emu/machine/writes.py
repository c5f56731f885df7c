"""What a kernel may write: its output, scratch, stack and variables of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from emu.errors import TargetFault
from emu.isa.instruction import Flag
from emu.machine import faults
from emu.machine.machine import Machine


def check(who: str, objects: Sequence[str], accesses: np.ndarray, forbidden: Collection[str], behind: Mapping[int, int] = MappingProxyType({}),
          writer: Callable[[int], str] = lambda number: "") -> None:
    """TargetFault, which names `who`, for a store into a forbidden object, and for one that no object holds.

    accesses: of one layer, as Counts.traffic has them (objects, loads and stores, sizes). behind: numbers of objects that are forbidden,
    too, what is behind so many bytes of scratch. writer: of an object, by its number, what the line ends with.
    """
    for number, (name, (_, stores)) in enumerate(zip(objects, accesses, strict=True)):
        if stores.any() and (name == "other" or name in forbidden or number in behind):
            where = "outside every object" if name == "other" else f"into {name}, which is not its output"
            if number in behind:
                where = f"into {name} behind the {behind[number]:,} bytes that it has of it" if behind[number] else f"into {name}, of which it has nothing"
            times = int(stores.sum())
            raise TargetFault(f"{who} wrote {where}: {times} time{'s' * (times > 1)}{writer(number)}")


def by_whom(machine: Machine, layer: int, number: int) -> str:
    """The instruction of that layer that stored into that object most often, of a machine that ran with Marks(touches=True)."""
    stores = [touch for touch in machine.counts().touches
              if (touch.layer, touch.object) == (layer, number) and machine.instructions[touch.pc].flags & Flag.STORE]
    most = max(stores, key=lambda touch: (touch.count, -touch.pc), default=None)
    return f"; {faults.place(machine.scene(most.pc), most.pc)}" if most else ""
