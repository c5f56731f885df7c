"""Marked regions of assembly, in the sources and in an image.

    @ search: begin NAME [free: r11, flags] [live: r4, r5] [noalias]
    ...instructions and calls of macros...
    @ search: end

free: what nobody needs, neither before nor behind the region. live: all that is needed behind it (without it, that is found out).
noalias: accesses off different base registers never meet.

In a copy of the sources every marked line leaves its address in a section beside the code (as debug information does), so a region in
a macro is found wherever that is expanded, and the code stays what it was.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.build.elf import Image
from emu.errors import InputError
from emu.experiment.search.effects import ALL_FLAGS, LR
from emu.names import near

SUFFIXES = (".S", ".s", ".inc", ".h")
SECTION = ".debug_search"
_MARK = re.compile(r"^\s*(?:@|//)\s*search:\s*(.*?)\s*$")
_LABEL = re.compile(r"^\s*[\w.$\\@]+:")
_COMMENT = re.compile(r"/\*.*?\*/|@.*|//.*")
_IT = re.compile(r"^it([te]{0,3})\s", re.IGNORECASE)
_OPTIONS = ("free:", "live:", "noalias")
_NOTE = '9991: .pushsection {section},"",%progbits; .4byte 9991b, {number}; .popsection; '
_PLACES = {**{f"r{n}": 1 << n for n in range(13)}, "lr": 1 << LR, "flags": ALL_FLAGS}


@dataclass(frozen=True)
class Item:
    """Lines of source that move together: an instruction, an IT block, or a call of a macro. first, last: numbers of its lines, from 1;
    comments: of the first line of the comments ahead of it, else `first`."""

    comments: int
    first: int
    last: int
    text: str  # of the first line, without its comment


@dataclass(frozen=True)
class Region:
    """One marked region. file: relative to Sources.root; begin, end: lines of its marks. free, live: masks; live None:
    not said. problem: file, line and why what stands in it cannot be searched."""

    name: str
    file: str
    begin: int
    end: int
    free: int
    live: int | None
    noalias: bool
    items: tuple[Item, ...]
    problem: str = ""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.begin}"


@dataclass(frozen=True)
class Place:
    """One expansion of a region in an image: start .. end, and where each item's code begins (address, number of the item), by address."""

    start: int
    end: int
    items: tuple[tuple[int, int], ...]

    def item_at(self, address: int) -> int:
        """The number of the item whose code the address lies in."""
        return self.items[bisect_right(self.items, (address, 1 << 30)) - 1][1]


def find(root: Path, folder: str) -> list[Region]:
    """All regions of the sources in root/folder, in the order of files and lines. InputError names file and line of a mark that is wrong."""
    regions: list[Region] = []
    for path in sorted((root / folder).rglob("*")):
        if path.suffix in SUFFIXES and path.is_file():
            regions += parse(path.read_text(errors="replace"), path.relative_to(root).as_posix())
    for number, region in enumerate(regions):
        if earlier := next((one for one in regions[:number] if one.name == region.name), None):
            raise InputError(f"{region.where}: the region {region.name} is there twice, first in {earlier.where}")
    return regions


def parse(text: str, file: str) -> list[Region]:
    """The regions of one file."""
    regions: list[Region] = []
    lines = text.splitlines()
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        mark = _MARK.match(line)
        if not mark:
            continue
        word, _, rest = mark[1].partition(" ")
        if word == "begin" and begun is None:
            begun = number, rest
        elif word == "end" and begun is not None and not rest:
            regions.append(_region(lines, file, begun[0], number, begun[1]))
            begun = None
        else:
            raise InputError(f"{file}:{number}: {_misplaced(word, rest, begun)}")
    if begun:
        raise InputError(f"{file}:{begun[0]}: the region {begun[1].split(' ')[0]} has no `@ search: end`")
    return regions


def _misplaced(word: str, rest: str, begun: tuple[int, str] | None) -> str:
    if word == "begin" and begun:
        return f"a region begins inside the one of line {begun[0]}"
    if word == "end":
        return f"`search: end` takes nothing behind it, not {rest!r}" if rest else "no region begins before this `search: end`"
    return f"`search: begin NAME` or `search: end` is wanted, not {word!r}"


