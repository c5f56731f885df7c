"""Reports into files, whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from emu.errors import InputError


def write(target: str, data: str | bytes) -> None:
    """To the file `target`, or to standard output for "-". InputError when it cannot be written."""
    raw = data.encode() if isinstance(data, str) else data
    if target == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return
    path = Path(target)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(raw)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write {target}: {error.strerror}") from None
