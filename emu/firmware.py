"""One firmware: an ELF, a board, a core -> how it ended, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emu.build.elf import Image
from emu.errors import InputError, ThumbcycleError, UsageError
from emu.isa import cpu as cpus
from emu.isa.instruction import Instruction
from emu.machine import board as boards
from emu.machine import layout, running
from emu.machine.board import Uart
from emu.machine.code import Instructions, Marks
from emu.machine.console import Console, Quota
from emu.machine.running import Ending
from emu.machine.system import DEFAULT_LIMIT, Settings, System
from emu.probe import Counts
from emu.probe import layout as probe_layout
from emu.timing import memory as memories
from emu.timing import predictor
from emu.timing.core import Core
from emu.timing.core import load as load_core
from emu.timing.memory import Placed
from emu.timing.pricing import Prices, fetch_bytes

_SIZES = np.array([1, 2, 4])


@dataclass(frozen=True)
class Job:
    """What to run, as the command line takes it. core: the one that the run is timed for; others: cores that price it, too.

    vectors: address of the vector table when the image does not tell; from_entry: start without one. arguments: behind the program's name.
    """

    path: Path
    core: str = "cortex-m4"
    others: tuple[str, ...] = ()
    board: str = "generic"
    memory: str = memories.DEFAULT
    mhz: float | None = None
    limit: int = DEFAULT_LIMIT
    files: Path | None = None
    uarts: tuple[Uart, ...] = ()
    ignore_peripherals: bool = False
    vectors: int | None = None
    from_entry: bool = False
    arguments: tuple[str, ...] = ()
    console: Callable[[Quota], Console] = Console


@dataclass(frozen=True)
class Totals:
    """What a whole run cost; cycles as modelled for the core that it was timed for, sleep included."""

    instructions: int
    skipped: int
    cycles: int
    sleep_cycles: int
    exceptions: int
    loads: int
    stores: int
    bytes_read: int
    bytes_written: int
    fetch_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class Priced:
    """The run on another core: its cycles, or why there are none."""

    core: str
    cycles: int | None
    problem: str = ""


@dataclass(frozen=True)
class FirmwareResult:
    """A run's end and cost. about: image, board and settings; reads_time: what the program asked for time, so that it is this core's run alone."""

    core: str
    memory: str
    ending: Ending
    totals: Totals
    others: tuple[Priced, ...]
    notes: tuple[str, ...]
    reads_time: tuple[str, ...]
    about: Mapping[str, object] = field(default_factory=dict)


def uart(text: str) -> Uart:
    """A UART as the command line names it, ADDRESS[:STATUS[=READY]]. UsageError for what is no address."""
    data, _, status = text.partition(":")
    at, _, ready = status.partition("=")
    try:
        return Uart("UART", _address(data), _address(at) if at else None, _address(ready or "0"))
    except ValueError:
        raise UsageError(f"--uart {text!r}: ADDRESS[:STATUS[=READY]] is wanted, in numbers as C writes them") from None


def address(option: str, text: str) -> int:
    """An address as the command line names it. UsageError for what is none."""
    try:
        return _address(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: an address is wanted, as C writes numbers") from None


def _address(text: str) -> int:
    value = int(text, 0)
    if not 0 <= value < 1 << 32:
        raise ValueError(text)
    return value


class _TimedPrices:
    """The prices of a run in progress: streams as they turn up, sites as a table."""

    def __init__(self, prices: Prices) -> None:
        self.stream = prices.stream
        kinds, buckets = range(probe_layout.SITE_KINDS), range(probe_layout.BUCKETS)
        self.sites = np.array([[prices.site(kind, bucket) for bucket in buckets] for kind in kinds], np.uint32)


def run(job: Job, follow: Callable[[Image], Marks] | None = None, watch: Callable[[System], None] | None = None) -> tuple[FirmwareResult, System]:
    """Load, run to the end, price. follow(image): what to notice in its code, for a profile by function. watch: is handed the system before it runs.

    Raises UsageError and InputError; what the program does wrong is an ending.
    """
    if job.files is not None and not job.files.is_dir():
        raise InputError(f"--files {job.files}: no such folder")
    board, core, table = boards.load(job.board), load_core(job.core), memories.load(job.memory)
    cpus.find(job.core)
    others = [load_core(name) for name in job.others if name != job.core]
    image = Image.load(job.path)
    plan = layout.plan(image, board, vectors=job.vectors, from_entry=job.from_entry)
    settings = Settings(
        arguments=(job.path.name, *job.arguments), files=job.files, uarts=job.uarts, ignore_peripherals=job.ignore_peripherals,
        clock=round(job.mhz * 1e6) if job.mhz else None, limit=job.limit, console=job.console,
        marks=follow(image) if follow else Marks(), followers=(*table.followers, *predictor.followers(core, *others)),
        boundaries=memories.boundaries([job.memory]))

    def timed(instructions: Instructions, numbered: Mapping[int, tuple[str, int, int]]) -> _TimedPrices:
        return _TimedPrices(Prices(instructions, core, table.placed(numbered, settings.followers), settings.followers))

    system = System(image, plan, board, job.core, timed, settings)
    if watch:
        watch(system)
    ending = running.run(system)
    return _result(job, system, ending, core, others, table), system


def _result(job: Job, system: System, ending: Ending, core: Core, others: Sequence[Core], table: memories.Memory) -> FirmwareResult:
    counts, image = system.counts(), system.image
    placed = table.placed(counts.memories, counts.followers)
    totals = _totals(system, counts, core, placed)
    if system.reads_time:  # on another core it would have read other values, and may have gone another way
        problem = f"the program read {' and '.join(system.reads_time)}, so its run is {core.name}'s alone: run it with --core "
        beside = tuple(Priced(other.name, None, problem + other.name) for other in others)
    else:
        beside = tuple(_priced(system, counts, other, placed) for other in others)
    about = {"image": {"path": str(job.path), "sha256": image.sha256, "flash_bytes": image.flash_bytes, "ram_bytes": image.ram_bytes},
             "board": job.board, "clock": system.clock, "start": system.plan.pc, "vectors": system.plan.vectors}
    return FirmwareResult(core.name, job.memory, ending, totals, beside, (*system.notes, *table.notes(counts)), tuple(system.reads_time), about)


def _totals(system: System, counts: Counts, core: Core, placed: Placed) -> Totals:
    accesses = counts.traffic.sum(axis=(0, 1))
    moved = accesses @ _SIZES
    return Totals(
        instructions=int(counts.instructions().sum()), skipped=int(counts.skipped().sum()),
        cycles=int(Prices(system.instructions, core, placed, counts.followers).price(counts).sum()), sleep_cycles=system.sleep_cycles,
        exceptions=system.exceptions.entries, loads=int(accesses[0].sum()), stores=int(accesses[1].sum()), bytes_read=int(moved[0]),
        bytes_written=int(moved[1]), fetch_bytes=int(fetch_bytes(counts, system.instructions).sum()), stack_bytes=counts.peak)


def _priced(system: System, counts: Counts, other: Core, placed: Placed) -> Priced:
    """The same run on another core, where that can execute every instruction that ran."""
    try:
        lacking = _lacking(counts, system.instructions, other.name)
        if lacking:
            return Priced(other.name, None, f"it does not have {lacking.text.split()[0]!r} at 0x{lacking.address:08x}")
        return Priced(other.name, int(Prices(system.instructions, other, placed, counts.followers).price(counts).sum()))
    except ThumbcycleError as error:
        return Priced(other.name, None, str(error))


def _lacking(counts: Counts, instructions: Mapping[int, Instruction], core: str) -> Instruction | None:
    """An instruction that ran and the core lacks."""
    lacks = int(cpus.find(core).lacks)
    seen: set[tuple[int, int]] = set()
    for stream in counts.streams:
        if (stream.start, stream.end) in seen:
            continue
        seen.add((stream.start, stream.end))
        at = stream.start
        while at <= stream.end:
            instruction = instructions[at]
            if instruction.flags & lacks:
                return instruction
            at += instruction.size
    return None