def _region(lines: Sequence[str], file: str, begin: int, end: int, head: str) -> Region:
    name, *options = re.split(r"[\s,]+", head.strip())
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise InputError(f"{file}:{begin}: a region needs a name: `@ search: begin NAME`")
    masks: dict[str, int] = {}
    noalias, into = False, ""
    for option in options:
        if option in ("free:", "live:"):
            masks.setdefault(into := option, 0)
        elif option == "noalias":
            noalias, into = True, ""
        elif into and option in _PLACES:
            masks[into] |= _PLACES[option]
        else:
            known = (*_OPTIONS, *(_PLACES if into else ()))
            raise InputError(f"{file}:{begin}: {option!r} means nothing here{near(option, known)}; "
                             f"{', '.join(_OPTIONS)} and registers behind them are known")
    try:
        items, problem = tuple(_items(lines, file, begin, end)), ""
    except InputError as error:  # other regions can still be searched
        items, problem = (), str(error)
    return Region(name, file, begin, end, masks.get("free:", 0), masks.get("live:"), noalias, items, problem)


def _items(lines: Sequence[str], file: str, begin: int, end: int) -> Iterator[Item]:
    """What stands between two marks. InputError for what is neither an instruction nor a call of a macro."""
    number = ahead = begin + 1
    while number < end:
        text = statement(lines[number - 1])
        if text:
            _check(text, f"{file}:{number}")
            it = _IT.match(text)
            last = number + (len(it[1]) + 1 if it else 0)
            if last >= end or any(not statement(line) for line in lines[number:last]):
                raise InputError(f"{file}:{number}: an IT block's instructions stand in the lines directly behind it, in the same region")
            yield Item(ahead, number, last, text)
            number, ahead = last, last + 1
        number += 1


def _check(text: str, where: str) -> None:
    if _LABEL.match(text):
        raise InputError(f"{where}: a label ({text.split(':')[0]}:) in a region: a region is straight-line code, which nothing jumps into")
    if text.startswith((".", "#")):
        raise InputError(f"{where}: {text.split()[0]} in a region: instructions and calls of macros are wanted")
    if ";" in text:
        raise InputError(f"{where}: one instruction a line is wanted in a region")


def statement(line: str) -> str:
    """A line of source without its comment and the space around it."""
    return _COMMENT.sub("", line).strip()


def noted(text: str, regions: Sequence[Region], numbers: Mapping[tuple[str, int], int]) -> str:
    """The text of a file with a note in front of every item and mark of its regions. numbers: (file, line) -> what the note says."""
    lines = text.splitlines(keepends=True)
    for region in regions:
        for line in (region.begin, *(item.first for item in region.items), region.end):
            note = _NOTE.format(section=SECTION, number=numbers[region.file, line])
            rest = "" if line in (region.begin, region.end) else lines[line - 1].rstrip("\r\n")
            lines[line - 1] = f"{note}{rest}\n"
    return "".join(lines)


def numbers(regions: Sequence[Region]) -> dict[tuple[str, int], int]:
    """What each note says: a number for every mark and item."""
    found = ((region.file, line) for region in regions for line in (region.begin, *(item.first for item in region.items), region.end))
    return {place: number for number, place in enumerate(found, 1)}


def places(image: Image, regions: Sequence[Region]) -> dict[str, list[Place | None]]:
    """Every expansion of each region, by name, in the order in which the linker met them; None for one that it left out.

    image: built of sources with notes.
    """
    known = {number: place for place, number in numbers(regions).items()}
    by_line = {(region.file, line): (region, line) for region in regions for line in range(region.begin, region.end + 1)}
    found: dict[str, list[Place | None]] = {region.name: [] for region in regions}
    started: list[tuple[int, int]] = []
    for address, number in _notes(image):
        region, line = by_line[known[number]]
        started.append((address, line))
        if line == region.end:
            (start, _), *items, (end, _) = started
            place = {item.first: at for at, item in enumerate(region.items)}
            found[region.name].append(Place(start, end, tuple((at, place[line]) for at, line in items)) if end > start else None)
            started = []
    return found


def _notes(image: Image) -> Iterator[tuple[int, int]]:
    from elftools.elf.elffile import ELFFile

    with open(image.path, "rb") as file:
        section = ELFFile(file).get_section_by_name(SECTION)
        data = section.data() if section else b""
    for address, number in struct.iter_unpack("<II", data):
        yield address & ~1, number
