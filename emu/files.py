"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def draft_beside(path: Path) -> Path:
    """A name beside `path` that no other process uses, with the same suffix."""
    return path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing; the last of several writers wins. A link is followed; a device or pipe is written to. Raises OSError."""
    if path.exists() and not path.is_file():  # asked before links are followed: a pipe under /dev/fd leads to no path
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    draft = draft_beside(path)
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
