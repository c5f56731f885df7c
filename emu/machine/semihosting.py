"""Arm semihosting: the calls that a program makes with BKPT 0xAB ("Semihosting for AArch32 and AArch64", 2.0).

R0 holds the operation, R1 a value or the address of its arguments; the result goes to R0. Every address is checked: what
does not lie in the machine's memory ends the run as a fault. Time is modelled cycles over the clock, from 0 at reset, so
that a run is the same every time.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from emu.machine.console import Console
from emu.machine.hostfiles import HostFiles
from emu.machine.memory import Memory

ERROR = 0xFFFFFFFF  # -1
_FEATURES = b"SHFB\x03"  # :semihosting-features: SH_EXT_EXIT_EXTENDED, SH_EXT_STDOUT_STDERR
_EXITED = 0x20026  # ADP_Stopped_ApplicationExit
_MOST_TEXT = 1 << 20
_MOST_NAME = 1024
_MOST_HANDLES = 64
_MODES = 12
_APPENDING = 8


class Exited(Exception):
    """The program ended itself with that exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Handle:
    """What a handle stands for: "in", "out", "err", "features" or "file"; position is in the features."""

    kind: str
    descriptor: int = -1
    position: int = 0


class Environment(NamedTuple):
    """What a program can ask for. heap: (base, limit) in its memory; clock: Hz; cycles(): modelled cycles now."""

    command_line: str
    heap: tuple[int, int]
    stack: tuple[int, int]  # base, which is its highest address, and limit
    clock: int
    cycles: Callable[[], int]


