"""One line for what ended a run: the instruction, where it stands, the layer, the address and the nearest tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import unicorn

from emu.errors import TargetFault
from emu.machine import scb
from emu.probe.layout import FAULTS

if TYPE_CHECKING:
    from emu.build.elf import Image
    from emu.machine.machine import Machine

# {what}: "read of 4 bytes" or "write of 1 byte"; {at}: the address
_MESSAGES = {
    "unmapped": "{what} outside memory, at {at}{near}",
    "read_only": "{what} into flash, at {at}{near}",
    "unaligned": "unaligned address {at}, where {core} faults{near}",
    "peripheral": "{what} at {at}{register}: no peripheral is there",
    "fpu_off": "floating-point instruction while CPACR has the FPU off (set CP10 and CP11 in CPACR, 0xE000ED88, first)",
    "stack_overflow": "stack overflow: SP is {at}, {below} bytes below the stack's limit",
    "limit": "no end in sight after {limit:,} instructions",
    "not_code": "executed what is no instruction of the image",
    "lost": "left the straight line to {at} without a branch (an exception?)",
    "breakpoint": "BKPT, and no debugger is there",
    "supervisor_call": "SVC, and the image has no handler that the machine would call",
    "undefined": "an instruction that {core} does not have",
}


def describe(machine: Machine, error: unicorn.UcError | None) -> TargetFault:
    """The fault that stopped the machine, by the probe's record or, where it has none, by Unicorn's error."""
    fault = machine.probe.fault
    kind = FAULTS[fault.kind]
    if kind == "none":
        kind = "undefined" if error and error.errno in (unicorn.UC_ERR_INSN_INVALID, unicorn.UC_ERR_EXCEPTION) else "not_code"
    pc = fault.pc if fault.kind else machine.probe.pc
    size = fault.size or 4
    message = _MESSAGES[kind].format(
        what=f"{'write' if fault.store else 'read'} of {size} byte{'s' if size > 1 else ''}", at=f"0x{fault.address:08x}",
        near=_near(machine, fault.address), core=machine.cpu.name, below=max(machine.stack[0] - fault.address, 0), limit=machine.limit,
        register=f" ({scb.NAMES[fault.address & ~3]})" if fault.address & ~3 in scb.NAMES else "")
    return TargetFault(f"{message}; {place(machine, pc)}{_layer(machine, fault.layer)}")


def place(machine: Machine, pc: int) -> str:
    """'instruction' at ADDRESS, function+offset (file:line)."""
    image: Image = machine.image
    try:
        text = f"{machine.instructions[pc].text!r} at 0x{pc:08x}"
    except KeyError:
        text = f"at 0x{pc:08x}"
    function = image.function_at(pc)
    if function:
        text += f" in {function.name}+0x{pc - function.address:x}"
    line = image.source_line(pc)
    return f"{text} ({line})" if line else text


def _layer(machine: Machine, layer: int) -> str:
    return f", layer {machine.layer_names[layer - 1]}" if 0 < layer <= len(machine.layer_names) else ""


def _near(machine: Machine, address: int) -> str:
    """The data object that the address lies in, or the nearest one, with the distance in bytes."""
    if not machine.data:
        return ""
    nearest = min(machine.data, key=lambda o: max(o.address - address, address - o.address - o.size + 1, 0))
    end = nearest.address + nearest.size
    if nearest.address <= address < end:
        return f", in {nearest.name}+{address - nearest.address}"
    if address >= end:
        return f", {address - end} bytes behind the end of {nearest.name}"
    return f", {nearest.address - address} bytes before {nearest.name}"
