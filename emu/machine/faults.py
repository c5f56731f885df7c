"""One line for what ended a run: the instruction, where it stands, the layer, the address and the nearest tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from emu.build.elf import Image
from emu.errors import TargetFault
from emu.isa import cpu as cpus
from emu.isa.instruction import Flag, Instruction
from emu.machine import scb
from emu.probe.layout import FAULTS, Fault

PERIPHERALS = ((0x40000000, 0x60000000), (0xA0000000, 0xE0100000))  # Armv7-M ARM, B3.1: the address map
_NULL = 0x1000  # addresses below it, where nothing is near, come of a null pointer and an offset
# {what}: "read of 4 bytes" or "write of 1 byte"; {at}: the address
_MESSAGES = {
    "unmapped": "{what} outside memory, at {at}{near}",
    "read_only": "{what} into flash, at {at}{near}",
    "unaligned": "unaligned address {at}, where {core} faults{near}",
    "peripheral": "{what} at {at}{register}: no peripheral is there",
    "fpu_off": "floating-point instruction while CPACR has the FPU off (set CP10 and CP11 in CPACR, 0xE000ED88, first)",
    "stack_overflow": "stack overflow: SP is {at}, {below} bytes below the stack's limit",
    "limit": "no end in sight after {limit:,} instructions",
    "flood": "more distinct paths through the code than can be counted (a million)",
    "not_code": "executed what is no instruction of the image, at {at}",
    "jump": "jumped to {at}, where no Thumb code is",
    "sleep": "the core sleeps (WFI, WFE), and nothing is there to wake it",
    "lost": "left the straight line to {at} without a branch (an exception?)",
    "breakpoint": "BKPT, and no debugger is there",
    "supervisor_call": "SVC, and the image has no handler that the machine would call",
    "undefined": "an instruction that {core} does not have",
    "below_sp": "{what} at {at}, in the stack below SP, where the next interrupt writes",
    "not_kept": "the kernel returned with another {kept} than it was called with: AAPCS has functions keep r4 to r11, d8 to d15 and SP",
}


class Object(NamedTuple):
    """Data that traffic is counted by."""

    name: str
    address: int
    size: int


def core_register(address: int) -> str:
    """The name of one of the core's own registers; "" where none has one."""
    return scb.NAMES.get(address & ~3, "")


@dataclass(frozen=True)
class Scene:
    """What a fault is told with. pc: the program counter where Unicorn stopped; stack: its limit and its top; register_name(address): of a
    peripheral's register, or ""; near: bytes beyond which no object has to do with an address."""

    image: Image
    instructions: Mapping[int, Instruction]
    data: Sequence[Object]
    stack: tuple[int, int]
    core: str
    limit: int
    layer_names: Sequence[str]
    pc: int
    register_name: Callable[[int], str] = core_register
    near: int = 1 << 32


def describe(scene: Scene, fault: Fault) -> TargetFault:
    """The fault that ended a run, by the probe's record or, where it has none, by the instruction that Unicorn refused."""
    kind, address = FAULTS[fault.kind], fault.address
    if kind == "none":
        address = scene.pc
        kind = _without_record(scene, fault.pc)
    if kind == "unmapped" and any(start <= address < end for start, end in PERIPHERALS):
        kind = "peripheral"
    size = fault.size or 4
    message = _MESSAGES[kind].format(
        what=f"{'write' if fault.store else 'read'} of {size} byte{'s' if size > 1 else ''}", at=f"0x{address:08x}",
        near=_near(scene, address), core=scene.core, below=max(scene.stack[0] - address, 0), limit=scene.limit,
        kept=_kept_name(address), register=f" ({name})" if (name := scene.register_name(address)) else "")
    return TargetFault(f"{message}; {place(scene, fault.pc)}{_layer(scene, fault.layer)}{_who_has_it(scene, fault.pc) if kind == 'undefined' else ''}")


def _kept_name(number: int) -> str:
    """Of a register that a kernel did not keep, by its number in the probe's record: 16 + n is dn."""
    return f"d{number - 16}" if number >= 16 else "SP" if number == 13 else f"r{number}"


def _without_record(scene: Scene, pc: int) -> str:
    """The kind of a fault that Unicorn raised and the probe did not: what the last instruction, at `pc`, was."""
    instruction = scene.instructions.get(pc)
    if instruction is None:
        return "not_code"
    return "jump" if instruction.flags & Flag.BRANCH else "sleep" if instruction.kind == "hint" else "undefined"


def place(scene: Scene, pc: int) -> str:
    """'instruction' at ADDRESS, function+offset (file:line)."""
    instruction = scene.instructions.get(pc)
    text = f"{instruction.text!r} at 0x{pc:08x}" if instruction else f"at 0x{pc:08x}"
    function = scene.image.function_at(pc)
    if function:
        text += f" in {function.name}+0x{pc - function.address:x}"
    line = scene.image.source_line(pc)
    return f"{text} ({line})" if line else text


def _who_has_it(scene: Scene, pc: int) -> str:
    """The smallest core that has the instruction at `pc`, when it is one of another core."""
    instruction = scene.instructions.get(pc)
    core = cpus.find(scene.core)
    if instruction is None or not instruction.flags & core.lacks:
        return ""
    having = [name for name in cpus.names() if not instruction.flags & cpus.find(name).lacks]
    return f"; {having[0]} has it" if having else ""


def _layer(scene: Scene, layer: int) -> str:
    return f", layer {scene.layer_names[layer - 1]}" if 0 < layer <= len(scene.layer_names) else ""


def _near(scene: Scene, address: int) -> str:
    """The data object that the address lies in, or the nearest one, with the distance in bytes."""
    if scene.stack[0] <= address < scene.stack[1]:
        return ", in the stack"
    if not scene.data:
        return ""
    nearest = min(scene.data, key=lambda o: max(o.address - address, address - o.address - o.size + 1, 0))
    end = nearest.address + nearest.size
    if nearest.address <= address < end:
        return f", in {nearest.name}+{address - nearest.address}"
    distance = address - end if address >= end else nearest.address - address
    if address < _NULL < distance:
        return ", off a null pointer"
    if distance > scene.near:
        return ""
    return f", {distance} bytes {'behind the end of' if address >= end else 'before'} {nearest.name}"
