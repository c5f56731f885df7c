"""Where reports go: files, whole or not at all, or standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from emu import files
from emu.errors import InputError


def check(target: str) -> None:
    """InputError when `target` is a folder, or lies in one that does not exist or may not be written."""
    path = Path(target)
    if target == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return
    problem = ("is a folder" if path.is_dir() else f"there is no folder {path.parent}" if not path.parent.is_dir()
               else "" if os.access(path.parent, os.W_OK) else "permission denied")
    if problem:
        raise InputError(f"cannot write {target}: {problem}")


def write(target: str, data: str | bytes) -> None:
    """To the file `target`, or to standard output for "-". InputError when it cannot be written."""
    raw = data.encode() if isinstance(data, str) else data
    if target == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return
    try:
        files.write_atomically(Path(target), raw)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from None
