"""One side of a comparison: a kernel set and what differs about it, in the notation of the command line.

    SET[@REVISION][:PART,PART...]       PART: KEY=VALUE, or an option of the compiler's

SET is a kernel set or the path of a folder of kernels. A part belongs to its side alone; what a side does not say is the command's default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.build.compile import OPTIMIZATIONS
from emu.build.flags import obstacle, shown
from emu.errors import UsageError
from emu.names import nearest

NOTATION = "SET[@REVISION][:PART,PART...]"
KEYS = {"cc": "a cross compiler: a path, or a name on PATH", "core": "a table of emu/timing/cores",
        "memory": "a table of emu/timing/memories"}


@dataclass(frozen=True)
class Side:
    """text: as it was written. revision: of armsrc, as git names it; None: the sources as they lie there.

    flags: the compiler's, beside -opt.
    """

    text: str
    kernels: str
    revision: str | None
    opt: str
    flags: tuple[str, ...]
    cc: str | None
    core: str
    memory: str

    @property
    def facts(self) -> tuple[object, ...]:
        """What makes it: equal for two ways to write the same side."""
        return self.kernels, self.revision, self.opt, self.flags, self.cc, self.core, self.memory


def parse_all(texts: Sequence[str], core: str, memory: str) -> tuple[Side, ...]:
    """At least two different sides; core and memory are those of a side that names none. UsageError."""
    if len(texts) < 2:
        raise UsageError(f"compare takes two sides or more, each {NOTATION}: e.g. compare thumb2 c:-Os")
    sides = tuple(parse(text, core, memory) for text in texts)
    first: dict[tuple[object, ...], str] = {}
    for side in sides:
        if same := first.get(side.facts):
            raise UsageError(f"the side {side.text} is there twice" if same == side.text else f"{same} and {side.text} are the same side")
        first[side.facts] = side.text
    return sides


def parse(text: str, core: str, memory: str) -> Side:
    """One side. UsageError for a text that is none; names of sets, cores and memories are looked up when they are used."""
    head, colon, tail = text.partition(":")
    kernels, at, revision = (head, "", "") if Path(head).is_dir() else head.partition("@")  # a folder's name may hold an @
    if not kernels or (at and not revision) or (colon and not tail):
        raise UsageError(f"{text!r} is no side: {NOTATION} is wanted, e.g. c:-Os or thumb2@HEAD~1:core=cortex-m33")
    flags: list[str] = []
    values: dict[str, str] = {}
    for part in tail.split(",") if tail else ():
        if part.startswith("-"):
            flags.append(_flag(text, part))
        else:
            key, value = _pair(text, part)
            if key in values:
                raise UsageError(f"{text}: {key}= is there twice")
            values[key] = value
    levels = [flag[1:] for flag in flags if flag.startswith("-O")]
    if len(levels) > 1:
        raise UsageError(f"{text}: one level of optimization is wanted, not {' and '.join(f'-{level}' for level in levels)}")
    return Side(text, kernels, revision or None, levels[0] if levels else "O3", tuple(flag for flag in flags if not flag.startswith("-O")),
                values.get("cc"), values.get("core", core), values.get("memory", memory))


def _flag(text: str, flag: str) -> str:
    if flag.startswith("-O"):
        if flag[1:] not in OPTIMIZATIONS:
            raise UsageError(f"{text}: no optimization {flag!r} (there are {', '.join(f'-{level}' for level in OPTIMIZATIONS)})")
        return flag
    if reason := obstacle(flag, others=("-O",)):
        raise UsageError(f"{text}: {shown(flag)} cannot be compared: {reason}")
    return flag


def _pair(text: str, part: str) -> tuple[str, str]:
    key, equals, value = part.partition("=")
    if key not in KEYS:
        near = nearest(key, KEYS, 0.5)
        hint = f" (did you mean {near}=?)" if near else ""
        raise UsageError(f"{text}: no key {key!r}{hint}: there are {', '.join(f'{known}=' for known in KEYS)} and the compiler's options, "
                         "which begin with -")
    if not equals or not value:
        raise UsageError(f"{text}: {key}= wants a value: {KEYS[key]}")
    return key, value


def columns(sides: Sequence[Side]) -> tuple[str, ...]:
    """A short name a side, for heads of columns: paths of folders and compilers cut to their last part, where that still tells the sides apart."""
    short = [_cut(_cut(side.text, side.kernels), side.cc or "") for side in sides]
    times = Counter(short)
    return tuple(name if times[name] == 1 else side.text for name, side in zip(short, sides, strict=True))


def _cut(text: str, path: str) -> str:
    return text.replace(path, path.rstrip("/").rpartition("/")[2], 1) if path.strip("./") else text
