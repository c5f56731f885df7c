"""The machine: a CPU model, its memory map and faults, and calls of single kernels. Knows no prices."""

from emu.machine.machine import Machine

__all__ = ["Machine"]
