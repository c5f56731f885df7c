"""A Cortex-M on a board that a firmware can run on: memories, the core's own peripherals, exceptions, semihosting, UARTs.

Unlike `Machine`, which runs kernels in a laboratory, this takes an ELF as it is. `running` runs it: from the vector table, with
exceptions as the core takes them, until the program ends, or does what no board would go on from.

Time is modelled cycles, from the prices that the machine is given. An interrupt that time brings is taken at the next taken
branch; one that a register write makes ready, or the end of a mask, at the next instruction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import unicorn
from unicorn import arm_const

from emu.build.elf import Image
from emu.errors import InputError
from emu.isa import cpu as cpus
from emu.machine import code, faults
from emu.machine.board import Board, Region, Uart
from emu.machine.bus import Bus
from emu.machine.console import Console, Quota
from emu.machine.dwt import Dwt, Time
from emu.machine.exceptions import Exceptions
from emu.machine.faults import Object
from emu.machine.hostfiles import HostFiles
from emu.machine.interrupts import SYS_TICK, Interrupts
from emu.machine.layout import Plan
from emu.machine.memory import PAGE, Memory
from emu.machine.peripherals import Peripherals
from emu.machine.registers import Registers
from emu.machine.semihosting import Environment, Semihosting
from emu.machine.system_control import SystemControl
from emu.machine.systick import SysTick
from emu.probe import STACK, UNIMPLEMENTED, Counts, Data, Pricer, Probe
from emu.probe.follow import Follower

Prices = Callable[[code.Instructions, Mapping[int, tuple[str, int, int]]], Pricer]
DEFAULT_LIMIT = 1_000_000_000  # instructions
SYSTEM = "system"  # the memory that all devices are, as streams tell memories apart
_MOST_NOTES = 16
_NEAR = 1 << 16


@dataclass(frozen=True)
class Settings:
    """How a firmware is run.

    arguments: the program's command line, its name first. files: the folder that it may use, None for none. uarts: beside the
    board's. ignore_peripherals: what is not there reads 0. clock: Hz. console: where it prints (None: this process's).
    followers, marks: as for Machine. boundaries: (name, start, size) of memories to tell apart in streams, beside the board's.
    """

    arguments: tuple[str, ...] = ()
    files: Path | None = None
    uarts: tuple[Uart, ...] = ()
    ignore_peripherals: bool = False
    clock: int | None = None
    limit: int = DEFAULT_LIMIT
    console: Callable[[Quota], Console] = Console
    marks: code.Marks = code.Marks()  # noqa: RUF009
    followers: Sequence[Follower] = ()
    boundaries: Sequence[tuple[str, int, int]] = ()


class System:
    """One image on one board. prices(instructions, memories): what the run's time is made of.

    notes: what was refused or is not modelled, each said once. reset_requested: by the program.
    """

    def __init__(self, image: Image, plan: Plan, board: Board, core: str, prices: Prices, settings: Settings | None = None) -> None:
        self.image, self.plan, self.board, self.settings = image, plan, board, settings or Settings()
        self.cpu = cpus.find(core)
        self.notes: list[str] = list(plan.remarks)
        self.sleep_cycles = 0
        self.reset_requested = False
        self._text = code.text(image)
        self.records, self.instructions = self._text.records, self._text.instructions
        self.data = sorted((Object(s.name, s.address, s.size) for s in image.objects), key=lambda o: o.address)
        self.objects = ("other", "literals", "stack", *(o.name for o in self.data))
        self.regions = _split(plan.regions, self.settings.boundaries)
        self.memories = {number: (region.name, region.start, region.size) for number, region in enumerate(self.regions)} | {
            len(self.regions): (SYSTEM, 0xE0000000, 0x00100000)}
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_CORTEX_{self.cpu.model}"))
        self.memory = Memory(self.engine, plan.regions)
        self._load()
        self._make_core()
        self.codes = self._text.table(self.settings.marks, self.cpu)
        self.pricer = prices(self.instructions, self.memories)
        self.probe = self._hook()
        self.exceptions = Exceptions(self.registers, self.memory, self.interrupts, self.control, self.probe, self.is_code)

    # --- what is there before reset ---

    def _load(self) -> None:
        """Segments go where the file loads them; what they have beyond the file's bytes is zero where they run."""
        for segment in self.image.segments:
            if segment.data:
                self.memory.write(segment.address, segment.data)
            if segment.memsz > len(segment.data):
                self.memory.fill(segment.run + len(segment.data), segment.memsz - len(segment.data), 0)

    def _make_core(self) -> None:
        settings, board, armv6 = self.settings, self.board, self.cpu.architecture == "armv6-m"
        quota = Quota()
        self.console, self.files = settings.console(quota), HostFiles(settings.files, quota)
        self.clock = settings.clock or board.clock
        self.registers = Registers(self.engine, self.cpu.fpu is not None, armv6)
        lines = min(board.interrupts, 32) if armv6 else board.interrupts
        self.interrupts = Interrupts(lines, min(board.priority_bits, 2) if armv6 else board.priority_bits, armv6, self._look_again)
        self.control = SystemControl(self.cpu, self.plan.vectors or 0, lines, self._set_group, self._reset, self.note)
        if self.plan.vectors is None:
            self.control.enable_float()
        self.systick = SysTick(self.cycles, lambda: self.interrupts.pending.add(SYS_TICK), self._look_again)
        self.dwt = Dwt(self.cycles, self._time, self.console.put)
        base = " ".join(_quoted(argument) for argument in settings.arguments)
        self.semihosting = Semihosting(self.memory, self.console, self.files, Environment(
            base, self.plan.heap, (self.plan.stack[1], self.plan.heap[0]), self.clock, self.cycles), self.note)
        self.bus = Bus()
        for part in (self.interrupts, self.control, self.systick, *(() if armv6 else (self.dwt,))):
            for address, register in part.registers():
                self.bus.add(address, register)
        self.peripherals = Peripherals(board, settings.uarts, self.console.put, self.bus)
        self.mapped: set[int] = set()

    def _hook(self) -> Probe:
        stack = self.plan.stack
        probe = Probe(
            unicorn.unicorn_py3.unicorn.uclib, self.codes, self._data(), self.objects, cpacr=self.control.cpacr.ctypes.data,
            layers=1 if self.settings.marks.begin or self.settings.marks.kernels else 0, stack=stack, limit=self.settings.limit,
            device=self._access, pricer=self.pricer, followers=self.settings.followers, touches=self.settings.marks.touches,
            memories=self.memories)
        probe.attach(self.engine._uch)
        return probe

    def _data(self) -> list[Data]:
        """RAM first: regions are looked through in order."""
        numbered = sorted(enumerate(self.regions), key=lambda pair: (pair[1].read_only, pair[1].start))
        return [*(Data(r.start, self._objects(r), number, r.read_only) for number, r in numbered), *self._devices()]

    def _objects(self, region: Region) -> np.ndarray:
        columns = np.zeros(region.size, np.uint16)
        limit, top = self.plan.stack
        first = max(limit or self.plan.heap[0], region.start)
        if first < min(top, region.end):
            columns[first - region.start:min(top, region.end) - region.start] = STACK
        for number, item in enumerate(self.data[:UNIMPLEMENTED - 3], 3):
            if item.address < region.end and item.address + item.size > region.start:
                columns[max(item.address - region.start, 0):item.address + item.size - region.start] = number
        return columns

    def _devices(self) -> Iterator[Data]:
        for start, page in sorted(self.bus.pages.items()):
            columns = np.full(PAGE, 0 if self.settings.ignore_peripherals else UNIMPLEMENTED, np.uint16)
            for address in self.bus.addresses(start):
                columns[address - start:address - start + 4] = 0
            if start not in self.mapped:
                page.map(self.engine)
                self.mapped.add(start)
            yield Data(start, columns, len(self.regions), False, True)

    # --- for the peripherals ---

    def pc_now(self) -> int:
        """The instruction in progress."""
        return int(self.probe.fault.pc)

    def cycles(self) -> int:
        """Modelled cycles since reset, the instruction in progress included."""
        return self.probe.cycles_now()

    def _time(self) -> Time:
        exceptions = sum(times * int(self.pricer.sites[kind, 0]) for kind, times in self.exceptions.changes.items())
        return Time(self.cycles(), self.probe.instructions_now(), exceptions, self.sleep_cycles)

    def _look_again(self) -> None:
        """A register write may have made an exception ready: stop before the next instruction."""
        self.probe.request_stop()

    def _set_group(self, group: int) -> None:
        self.interrupts.group_shift = group
        self._look_again()

    def _reset(self) -> None:
        self.reset_requested = True
        self._look_again()

    def note(self, text: str) -> None:
        """Say it once at the end."""
        if text not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(text)

    def _access(self, address: int, size: int, store: bool) -> None:
        if self.settings.ignore_peripherals and self.bus.register_at(address) is None:
            self.ignore(address, size, store)
        self.bus.access(address, size, store)

    def ignore(self, address: int, size: int, store: bool) -> None:
        """Make the word at the address one that reads 0, and say so."""
        what = f"{'write to' if store else 'read of'} {self.register_name(address) or 'a peripheral'} at 0x{address:08x}"
        self.note(f"{what} ignored: no peripheral is there{self._where(self.pc_now())}")
        self.peripherals.ignore(address, size)

    def map_ignored(self, address: int, size: int) -> None:
        """A page of registers that read 0 where nothing was; the instruction that was stopped can be tried again."""
        self.peripherals.ignore(address, size)
        self.probe.set_data(self._data())

    # --- names and places ---

    def is_code(self, address: int) -> bool:
        """An instruction of the image begins there."""
        return address in self.instructions

    def register_name(self, address: int) -> str:
        """Of a register of the core's or the board's; "" where none has a name."""
        register = self.bus.register_at(address)
        return register.name if register else self.board.register(address) or faults.core_register(address)

    def _where(self, pc: int) -> str:
        function = self.image.function_at(pc)
        return f", in {function.name}+0x{pc - function.address:x}" if function else f", at 0x{pc:08x}"

    def scene(self, pc: int) -> faults.Scene:
        """What a fault is told with."""
        return faults.Scene(self.image, self.instructions, self.data, (self.plan.stack[0] or self.plan.stack[1], self.plan.stack[1]),
                            self.cpu.name, self.settings.limit, (), pc, self.register_name, _NEAR)

    # --- what a run leaves ---

    @property
    def reads_time(self) -> list[str]:
        """What the program asked for time: then its run is that of one core."""
        clocks = (self.dwt.used, "DWT"), (self.systick.used, "SysTick"), (self.semihosting.reads_time, "the semihosting clock")
        return [name for used, name in clocks if used]

    def counts(self) -> Counts:
        """All that the probe has counted."""
        return self.probe.counts()


def _split(regions: Sequence[Region], boundaries: Sequence[tuple[str, int, int]]) -> tuple[Region, ...]:
    """Regions cut where memories with a name of their own begin and end."""
    pieces: list[Region] = []
    for region in regions:
        edges = {region.start, region.end}
        for _, start, size in boundaries:
            edges |= {edge for edge in (start, start + size) if region.start < edge < region.end}
        ordered = sorted(edges)
        for first, last in itertools.pairwise(ordered):
            name = next((name for name, start, size in boundaries if start <= first and last <= start + size), region.name)
            pieces.append(replace(region, name=name, start=first, size=last - first))
    if len(pieces) > 0x7F:
        raise InputError(f"more than 127 memories ({len(pieces)})")
    return tuple(pieces)


def _quoted(argument: str) -> str:
    """As newlib's start-up code splits a command line: at spaces that stand in no quotes, of either kind."""
    if argument and not set(argument) & set(" '\""):
        return argument
    mark = "'" if '"' in argument else '"'
    return f"{mark}{argument}{mark}"
