"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def draft_beside(path: Path) -> Path:
    """A name beside `path` that no other process uses, with the same suffix."""
    return path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing; the last of several writers wins. A link is followed; a device or pipe is written to. Raises OSError."""
    with drafted(path, data):
        pass


@contextlib.contextmanager
def drafted(path: Path, data: bytes) -> Iterator[None]:
    """The same, when the block ends without an error; all of the data is on the disk before it begins."""
    if path.exists() and not path.is_file():  # asked before links are followed: a pipe under /dev/fd leads to no path
        yield
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    draft = draft_beside(path)
    try:
        draft.write_bytes(data)
        yield
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
