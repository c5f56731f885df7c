"""The part of a run that a profile is about: calls of one function, or from one place in the code to another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emu.build.elf import Image
from emu.errors import UsageError
from emu.functions.names import demangled
from emu.isa.instruction import Instruction
from emu.names import near

_SOURCE = re.compile(r"(?P<file>.+):(?P<line>\d+)$")
_PLACE = re.compile(r"(?P<symbol>.+?)(?:\+(?P<offset>0[xX][0-9a-fA-F]+|\d+))?$")
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Region:
    """`function`: every call of the one that lies there, with all that it calls. `begin`, `end`: from there on, until there; without an
    end, to the run's end."""

    title: str
    function: int | None = None
    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()


def of_symbol(image: Image, name: str) -> Region:
    """Every call of the function of that name, as the linker or the source knows it. UsageError when there is none, or several."""
    address = _symbol(image, name, "--region")
    function = image.function_at(address)
    if function is None or function.address != address:
        raise UsageError(f"--region: {name} is no function of {image.path}; code that is none is chosen with --from and --to")
    return Region(f"calls of {name}", address)


def between(image: Image, instructions: Mapping[int, Instruction], begin: str, end: str | None) -> Region:
    """From `begin` to `end`: each an address, SYMBOL, SYMBOL+OFFSET or FILE:LINE. UsageError for a place where no instruction is."""
    found = {option: places(image, instructions, text, option) for option, text in (("--from", begin), ("--to", end)) if text is not None}
    title = f"from {begin} to {end}" if end is not None else f"from {begin}"
    return Region(title, begin=found["--from"], end=found.get("--to", ()))


def places(image: Image, instructions: Mapping[int, Instruction], text: str, option: str) -> tuple[int, ...]:
    """Where an address, SYMBOL, SYMBOL+OFFSET or FILE:LINE is (of a line: where its code begins, in every function). UsageError, which names the
    option, for a place where no instruction is."""
    if (match := _SOURCE.match(text)) and "::" not in text:
        return _of_line(image, match["file"], int(match["line"]), option)
    try:
        address = int(text, 0) & ~1
    except ValueError:
        match = _PLACE.match(text)
        if match is None:
            raise UsageError(f"{option}: an address, SYMBOL, SYMBOL+OFFSET or FILE:LINE is wanted, not {text!r}") from None
        address = _symbol(image, match["symbol"], option) + int(match["offset"] or "0", 0)
    if address not in instructions:
        raise UsageError(f"{option} {text}: no instruction begins at 0x{address:08x}")
    return (address,)


def _of_line(image: Image, file: str, line: int, option: str) -> tuple[int, ...]:
    """Where the line's code begins, once a function that has code of it (it may be inlined)."""
    starts, lines = image.line_table
    wanted = re.compile(rf"(.*/)?{re.escape(file)}:(?P<line>\d+)$")
    found: dict[object, int] = {}
    known = set()
    for address, text in zip(starts, lines, strict=True):
        match = wanted.match(text) if text else None
        if match:
            known.add(int(match["line"]))
            if int(match["line"]) == line:
                found.setdefault(image.function_at(address), address)
    if not found:
        nearby = sorted(sorted(known, key=lambda other: abs(other - line))[:_MOST_SHOWN])
        what = f"lines near it that have some: {', '.join(map(str, nearby))}" if nearby else "the debug information names no such file"
        raise UsageError(f"{option} {file}:{line}: no code of that line; {what}")
    return tuple(sorted(found.values()))


def _symbol(image: Image, name: str, option: str) -> int:
    """The address of a symbol, by its name for the linker or for the source, whole or without its parameters."""
    if name in image.symbols:
        return image.symbols[name].address & ~1
    named = [(f, demangled(f.name)) for f in image.functions]
    found = [f for f, text in named if name in (text, text.partition("(")[0])]
    if len(found) > 1:
        raise UsageError(f"{option}: {len(found)} functions are called {name}: say which by its address or its whole name: "
                         f"{', '.join(f'0x{f.address:08x} {demangled(f.name)}' for f in found[:_MOST_SHOWN])}")
    if not found:
        raise UsageError(f"{option}: no symbol {name!r} in {image.path}{near(name, [*image.symbols, *(text for _, text in named)])}")
    return found[0].address
