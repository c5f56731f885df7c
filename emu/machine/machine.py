"""A Cortex-M that executes an image: memory as the linker script says, one core model, the probe hooked in.

What a board would answer with a fault ends the run with TargetFault, in one line; so do a run that never ends and an access
to a peripheral that is not there. Unicorn alone lets several of them pass (DESIGN.md); the probe raises those.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import unicorn
from unicorn import arm_const

from emu.build.elf import Image
from emu.errors import InputError, TargetFault
from emu.isa import cpu
from emu.machine import code, faults, scb
from emu.machine.faults import Object
from emu.probe import STACK, UNIMPLEMENTED, Counts, Data, Probe, layout
from emu.probe.follow import Follower

MEMORIES = ("flash", "ram", "system")  # numbered as streams tell them apart
UNINITIALIZED = 0xA5  # what RAM holds at reset; a board's is anything
DEFAULT_LIMIT = 1_000_000_000  # instructions
SLICE = 20_000_000  # instructions after which Python looks up
_SLICED = layout.FAULTS.index("slice")
_REGISTERS = [arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2, arm_const.UC_ARM_REG_R3]
_PAGE = 0x1000
_RESET_XPSR = 1 << 24  # Thumb; flags and IT state clear


class Machine:
    """One image on one core, with its counts.

    kernels: names of the functions that are layers when the code between them calls them; layers: how many calls make one
    inference. layer_names (one a layer) only names them in faults. sizes: bytes of flash and RAM instead of the linker
    script's. objects: data that the host has placed, beside what the image's symbols name. marks: what else to notice in the
    code: functions whose calls are followed, a region (emu.functions makes them). followers: caches and predictors that memory and core
    tables ask for. counting=False leaves the probe
    out: the bare engine, without faults of the machine's own, for measuring what counting costs.
    """

    def __init__(self, image: Image, core: str = "cortex-m4", *, kernels: Iterable[str] = (), layers: int = 0,
                 layer_names: Sequence[str] = (), limit: int = DEFAULT_LIMIT, sizes: tuple[int, int] | None = None,
                 objects: Sequence[Object] = (), marks: code.Marks | None = None, followers: Sequence[Follower] = (), counting: bool = True) -> None:
        self.image = image
        self.cpu = cpu.find(core)
        self.layer_names = tuple(layer_names)
        self.limit = limit
        self._text = code.text(image)
        self.records, self.instructions = self._text.records, self._text.instructions
        parts = {(o.name, o.address) for o in objects}  # of an object of the image, which they then stand for
        self._named = [*(Object(s.name, s.address, s.size) for s in image.objects if (s.name, s.address) not in parts), *objects]
        self.data = sorted([*self._constants(), *self._named], key=lambda o: o.address)  # where two have an address, the later one's it is
        self.objects = ("other", "literals", "stack", *(o.name for o in self.data))
        self._map(*(sizes or (self._address("__flash_size"), self._address("__ram_size"))))
        self.probe = self._hook(kernels, layers, marks or code.Marks(), followers) if counting else None

    # --- what a board has before reset ---

    def _address(self, name: str) -> int:
        symbol = self.image.symbols.get(name)
        if symbol is None:
            raise InputError(f"{self.image.path}: no symbol {name}; link it with armsrc/firmware's linker scripts")
        return symbol.address

    def _constants(self) -> list[Object]:
        """All of what is loaded into flash: strings, tables of a switch, what a local array begins with have no symbol of their own."""
        flash = range(self._address("__flash_start"), self._address("__flash_start") + self._address("__flash_size"))
        return [Object("constants", segment.address, len(segment.data)) for segment in self.image.segments if segment.data and segment.address in flash]

    def _map(self, flash_size: int, ram_size: int) -> None:
        self.flash = (self._address("__flash_start"), flash_size)
        self.ram = (self._address("__ram_start"), ram_size)
        self.stack = (self._address("__stack_limit"), self._address("__stack_top"))
        engine = self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_CORTEX_{self.cpu.model}"))
        self._flash_memory = np.full(-(-self.flash[1] // _PAGE) * _PAGE, 0xFF, np.uint8)
        self._ram_memory = np.full(-(-self.ram[1] // _PAGE) * _PAGE, UNINITIALIZED, np.uint8)
        self._system = np.zeros(scb.SIZE // 4, np.uint32)
        self._system[(scb.CPUID - scb.START) // 4] = self.cpu.cpuid
        for start, memory, permission in ((self.flash[0], self._flash_memory, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC),
                                          (self.ram[0], self._ram_memory, unicorn.UC_PROT_ALL),
                                          (scb.START, self._system, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)):
            engine.mem_map_ptr(start, memory.nbytes, permission, memory.ctypes.data_as(ctypes.c_void_p))
        for segment in self.image.segments:
            if segment.data:
                self.write(segment.address, segment.data)

    def _hook(self, kernels: Iterable[str], layers: int, marks: code.Marks, followers: Sequence[Follower]) -> Probe:
        flash, ram = np.zeros(self.flash[1], np.uint16), np.zeros(self.ram[1], np.uint16)
        for number, item in enumerate(self.data, 3):
            for start, objects in ((self.flash[0], flash), (self.ram[0], ram)):
                if start <= item.address < start + len(objects):
                    objects[item.address - start:item.address + item.size - start] = number
        ram[self.stack[0] - self.ram[0]:self.stack[1] - self.ram[0]] = STACK
        system = np.full(scb.SIZE, UNIMPLEMENTED, np.uint16)
        for address in scb.IMPLEMENTED:
            system[address - scb.START:address - scb.START + 4] = 0
        entries = [self.image.symbols[name].address for name in kernels if name in self.image.symbols]
        probe = Probe(
            unicorn.unicorn_py3.unicorn.uclib,  # private names: Unicorn has no public way to hand its library and engine to C
            self._text.table(replace(marks, kernels=[*entries, *marks.kernels]), self.cpu),
            [Data(self.ram[0], ram, 1, False), Data(self.flash[0], flash, 0, True), Data(scb.START, system, 2, False)],
            self.objects, cpacr=self._system.ctypes.data + scb.CPACR - scb.START, layers=layers, stack=self.stack, limit=self.limit,
            followers=followers, touches=marks.touches, keeps=not marks.kernels,
            memories=dict(enumerate(zip(MEMORIES, *zip(self.flash, self.ram, (scb.START, scb.SIZE), strict=True), strict=True))))
        probe.attach(self.engine._uch)
        return probe

    # --- memory, for the host ---

    def write(self, address: int, data: bytes | np.ndarray) -> None:
        """Put bytes into flash or RAM."""
        raw = np.frombuffer(bytes(data), np.uint8)
        memory, offset = self._memory(address, len(raw))
        memory[offset:offset + len(raw)] = raw

    def read(self, address: int, size: int) -> bytes:
        """Bytes from flash or RAM."""
        memory, offset = self._memory(address, size)
        return memory[offset:offset + size].tobytes()

    def _memory(self, address: int, size: int) -> tuple[np.ndarray, int]:
        for (start, _), memory in ((self.ram, self._ram_memory), (self.flash, self._flash_memory)):
            if 0 <= address - start and address - start + size <= len(memory):
                return memory, address - start
        raise InputError(f"{self.image.path}: {size} bytes at 0x{address:08x} do not lie in one memory of the machine")

    # --- running ---

    def reset_and_run(self) -> None:
        """From the vector table until `firmware_done`. RAM keeps what the host wrote."""
        vectors = np.frombuffer(self.read(self.flash[0], 8), np.uint32)
        if not vectors[1] & 1:
            raise TargetFault(f"the reset vector, 0x{vectors[1]:08x}, has no Thumb bit: the core would fault before its first instruction")
        self.engine.reg_write(arm_const.UC_ARM_REG_SP, int(vectors[0]))
        self._system[(scb.CPACR - scb.START) // 4] = 0
        self._run(int(vectors[1]) & ~1, self._address("firmware_done"))

    def call(self, function: str, *arguments: int) -> int:
        """Call an AAPCS function with up to four word arguments, the FPU on; returns r0.

        It returns to the last word of flash. Memory, and registers that no argument sets, are as the call before left them.
        """
        home = self.flash[0] + self.flash[1] - 4
        self.engine.reg_write(arm_const.UC_ARM_REG_SP, self.stack[1])
        self.engine.reg_write(arm_const.UC_ARM_REG_LR, home | 1)
        self._system[(scb.CPACR - scb.START) // 4] = 0xF << 20 if self.cpu.fpu else 0
        for register, value in zip(_REGISTERS[:len(arguments)], arguments, strict=True):
            self.engine.reg_write(register, value & 0xFFFFFFFF)
        self._run(self._address(function), home)
        return self.engine.reg_read(arm_const.UC_ARM_REG_R0)

    def _run(self, start: int, until: int) -> None:
        if self.probe:
            self.probe.start()
        self.engine.reg_write(arm_const.UC_ARM_REG_XPSR, _RESET_XPSR)  # a fault may have left an IT block open
        error = self._emulate(start, until)
        if self.probe is None:
            if error:
                raise error
            return
        pc = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
        stopped = error or self.probe.fault.kind or pc != until  # WFI ends Unicorn's run without an error
        if not stopped:
            self.probe.finish(until)
        if stopped or self.probe.fault.kind:
            raise faults.describe(self.scene(pc), self.probe.fault)

    def scene(self, pc: int) -> faults.Scene:
        """What a fault is told with when the core stops at `pc`."""
        return faults.Scene(self.image, self.instructions, self._named, self.stack, self.cpu.name, self.limit, self.layer_names, pc)

    def _emulate(self, pc: int, until: int) -> unicorn.UcError | None:
        """Run to `until`, or to what stops Unicorn; YIELD does, too, but is a NOP on one core.

        Now and then the probe stops it, so that Python can hear Ctrl-C.
        """
        while True:
            error = None
            if self.probe:
                self.probe.set_slice(SLICE)
            try:
                self.engine.emu_start(pc | 1, until)
            except unicorn.UcError as problem:
                error = problem
            if self.probe and self.probe.fault.kind == _SLICED:
                self.probe.resume()
                pc = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
                continue
            if not self.probe or self.probe.fault.kind:
                return error
            last = self.instructions.get(self.probe.fault.pc)
            pc = self.engine.reg_read(arm_const.UC_ARM_REG_PC)
            if pc == until or last is None or last.text != "yield" or pc != last.address + last.size:
                return error

    def counts(self) -> Counts:
        """All that the probe has counted in this machine."""
        return self.probe.counts()
