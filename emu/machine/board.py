"""Boards as data: memories, peripherals' registers by name, UARTs. One file each in `boards/`, checked when it is read."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emu import tables

BOARDS = Path(__file__).with_name("boards")
_WORD = 4
_KEYS = {
    "board": {"name", "title", "source", "clock", "interrupts", "priority_bits", "fitted", "memory", "uart", "block"},
    "memory": {"name", "start", "size", "read_only"},
    "uart": {"name", "data", "status", "ready"},
    "block": {"name", "base", "size", "registers", "kept", "reset", "follows", "like"},
}
_NEEDED = {"board": {"name", "title", "source", "clock"}, "memory": {"name", "start", "size"}, "uart": {"name", "data"},
           "block": {"name", "base"}}


@dataclass(frozen=True)
class Region:
    """A memory; sizes in bytes."""

    name: str
    start: int
    size: int
    read_only: bool = False

    @property
    def end(self) -> int:
        return self.start + self.size

    def holds(self, start: int, size: int) -> bool:
        """All of the bytes lie in it."""
        return self.start <= start and start + size <= self.end


@dataclass(frozen=True)
class Uart:
    """Bytes stored to `data` are printed; `status`, when there is one, reads `ready`."""

    name: str
    data: int
    status: int | None = None
    ready: int = 0


@dataclass(frozen=True)
class Block:
    """A peripheral's registers. kept: reads give what was written (at first `reset`), and bits that `follows` pairs (bit, status bit) set
    with theirs: enough for start-up code that turns a clock on and waits for it. Else the registers only have names."""

    name: str
    base: int
    size: int
    registers: Mapping[int, str] = field(default_factory=dict)  # offset -> name
    kept: bool = False
    reset: Mapping[int, int] = field(default_factory=dict)
    follows: Mapping[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """clock: Hz after reset. fitted: memories are also laid where the image's segments lie (layout.py)."""

    name: str
    title: str
    source: str
    clock: int
    interrupts: int = 240
    priority_bits: int = 4
    fitted: bool = False
    memories: tuple[Region, ...] = ()
    uarts: tuple[Uart, ...] = ()
    blocks: tuple[Block, ...] = ()

    def register(self, address: int) -> str:
        """BLOCK_REGISTER at the address, BLOCK+0xOFFSET for one without a name, "" where the board has none."""
        for block in self.blocks:
            offset = (address & ~3) - block.base
            if 0 <= offset < block.size:
                return f"{block.name}_{block.registers[offset]}" if offset in block.registers else f"{block.name}+0x{offset:x}"
        return ""


def names() -> list[str]:
    """Names of the boards that have a file."""
    return tables.names(BOARDS)


@functools.cache
def load(name: str) -> Board:
    """The board of that name. UsageError names the ones that exist; InputError says what is wrong with its file."""
    return tables.load(BOARDS, "board", name, from_table)


def from_table(table: Mapping[str, object]) -> Board:
    """A Board from a parsed file. ValueError for a key that is missing or unknown, and for memories that overlap."""
    _check("board", table)
    memories = tuple(Region(**_check("memory", row)) for row in table.get("memory", ()))
    for one, other in ((a, b) for a in memories for b in memories if a is not b):
        if one.start < other.end and other.start < one.end:
            raise ValueError(f"memories {one.name} and {other.name} overlap")
    blocks: dict[str, Block] = {}
    for row in table.get("block", ()):
        blocks[row["name"]] = _block(_check("block", row), blocks)
    simple = {key: value for key, value in table.items() if key not in ("memory", "uart", "block")}
    return Board(**simple, memories=memories, uarts=tuple(Uart(**_check("uart", row)) for row in table.get("uart", ())),
                 blocks=tuple(blocks.values()))


def _check(what: str, row: Mapping[str, object]) -> Mapping[str, object]:
    if unknown := row.keys() - _KEYS[what]:
        raise ValueError(f"unknown key of a {what}: {', '.join(sorted(unknown))}")
    if missing := _NEEDED[what] - row.keys():
        raise ValueError(f"missing key of a {what}: {', '.join(sorted(missing))}")
    return row


def _block(row: Mapping[str, object], known: Mapping[str, Block]) -> Block:
    """`registers` lists names, a word each from offset 0 ("" skips one), or maps names to offsets; `like` takes those of another block."""
    like = known.get(row.get("like", ""))
    listed = row.get("registers", ())
    offsets = ({name: _WORD * number for number, name in enumerate(listed) if name} if isinstance(listed, list) else dict(listed))
    if like:
        offsets = {name: offset for offset, name in like.registers.items()} | offsets
    size = row.get("size", like.size if like else 0x400)
    try:
        reset = {offsets[name]: value for name, value in row.get("reset", {}).items()}
        follows = {offsets[name]: tuple(map(tuple, pairs)) for name, pairs in row.get("follows", {}).items()}
    except KeyError as error:
        raise ValueError(f"block {row['name']} has no register {error}") from None
    return Block(row["name"], row["base"], size, {offset: name for name, offset in offsets.items()}, row.get("kept", like.kept if like else False),
                 reset or (like.reset if like else {}), follows or (like.follows if like else {}))
