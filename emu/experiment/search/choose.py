"""Which region is meant: by its own name, by a function of the kernel set, or by a file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from emu.build.includes import named
from emu.errors import UsageError
from emu.experiment.search.marks import SUFFIXES, Region
from emu.experiment.search.subject import Sources
from emu.names import near

_FUNCTION = re.compile(r"^[ \t]*(?:(?:kernel|helper)[ \t]+)?([A-Za-z_]\w*)[ \t]*(?::|$|@)", re.MULTILINE)


def regions(found: Sources, target: str | None) -> tuple[Region, ...]:
    """The regions that `target` names: one by its name, else those of a function's file, or of a file, and of what they include; None: all.

    UsageError for a set without regions, and for a target that names none.
    """
    if not found.regions:
        raise UsageError(f"no region in {found.folder}: put `@ search: begin NAME` and `@ search: end` around straight-line code")
    if target is None:
        return tuple(found.regions.values())
    if target in found.regions:
        return (found.regions[target],)
    texts = {path.relative_to(found.root).as_posix(): path.read_bytes() for path in sorted((found.root / found.folder).rglob("*"))
             if path.suffix in SUFFIXES}
    functions = {name: file for file, text in texts.items() for name in _FUNCTION.findall(text.decode(errors="replace"))}
    files = {name: file for file in texts for name in (file, posixpath.basename(file))}
    file = files.get(target.removeprefix("./")) or functions.get(target)
    if file is None:
        known = (*found.regions, *functions, *files)
        raise UsageError(f"no region, function or file of {found.folder} is called {target!r}{near(target, known)}; "
                         f"there are the regions {', '.join(found.regions)}")
    chosen = tuple(region for region in found.regions.values() if region.file in _reached(file, texts))
    if not chosen:
        raise UsageError(f"no region in {file}: put `@ search: begin NAME` and `@ search: end` around straight-line code")
    return chosen


def one(chosen: Iterable[Region], target: str | None, name: str | None = None) -> Region:
    """The region of that name, or the only one; UsageError names those that there are."""
    chosen = tuple(chosen)
    wanted = [region for region in chosen if name in (None, region.name)]
    if len(wanted) == 1:
        return wanted[0]
    what, names = target or "the kernel set", [region.name for region in chosen]
    if name is not None:
        raise UsageError(f"{what} holds no region {name!r}{near(name, names)}; there are {', '.join(names)}")
    raise UsageError(f"{what} holds {len(chosen)} regions, of which one is wanted: {', '.join(names)}")


def _reached(file: str, texts: dict[str, bytes]) -> set[str]:
    """The file and all that it includes."""
    found, waiting = {file}, [file]
    while waiting:
        folder = posixpath.dirname(waiting[-1])
        names = {posixpath.normpath(f"{folder}/{name}") for name in named(texts[waiting.pop()])}
        waiting += [name for name in names & texts.keys() if name not in found]
        found |= names & texts.keys()
    return found