class Semihosting:
    """The calls of one run. note(text) is told once of every kind of thing that was refused."""

    def __init__(self, memory: Memory, console: Console, files: HostFiles, environment: Environment, note: Callable[[str], None]) -> None:
        self._memory, self._console, self._files, self._environment, self._note = memory, console, files, environment, note
        self._handles: dict[int, _Handle] = {}
        self._errno = 0
        self.used = False
        self.reads_time = False
        self._calls: dict[int, Callable[[int], int]] = {
            0x01: self._open, 0x02: self._close, 0x03: self._writec, 0x04: self._write0, 0x05: self._write, 0x06: self._read, 0x07: self._readc,
            0x08: self._iserror, 0x09: self._istty, 0x0A: self._seek, 0x0C: self._flen, 0x0D: self._tmpnam, 0x0E: self._remove, 0x0F: self._rename,
            0x10: self._clock, 0x11: self._time, 0x12: self._system, 0x13: lambda _: self._errno, 0x15: self._get_cmdline, 0x16: self._heapinfo,
            0x18: self._exit, 0x20: self._exit_extended, 0x30: self._elapsed, 0x31: lambda _: self._environment.clock,
        }

    def call(self, operation: int, argument: int) -> int:
        """The result of one call. Raises OutsideError for an address outside memory, Exited, TargetFault for too much output."""
        self.used = True
        answer = self._calls.get(operation)
        if answer is None:
            self._note(f"semihosting operation 0x{operation:x} does not exist; it was answered with -1")
            return self._fail(errno.ENOSYS)
        try:
            return answer(argument) & 0xFFFFFFFF
        except BrokenPipeError:
            raise
        except (OSError, OverflowError) as problem:
            return self._fail(getattr(problem, "errno", None) or errno.EIO)

    def _fail(self, number: int) -> int:
        self._errno = number
        return ERROR

    def _text(self, address: int, length: int) -> bytes:
        if length > _MOST_NAME:
            raise OSError(errno.ENAMETOOLONG, "name")
        return self._memory.read(address, length)

    # --- files ---

    def _open(self, at: int) -> int:
        address, mode, length = self._memory.words(at, 3)
        name = self._text(address, length)
        if mode >= _MODES:
            return self._fail(errno.EINVAL)
        if len(self._handles) >= _MOST_HANDLES:
            return self._fail(errno.EMFILE)
        if name == b":tt":
            handle = _Handle("in" if mode < 4 else "out" if mode < _APPENDING else "err")
        elif name == b":semihosting-features":
            if mode > 1:
                return self._fail(errno.EACCES)
            handle = _Handle("features")
        else:
            try:
                handle = _Handle("file", self._files.open(name, mode))
            except OSError as problem:
                if problem.errno == errno.EACCES:
                    self._note(f"the program was refused the file {name.decode(errors='backslashreplace')!r}: it may use what lies below --files DIR")
                raise
        number = next(n for n in range(1, _MOST_HANDLES + 2) if n not in self._handles)
        self._handles[number] = handle
        return number

    def _handle(self, number: int) -> _Handle:
        if number not in self._handles:
            raise OSError(errno.EBADF, "handle")
        return self._handles[number]

    def _close(self, at: int) -> int:
        number = self._memory.word(at)
        handle = self._handle(number)
        del self._handles[number]
        if handle.kind == "file":
            self._files.close(handle.descriptor)
        return 0

    def _write(self, at: int) -> int:
        """Bytes that were not written."""
        number, address, length = self._memory.words(at, 3)
        handle = self._handle(number)
        data = self._memory.read(address, length)
        if handle.kind == "file":
            return length - self._files.write(handle.descriptor, data)
        if handle.kind == "out":
            self._console.write(data)
        elif handle.kind == "err":
            self._console.write_error(data)
        else:
            return length
        return 0

    def _read(self, at: int) -> int:
        """Bytes that were not read."""
        number, address, length = self._memory.words(at, 3)
        handle = self._handle(number)
        self._memory.read(address, length)  # all of it must be memory, before anything is taken from a file
        data = b""
        if handle.kind == "file":
            data = self._files.read(handle.descriptor, length)
        elif handle.kind == "in":
            data = self._console.read(length)
        elif handle.kind == "features":
            data = _FEATURES[handle.position:handle.position + length]
            handle.position += len(data)
        self._memory.write(address, data)
        return length - len(data)

    def _seek(self, at: int) -> int:
        number, position = self._memory.words(at, 2)
        handle = self._handle(number)
        if handle.kind == "file":
            self._files.seek(handle.descriptor, position)
        elif handle.kind == "features":
            handle.position = min(position, len(_FEATURES))
        else:
            return self._fail(errno.ESPIPE)
        return 0

    def _flen(self, at: int) -> int:
        handle = self._handle(self._memory.word(at))
        return self._files.length(handle.descriptor) if handle.kind == "file" else len(_FEATURES) if handle.kind == "features" else 0

    def _istty(self, at: int) -> int:
        return int(self._handle(self._memory.word(at)).kind in ("in", "out", "err"))

    def _iserror(self, at: int) -> int:
        return int(self._memory.word(at) >> 31)

    def _tmpnam(self, at: int) -> int:
        address, number, length = self._memory.words(at, 3)
        name = b"tmp-%02x\0" % (number & 0xFF)
        if length < len(name):
            return self._fail(errno.ERANGE)
        self._memory.write(address, name)
        return 0

    def _remove(self, at: int) -> int:
        address, length = self._memory.words(at, 2)
        self._files.remove(self._text(address, length))
        return 0

    def _rename(self, at: int) -> int:
        old, old_length, new, new_length = self._memory.words(at, 4)
        self._files.rename(self._text(old, old_length), self._text(new, new_length))
        return 0

    # --- console ---

    def _writec(self, at: int) -> int:
        self._console.write(self._memory.read(at, 1))
        return 0

    def _write0(self, at: int) -> int:
        text = self._memory.text(at, _MOST_TEXT)
        if text is None:
            return self._fail(errno.EINVAL)
        self._console.write(text)
        return 0

    def _readc(self, _: int) -> int:
        byte = self._console.read(1)
        return byte[0] if byte else ERROR

    # --- time, memory, the end ---

    def _clock(self, _: int) -> int:
        self.reads_time = True
        return self._environment.cycles() * 100 // self._environment.clock & 0x7FFFFFFF

    def _time(self, _: int) -> int:
        self.reads_time = True
        return self._environment.cycles() // self._environment.clock

    def _elapsed(self, at: int) -> int:
        self.reads_time = True
        self._memory.write(at, (self._environment.cycles() & (1 << 64) - 1).to_bytes(8, "little"))
        return 0

    def _system(self, _: int) -> int:
        self._note("the program was refused a command of the host (SYS_SYSTEM)")
        return self._fail(errno.EACCES)

    def _get_cmdline(self, at: int) -> int:
        address, length = self._memory.words(at, 2)
        line = self._environment.command_line.encode(errors="surrogateescape") + b"\0"
        if length < len(line):
            return self._fail(errno.ERANGE)
        self._memory.write(address, line)
        self._memory.write(at + 4, (len(line) - 1).to_bytes(4, "little"))
        return 0

    def _heapinfo(self, at: int) -> int:
        words = (*self._environment.heap, *self._environment.stack)
        self._memory.write(self._memory.word(at), b"".join(word.to_bytes(4, "little") for word in words))
        return 0

    def _exit(self, reason: int) -> int:
        raise Exited(0 if reason == _EXITED else 1)

    def _exit_extended(self, at: int) -> int:
        reason, code = self._memory.words(at, 2)
        raise Exited(code if reason == _EXITED else 1)
