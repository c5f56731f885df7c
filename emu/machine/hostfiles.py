"""Files of the host that a program may use: those below one folder that the user named, and no others."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from emu.machine.console import Quota

MOST_HANDLES = 64
_MOST_NAME = 1024
_BLOCK = 4096  # what a file may take of the host's disk with nothing in it
# ISO C's fopen modes as semihosting numbers them: r rb r+ r+b w wb w+ w+b a ab a+ a+b.
_FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_RDWR | os.O_CREAT | os.O_TRUNC,
          os.O_WRONLY | os.O_CREAT | os.O_APPEND, os.O_RDWR | os.O_CREAT | os.O_APPEND)
_QUIET = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY


class HostFiles:
    """Open files by number. Every method raises OSError, EACCES for what lies outside the folder."""

    def __init__(self, folder: Path | None, quota: Quota) -> None:
        self._root = Path(os.path.realpath(folder)) if folder else None
        self._quota = quota
        self._open: set[int] = set()

    def close_all(self) -> None:
        """At the end of a run."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    def _path(self, name: bytes) -> Path:
        """Where the file is, links followed; its last part may not be there yet."""
        text = os.fsdecode(name)
        if self._root is None or not text or "\0" in text or len(name) > _MOST_NAME or text.startswith("/") or ".." in text.split("/"):
            raise OSError(errno.EACCES, "outside the folder")
        path = Path(os.path.realpath(self._root / text))
        if path == self._root or not path.is_relative_to(self._root):
            raise OSError(errno.EACCES, "outside the folder")
        return path

    def open(self, name: bytes, mode: int) -> int:
        """A descriptor of a regular file."""
        path = self._path(name)
        if len(self._open) >= MOST_HANDLES:
            raise OSError(errno.EMFILE, "too many files")
        if _FLAGS[mode // 2] & os.O_CREAT:
            self._quota.take(_BLOCK)
        descriptor = os.open(path, _FLAGS[mode // 2] | _QUIET, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EACCES, "no regular file")
        self._open.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        """It is gone."""
        self._own(descriptor)
        self._open.discard(descriptor)
        os.close(descriptor)

    def _own(self, descriptor: int) -> None:
        if descriptor not in self._open:
            raise OSError(errno.EBADF, "no such file is open")

    def write(self, descriptor: int, data: bytes) -> int:
        """Bytes written."""
        self._own(descriptor)
        hole = max(os.lseek(descriptor, 0, os.SEEK_CUR) - os.fstat(descriptor).st_size, 0)  # behind a seek beyond the end
        self._quota.take(hole + len(data))
        return os.write(descriptor, data)

    def read(self, descriptor: int, size: int) -> bytes:
        """Up to `size` bytes."""
        self._own(descriptor)
        return os.read(descriptor, size)

    def seek(self, descriptor: int, position: int) -> None:
        """To that many bytes from the beginning."""
        self._own(descriptor)
        os.lseek(descriptor, position, os.SEEK_SET)

    def length(self, descriptor: int) -> int:
        """Bytes in the file."""
        self._own(descriptor)
        return os.fstat(descriptor).st_size

    def remove(self, name: bytes) -> None:
        """A regular file."""
        path = self._path(name)
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EACCES, "no regular file")
        path.unlink()

    def rename(self, old: bytes, new: bytes) -> None:
        """A regular file, to a name in the folder."""
        source, target = self._path(old), self._path(new)
        if not stat.S_ISREG(os.lstat(source).st_mode):
            raise OSError(errno.EACCES, "no regular file")
        source.rename(target)
