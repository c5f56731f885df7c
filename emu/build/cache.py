"""The build cache: files named by the hash of what made them, and written so that nobody ever sees half of one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from emu import files
from emu.errors import BuildError
from emu.files import draft_beside

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLE = "THUMBCYCLE_CACHE"


def cache_dir() -> Path:
    """$THUMBCYCLE_CACHE, or build/ in the repository; of an installed package thumbcycle/ where the user's caches are. It may not exist yet."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    if (REPOSITORY / "pyproject.toml").is_file():
        return REPOSITORY / "build"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "thumbcycle"


def key(parts: Iterable[str | bytes]) -> str:
    """SHA-256 of the parts, each preceded by its length so that no two lists run together."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def temporary(path: Path) -> Path:
    """A name beside `path` that no other process uses, with the same suffix; its folder is made."""
    _make(path.parent, exist_ok=True)
    return draft_beside(path)


def temporary_folder(path: Path) -> Path:
    """The same as a folder, new and empty."""
    folder = temporary(path)
    _make(folder)
    return folder


def _make(folder: Path, *, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        raise BuildError(f"cannot write the build cache {folder}: {error.strerror} (set {VARIABLE} to another folder)") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write the whole file or nothing; the last of several writers wins. Raises BuildError when the cache is not writable."""
    temporary(path)  # makes the folder
    try:
        files.write_atomically(path, data)
    except OSError as error:
        raise BuildError(f"cannot write the build cache {path}: {error.strerror} (set {VARIABLE} to another folder)") from None
