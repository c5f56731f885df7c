"""The cores that can execute, as data. What one lacks, Unicorn's model of it mostly refuses, but not always: a Cortex-M3 executes
SMLAD, a Cortex-M0 IT and CBZ. So `lacks` says it, too.

The engine is opened with UC_MODE_THUMB alone: with UC_MODE_MCLASS Unicorn ignores the model and runs a Cortex-M33.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from unicorn import arm_const

from emu.errors import UsageError
from emu.isa.instruction import Flag


@dataclass(frozen=True)
class Cpu:
    """One core as the machine sees it.

    unaligned: word and halfword accesses may be (Armv6-M: none may). lacks: flags of instructions that it does not have.
    """

    name: str
    model: int
    cpuid: int  # the value of CPUID, from the core's Technical Reference Manual
    fpu: bool
    unaligned: bool
    lacks: Flag


CPUS = {cpu.name: cpu for cpu in (
    Cpu("cortex-m0", arm_const.UC_CPU_ARM_CORTEX_M0, 0x410CC200, fpu=False, unaligned=False, lacks=Flag.V7M | Flag.DSP | Flag.FP),
    Cpu("cortex-m3", arm_const.UC_CPU_ARM_CORTEX_M3, 0x412FC231, fpu=False, unaligned=True, lacks=Flag.DSP | Flag.FP),
    Cpu("cortex-m4", arm_const.UC_CPU_ARM_CORTEX_M4, 0x410FC241, fpu=True, unaligned=True, lacks=Flag(0)),
)}


def find(name: str) -> Cpu:
    """The core of that name; UsageError names the ones that exist."""
    if name not in CPUS:
        near = difflib.get_close_matches(name, CPUS, 1)
        raise UsageError(f"no core {name!r}{f' (did you mean {near[0]}?)' if near else ''}: the machine has {', '.join(CPUS)}")
    return CPUS[name]
