"""The program's console: what it prints goes to standard output, in order; a hostile one prints no more than a quota."""

from __future__ import annotations

import sys
from typing import BinaryIO

from emu.errors import TargetFault

QUOTA = 256 << 20  # bytes that one run may write, console and files together
_CHUNK = 4096


class Quota:
    """What a run may still write."""

    def __init__(self, most: int = QUOTA) -> None:
        self._most = self._left = most

    def take(self, size: int) -> None:
        """Raises TargetFault when the program has written too much."""
        self._left -= size
        if self._left < 0:
            raise TargetFault(f"the program has written more than {self._most >> 20} MB; that is where it was stopped")


class Console:
    """Standard input, output and error of one run. `out` and `err` default to the process's own when they are first needed."""

    def __init__(self, quota: Quota, out: BinaryIO | None = None, err: BinaryIO | None = None, source: BinaryIO | None = None) -> None:
        self._quota, self._out, self._err, self._source = quota, out, err, source
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """To standard output; lines go out when they are whole."""
        self._quota.take(len(data))
        self._waiting += data
        if b"\n" in data or len(self._waiting) >= _CHUNK:
            self.flush()

    def put(self, byte: int) -> None:
        """One byte to standard output."""
        self.write(bytes((byte & 0xFF,)))

    def write_error(self, data: bytes) -> None:
        """To standard error."""
        self._quota.take(len(data))
        self.flush()
        stream = self._err or sys.stderr.buffer
        stream.write(data)
        stream.flush()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from standard input; fewer at its end, or at the end of a line."""
        self.flush()
        stream = self._source or (sys.stdin.buffer if sys.stdin else None)
        return stream.readline(size) if stream else b""

    def flush(self) -> None:
        """Let go of what waits for the end of its line. Raises OSError."""
        stream = self._out or sys.stdout.buffer
        data, self._waiting = bytes(self._waiting), bytearray()
        stream.write(data)
        stream.flush()


def on_stderr(quota: Quota) -> Console:
    """One whose output leaves standard output to a report."""
    return Console(quota, out=sys.stderr.buffer)
