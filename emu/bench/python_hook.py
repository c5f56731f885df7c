"""The same counts as the probe's, the obvious way: one Python UC_HOOK_CODE that looks up each instruction and reads registers.

It is here to be compared with: in time by `emu.bench`, which also holds its counts against the probe's.
"""

from __future__ import annotations

import unicorn
from unicorn import arm_const

from emu.isa.instruction import Flag
from emu.machine import Machine

_REGISTERS = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(13)] + [
    arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_LR, arm_const.UC_ARM_REG_PC]
_PC = 15


class PythonCounts:
    """Instructions that executed, and loads, stores and their bytes by object, of a machine without a probe."""

    def __init__(self, machine: Machine) -> None:
        self.executed = 0
        self.traffic: dict[tuple[str, bool], list[int]] = {}  # (object, store) -> [accesses, bytes]
        self._machine = machine
        self._owner = {address: item.name for item in machine.data for address in range(item.address, item.address + item.size)}
        self._owner |= dict.fromkeys(range(*machine.stack), "stack")
        machine.engine.hook_add(unicorn.UC_HOOK_CODE, self._on_code)

    def _on_code(self, engine: unicorn.Uc, address: int, _size: int, _data: object) -> None:
        self.executed += 1
        instruction = self._machine.instructions[address]
        if not instruction.accesses:
            return
        if instruction.base == _PC:
            at = (address + 4 & ~3 if instruction.index < 0 else address + 4) + instruction.offset
        else:
            at = engine.reg_read(_REGISTERS[instruction.base]) + instruction.offset
        if instruction.index >= 0:
            at += engine.reg_read(_REGISTERS[instruction.index]) << instruction.scale
        for word in range(instruction.accesses):
            where = at + word * instruction.access_size & 0xFFFFFFFF
            owner = "literals" if instruction.flags & Flag.LITERAL else self._owner.get(where, "other")
            count = self.traffic.setdefault((owner, bool(instruction.flags & Flag.STORE)), [0, 0])
            count[0] += 1
            count[1] += instruction.access_size
