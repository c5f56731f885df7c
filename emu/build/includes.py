"""What a source includes: what its text names, and what only the compiler sees (`#include MACRO`), which it tells when it compiles."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from emu.build.cache import cache_dir, write_atomically

# What a preprocessor or the assembler reads besides: #include, .include, .incbin, with quotes or brackets, in C's asm, too; and what is only
# asked for.
_NAMED = re.compile(rb'^[ \t]*#[ \t]*(?:include|include_next|import)[ \t]*["<]([^">\n]+)[">]|\.(?:include|incbin)[ \t]*\\?"([^"\\\n]+)'
                    rb'|\b__has_include(?:_next)?[ \t]*\([ \t]*["<]([^">\n]+)[">]', re.MULTILINE)
_WORD = re.compile(r"(?:\\.|[^\\\s])+")
_PLACE = "includes"  # in the cache


class LearnedError(Exception):
    """The compiler has read files that were not in the source's key. They are known from now on: what was compiled is not kept."""


def named(text: bytes) -> list[str]:
    """The names of included files, as they stand there."""
    return [next(filter(None, groups)).decode(errors="replace") for groups in _NAMED.findall(text)]


def learned(source: str) -> list[str]:
    """Names of files that the compiler read for a source, given by what it is compiled with, and that its text did not name."""
    try:
        return json.loads((cache_dir() / _PLACE / f"{source}.json").read_bytes())
    except (OSError, ValueError):
        return []


def learn(source: str, known: Iterable[str], told: Path, root: Path, renamed: tuple[str, str]) -> None:
    """Compare what the compiler told with what is known. LearnedError where there is more.

    told: the file of -MMD, which need not be there. Names are relative to root, or absolute; renamed: how a folder is called in them.
    """
    if not told.exists():
        return
    _, _, files = told.read_text(errors="surrogateescape").replace("\\\n", " ").partition(": ")
    names = (re.sub(r"\\(.)", r"\1", word).replace("$$", "$").replace(*renamed) for word in _WORD.findall(files))
    read = {posixpath.normpath(name.removeprefix(f"{root}/")) for name in names}
    if new := read - {posixpath.normpath(name) for name in known}:
        write_atomically(cache_dir() / _PLACE / f"{source}.json", json.dumps(sorted({*learned(source), *new})).encode())
        raise LearnedError
