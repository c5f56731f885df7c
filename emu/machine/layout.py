"""Where an image lies on a board and how it starts: the checks of a loader, before anything runs.

A hostile file costs nothing here: sizes are compared before memory is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emu.build.elf import Image, Segment
from emu.errors import InputError
from emu.machine.board import Board, Region

# Where start-up files put the table, by the names that vendors give it; then the start of the lowest segment.
VECTOR_SECTIONS = (".isr_vector", ".vectors", ".vector_table", ".intvecs", ".vector", ".reset_vector", ".isr_vectors")
VECTOR_SYMBOLS = ("__isr_vector", "__vectors", "g_pfnVectors", "__Vectors", "__vector_table", "vector_table", "_vectors", "vectors",
                  "isr_vector", "g_pnVectors", "__interrupt_vector", "__cs3_interrupt_vector", "VECTOR_TABLE", "__VECTOR_TABLE", "__weak_vectors")
# Start-up code that asks a debugger for its stack and heap and needs no table: newlib's crt0 with rdimon.specs.
HOSTED_STARTS = ("_start", "_mainCRTStartup", "__start")
STACK_LIMITS = ("__stack_limit", "__StackLimit", "_stack_limit", "__STACK_LIMIT")
ENDS = ("__heap_start", "__HeapBase", "__heap_base", "end", "_end", "__end__")
PROFILES = {"A": "the A profile", "R": "the R profile", "S": "the A or R profile"}
M_PROFILE = ("", "v6-M", "v6S-M", "v7", "v7E-M", "v8-M.base", "v8-M.main", "v8.1-M.main")
MEMORY_ENDS = 0x4000_0000, 0x6000_0000, 0xA000_0000  # Armv7-M ARM, B3.1: code and SRAM end; external RAM begins, ends
_MEGABYTE, _PAGE = 1 << 20, 0x1000
_MOST_FITTED = 64 * _MEGABYTE
_WRITABLE = 2


@dataclass(frozen=True)
class Plan:
    """How an image starts. regions: memories, sorted; vectors: address of the table, None without one; pc without its Thumb bit.

    stack: (lowest address that symbols name as the stack's limit, else 0; initial SP). heap: (first, last + 1) address that the image leaves free.
    """

    regions: tuple[Region, ...]
    vectors: int | None
    pc: int
    stack: tuple[int, int]
    heap: tuple[int, int]
    remarks: tuple[str, ...] = ()


def plan(image: Image, board: Board, *, vectors: int | None = None, from_entry: bool = False) -> Plan:
    """Check the image against the board and find its start.

    vectors: address of the vector table, if the image does not tell. from_entry: start at the ELF's entry, without a table.
    Raises InputError, one line, for all that a loader refuses.
    """
    _check_architecture(image)
    _check_overlap(image)
    regions = _regions(image, board)
    if not from_entry:
        table = _vector_table(image, regions, vectors)
        if table is not None:
            return _from_table(image, regions, *table)
    return _from_entry(image, regions, from_entry)


def _check_architecture(image: Image) -> None:
    if image.profile in PROFILES:
        raise InputError(f"{image.path}: built for {PROFILES[image.profile]} of Arm{image.architecture}; "
                         "a Cortex-M image (-mcpu=cortex-m4, ...) is wanted")
    if image.architecture not in M_PROFILE or image.profile not in ("", "M"):
        raise InputError(f"{image.path}: built for Arm{image.architecture}, which no Cortex-M is; "
                         "compile with -mcpu=cortex-m4 or the like, and -mthumb")


def _spans(segment: Segment) -> Iterator[tuple[int, int]]:
    """(start, size) of what the segment takes: where it is loaded, where it runs."""
    if segment.copied:
        yield segment.address, len(segment.data)
    yield segment.run, segment.memsz


def _check_overlap(image: Image) -> None:
    for segment in image.segments:
        for start, size in _spans(segment):
            if start + size > 1 << 32:
                raise InputError(f"{image.path}: a segment of {size:,} bytes at 0x{start:08x} goes beyond the address space")
    for what, spans in (("loaded", [(s.address, len(s.data)) for s in image.segments]), ("used", [(s.run, s.memsz) for s in image.segments])):
        before = (0, 0)
        for start, size in sorted(span for span in spans if span[1]):
            if start < before[0] + before[1]:
                raise InputError(f"{image.path}: segments overlap where they are {what}: "
                                 f"{before[1]:,} bytes at 0x{before[0]:08x} and {size:,} at 0x{start:08x}")
            before = start, size


# --- memories --------------------------------------------------------------------------------------------------------------


def _regions(image: Image, board: Board) -> tuple[Region, ...]:
    regions = [*board.memories, *(_fitted(image, board) if board.fitted else ())]
    for segment in image.segments:
        for start, size in _spans(segment):
            if not _held(regions, start, size):
                have = ", ".join(f"{r.name} 0x{r.start:08x}-0x{r.end - 1:08x}" for r in sorted(regions, key=lambda r: r.start))
                raise InputError(f"{image.path}: a segment of {size:,} bytes at 0x{start:08x} lies outside the memories of "
                                 f"board {board.name} ({have})")
    return tuple(sorted(regions, key=lambda r: r.start))


def _held(regions: Sequence[Region], start: int, size: int) -> bool:
    """All bytes lie in one region, or in several that touch."""
    end = start + size
    for region in sorted(regions, key=lambda r: r.start):
        if region.start <= start < region.end:
            start = region.end
    return start >= end


def _fitted(image: Image, board: Board) -> list[Region]:
    """Memories around the segments that lie in none of the board's: those less than a megabyte apart share one, with a megabyte to spare.

    A memory is read-only when nothing in it is writable. Segments in the peripherals' part of the map get none.
    """
    wanted = []
    for segment in image.segments:
        for start, size in _spans(segment):
            if _in_memory(start, size) and size <= _MOST_FITTED and not any(region.holds(start, size) for region in board.memories):
                wanted.append((start, start + size, bool(segment.flags & _WRITABLE and start == segment.run)))
    groups: list[list] = []
    for start, end, writable in sorted(wanted):
        if groups and start < -(-groups[-1][1] // _MEGABYTE) * _MEGABYTE + _MEGABYTE:
            groups[-1][1:] = max(groups[-1][1], end), groups[-1][2] or writable
        else:
            groups.append([start, end, writable])
    found = [_fitted_region(board, *group) for group in groups]
    if sum(region.size for region in found) > _MOST_FITTED:
        raise InputError(f"{image.path}: segments of more than {_MOST_FITTED // _MEGABYTE} MB; board {board.name} lends no more")
    return found


def _in_memory(start: int, size: int) -> bool:
    code_and_ram, external, external_end = MEMORY_ENDS
    return start + size <= code_and_ram or (external <= start and start + size <= external_end)


def _fitted_region(board: Board, start: int, end: int, writable: bool) -> Region:
    granule = _MEGABYTE if writable and start >= _MEGABYTE else _PAGE
    first = start // granule * granule
    last = -(-end // _MEGABYTE) * _MEGABYTE + _MEGABYTE
    for other in board.memories:  # a memory of the board's is not covered
        first = other.end if other.end <= start and other.end > first else first
        last = other.start if other.start >= end and other.start < last else last
    return Region("ram" if writable else "flash", first, last - first, not writable) if not writable or start < MEMORY_ENDS[0] \
        else Region("external", first, last - first)


# --- the start ---------------------------------------------------------------------------------------------------------------


def _word(image: Image, address: int) -> int | None:
    """The word that is loaded at the address, or runs there."""
    for segment in image.segments:
        for start in {segment.address, segment.run}:
            if start <= address and address + 4 <= start + len(segment.data):
                return struct.unpack_from("<I", segment.data, address - start)[0]
    return None


def _in_code(image: Image, address: int) -> bool:
    return any(start <= address < end for start, end in image.code_ranges)


def _in_ram(regions: Sequence[Region], sp: int) -> bool:
    """A full-descending stack may begin at the end of a memory."""
    return sp % 4 == 0 and any(region.start < sp <= region.end and not region.read_only for region in regions)


def _vector_table(image: Image, regions: Sequence[Region], named: int | None) -> tuple[int, int, int] | None:
    """(address, initial SP, reset vector) of the table; None for an image that has none."""
    if named is not None:
        sp, reset = _word(image, named), _word(image, named + 4)
        if sp is None or reset is None:
            raise InputError(f"{image.path}: no vector table at 0x{named:08x}: the image loads nothing there")
        return named, sp, reset
    places = [image.sections[name].address for name in VECTOR_SECTIONS if name in image.sections]
    places += [image.symbols[name].address for name in VECTOR_SYMBOLS if name in image.symbols]
    for place in places:
        sp, reset = _word(image, place), _word(image, place + 4)
        if sp is not None and reset is not None:
            return place, sp, reset
    loaded = sorted((s for s in image.segments if len(s.data) >= 8), key=lambda s: s.address)
    for number, segment in enumerate(loaded):
        if number and not any(region.read_only and region.start == segment.address for region in regions):
            continue
        sp, reset = struct.unpack_from("<II", segment.data)
        # One half that makes sense is enough to call it a table with an error in the other, unless it is code.
        if (reset & 1 and _in_code(image, reset & ~1)) or (_in_ram(regions, sp) and not _in_code(image, segment.run)):
            return segment.address, sp, reset
    return None


def _from_table(image: Image, regions: Sequence[Region], table: int, sp: int, reset: int) -> Plan:
    where = f"the vector table at 0x{table:08x}"
    if not _in_ram(regions, sp):
        why = "is no multiple of 4" if sp % 4 else "points into no RAM"
        raise InputError(f"{image.path}: the initial stack pointer 0x{sp:08x} in {where} {why}")
    if not reset & 1:
        raise InputError(f"{image.path}: the reset vector 0x{reset:08x} in {where} has no Thumb bit: "
                         "the core would fault before its first instruction")
    if not _in_code(image, reset & ~1):
        raise InputError(f"{image.path}: the reset vector 0x{reset:08x} in {where} points to no code")
    return Plan(tuple(regions), table, reset & ~1, (_stack_limit(image, sp), sp), _heap(image, regions, sp))


def _from_entry(image: Image, regions: Sequence[Region], asked: bool) -> Plan:
    """newlib's semihosting start-up runs from the ELF's entry; anything else has to be asked for."""
    function = image.function_at(image.entry)
    there = [s.name for s in image.symbols.values() if s.address & ~1 == image.entry and s.kind != "object"]
    name, hosted = function.name if function else next(iter(there), ""), set(there)
    if not asked and not hosted & set(HOSTED_STARTS):
        raise InputError(f"{image.path}: no vector table: neither a section or symbol of a name like .isr_vector, nor does the image begin "
                         f"with a stack pointer and a reset vector (--vectors ADDRESS names its place, --from-entry starts at the entry 0x{image.entry:08x})")
    if not image.thumb_entry:
        raise InputError(f"{image.path}: the entry 0x{image.entry:08x} has no Thumb bit: Arm code, which no Cortex-M runs")
    if not _in_code(image, image.entry):
        raise InputError(f"{image.path}: the entry 0x{image.entry:08x} is no code of the image")
    writable = [s.run for s in image.segments if s.flags & _WRITABLE and _in_memory(s.run, s.memsz)]
    ram = [region for region in regions if not region.read_only]
    home = next((region for region in ram if any(region.start <= run < region.end for run in writable)), ram[0] if ram else None)
    if home is None:
        raise InputError(f"{image.path}: no RAM for a stack")
    remark = f"no vector table: started at the entry {name or hex(image.entry)} as a debugger would, the stack at the end of {home.name} " \
             f"(0x{home.end:08x}), the FPU on where there is one"
    return Plan(tuple(regions), None, image.entry, (0, home.end), _heap(image, regions, home.end), (remark,))


def _stack_limit(image: Image, sp: int) -> int:
    limits = [image.symbols[name].address for name in STACK_LIMITS if name in image.symbols]
    return next((limit for limit in limits if 0 < limit < sp), 0)


def _heap(image: Image, regions: Sequence[Region], sp: int) -> tuple[int, int]:
    """From the end of what the image places in the stack's memory up to the stack."""
    region = next(region for region in regions if region.start < sp <= region.end)
    ends = [s.run + s.memsz for s in image.segments if region.start <= s.run < sp]
    ends += [image.symbols[name].address for name in ENDS if name in image.symbols and region.start <= image.symbols[name].address < sp]
    first = min(max([region.start, *(end for end in ends if end <= sp)]) + 7 & ~7, sp)
    return first, sp
