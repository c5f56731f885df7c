"""Lines of source files that debug information names."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from emu.build.cache import REPOSITORY
from emu.build.sources import GENERATED

# What a file of source is called: debug information can name any file there is.
SUFFIXES = frozenset({".c", ".h", ".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".h++", ".ipp", ".inl", ".tcc", ".tpp", ".s", ".asm", ".sx",
                      ".inc", ".macro", ".m", ".rs", ".zig", ".d", ".ada", ".adb", ".ads", ".f", ".f90", ".pas", ".nim", ".swift", ".def"})
MOST_BYTES = 4 << 20  # of a file


def absolute(file: str) -> str:
    """The whole path of what debug information names relative to the repository; other names as they are."""
    path = REPOSITORY / file
    return str(path) if path.is_file() else file


class Sources:
    """Reads a file when its first line is asked for. missing: files that could not be read; newer: that changed after the program was built."""

    def __init__(self, folders: Sequence[Path] = (), built: float | None = None) -> None:
        """folders: where relative names may begin, beside here and the repository. built: when, in seconds since the epoch; None: just now."""
        self._folders, self._built = (Path(), REPOSITORY, *folders), built
        self._files: dict[str, list[str] | None] = {}
        self.missing: list[str] = []
        self.newer: list[str] = []

    def text(self, file: str | None, line: int | None) -> str | None:
        """The line, from 1, without white space at its ends; None where it cannot be read."""
        if file is None or line is None:
            return None
        if file not in self._files:
            self._files[file] = self._read(file)
        lines = self._files[file]
        return lines[line - 1].strip().expandtabs(4) if lines and 0 < line <= len(lines) else None

    def _read(self, file: str) -> list[str] | None:
        for path in (folder / file for folder in self._folders):
            if (data := _contents(path)) is not None:
                if self._built is not None and path.stat().st_mtime > self._built:
                    self.newer.append(file)
                return data.decode(errors="replace").splitlines()
        if not file.startswith(f"{GENERATED}/"):  # made for the build, and not kept
            self.missing.append(file)
        return None


def _contents(path: Path) -> bytes | None:
    """None for what is not there, is no source, or too large."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # a pipe does not wait for its writer
            status = os.fstat(file.fileno())
            return file.read(MOST_BYTES) if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES else None
    except (OSError, ValueError):
        return None
