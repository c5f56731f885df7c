"""What a kernel set asks of the export: weights rearranged ahead of time, and layers merged. Its `pack.py` says so, where it has one.

`pack.py` may define

    pack(kernel, *params) -> Packed | None     the layer's tables as the set's kernel wants them, or None: as the ABI has them
    fuses(kernel, first, second) -> bool       whether the set's `kernel`, one of abi.FUSED, takes these two layers in one call
    scratch(kernel, *params) -> int            bytes of scratch that the kernel needs, where the ABI promises less

`params` are structs as armsrc.abi sees them, legal ones: one, or the two of a fused kernel, which must be packed. A packed layer keeps
neither weights nor bias nor requantizers of its own: all that the kernel reads stands in `Packed.words`. A word may be the address of
a function or a table of the set, so an image holds only code that its layers name; and where all layers of a kernel are packed, it does
without what the set calls KERNEL.unpacked, if that is a weak symbol. pack.py may import modules that lie in its folder. What it does
wrong is told with its file and line.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from armsrc import abi

PACK = "pack.py"
_SETS = Path(__file__).parent.resolve() / "kernels"
_MOST_SCRATCH = 1 << 24  # bytes: more than any of these cores' parts has of RAM
_SYMBOL = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


@dataclass(frozen=True)
class Packed:
    """words: uint32 (n,), what the struct's `packed` points to. scratch: bytes that the kernel needs, where the ABI promises less.

    addresses: index of a word -> the global symbol whose address is added to it, a function's with the Thumb bit.
    """

    words: np.ndarray
    scratch: int = 0
    addresses: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KernelSet:
    """A set without a pack.py packs nothing and fuses nothing."""

    pack: Callable[..., Packed | None] = lambda kernel, *params: None
    fuses: Callable[[str, abi.Params, abi.Params], bool] = lambda kernel, first, second: False
    scratch: Callable[..., int] = lambda kernel, *params: 0


PLAIN = KernelSet()


def scratch_bytes(kernel_set: KernelSet, kernel: str, packed: Packed | None, *params: abi.Params) -> int:
    """Bytes of scratch that a kernel of the set is given. packed: what the set made of its tables."""
    promised = [abi.scratch_bytes(part, p) for part, p in zip(abi.parts_of(kernel), params, strict=True)]
    return max(*promised, packed.scratch if packed else 0, kernel_set.scratch(kernel, *params))


def load(folder: Path, failure: type[Exception] = ValueError) -> KernelSet:
    """The set of that folder. failure: what is raised, in one line that names the file, now or later, for a pack.py that does not do as it should."""
    path = folder / PACK
    if not path.is_file():
        return PLAIN
    with _told(path, failure):
        module = _imported(folder)
    makers = {"pack": _packs, "fuses": _fuses, "scratch": _scratch}
    found = {name: made(path, function, failure) for name, made in makers.items() if (function := getattr(module, name, None)) is not None}
    if not found:
        raise failure(f"{path}: it defines none of {', '.join(makers)}")
    return KernelSet(**found)


def _packs(path: Path, function: Callable[..., Packed | None], failure: type[Exception]) -> Callable[..., Packed | None]:
    def pack(kernel: str, *params: abi.Params) -> Packed | None:
        with _told(path, failure, f"pack({kernel!r})"):
            packed = function(kernel, *params)
        if packed is not None and (wrong := _wrong(packed)):
            raise failure(f"{path}: pack({kernel!r}) returned {wrong}")
        return packed

    return pack


def _fuses(path: Path, function: Callable[..., bool], failure: type[Exception]) -> Callable[..., bool]:
    def fuses(kernel: str, first: abi.Params, second: abi.Params) -> bool:
        with _told(path, failure, f"fuses({kernel!r})"):
            return bool(function(kernel, first, second))

    return fuses


def _scratch(path: Path, function: Callable[..., int], failure: type[Exception]) -> Callable[..., int]:
    def scratch(kernel: str, *params: abi.Params) -> int:
        with _told(path, failure, f"scratch({kernel!r})"):
            number = function(kernel, *params)
        if not _is_size(number) or number > _MOST_SCRATCH:
            raise failure(f"{path}: scratch({kernel!r}) returned {number!r}: a number of bytes is wanted, at most {_MOST_SCRATCH:,}")
        return int(number)

    return scratch


def _is_size(number: object) -> bool:
    return isinstance(number, int | np.integer) and number >= 0


def _wrong(packed: object) -> str:
    """What a layer was packed into that is no Packed as it should be; "" when it is one."""
    if not isinstance(packed, Packed):
        return f"{packed!r:.40}: a Packed is wanted, or None"
    words, scratch = packed.words, packed.scratch
    if not isinstance(words, np.ndarray):
        return f"words {words!r:.40}: uint32 (n,) is wanted"
    if words.dtype != np.uint32 or words.ndim != 1 or not words.size:
        return f"words {words.dtype} {words.shape}: uint32 (n,) is wanted"
    if not _is_size(scratch) or scratch > _MOST_SCRATCH:
        return f"scratch {scratch!r}: a number of bytes is wanted, at most {_MOST_SCRATCH:,}"
    if not isinstance(packed.addresses, Mapping):
        return f"addresses {packed.addresses!r:.40}: a mapping is wanted, the index of a word -> the name of a symbol"
    wrong = next((f"{at!r}: {name!r}" for at, name in packed.addresses.items() if not _is_size(at) or at >= words.size
                  or not (isinstance(name, str) and _SYMBOL.fullmatch(name))), None)
    return f"addresses {wrong}: the index of a word and the name of a symbol are wanted" if wrong else ""


class _Watch:
    """Tells on standard error of what is not done after some seconds: it may never end. One thread for all, while there is something."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._watched, self._pending = seconds, [], False

    def begin(self, what: str) -> list[object]:
        entry = [time.monotonic(), what]
        self._watched.append(entry)
        if not self._pending:
            self._later()
        return entry

    def end(self, entry: list[object]) -> None:
        self._watched.remove(entry)

    def _later(self) -> None:
        self._pending = True
        timer = threading.Timer(self._seconds, self._look)
        timer.daemon = True
        timer.start()

    def _look(self) -> None:
        for entry in [entry for entry in self._watched if time.monotonic() - entry[0] >= self._seconds]:
            print(f"note: {entry[1]} is not done after {self._seconds:g} seconds; Ctrl-C ends it", file=sys.stderr, flush=True)
            entry[0] = math.inf
        self._pending = False
        if self._watched:
            self._later()


_WATCH = _Watch(10.0)


@contextmanager
def _told(path: Path, failure: type[Exception], what: str = "") -> Iterator[None]:
    """What goes wrong inside, as `failure` in one line. What is printed goes to standard error: standard output is the report's."""
    entry = _WATCH.begin(f"{path}: {what or 'it'}")
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        here, frames = path.resolve(), traceback.extract_tb(error.__traceback__)
        own = [f":{frame.lineno}" for frame in frames if frame.filename == str(here)]
        text = " ".join(f"{what + ': ' if what else ''}{type(error).__name__}: {error}".split())
        raise failure(f"{path}{own[-1] if own else ''}: {text}{_deep(here, frames)}") from error
    finally:
        _WATCH.end(entry)


def _deep(here: Path, frames: traceback.StackSummary) -> str:
    """Where in another module of pack.py's folder, or of the project's sets, an error came from; "" where it was pack.py's own."""
    for frame in reversed(frames):
        at = Path(frame.filename)
        folder = next((folder for folder in (here.parent, _SETS) if at.is_relative_to(folder) and "site-packages" not in at.parts), None)
        if folder:
            return "" if at == here else f" (at {at.relative_to(_SETS if folder == _SETS else folder.parent)}:{frame.lineno})"
    return ""


def _imported(folder: Path) -> ModuleType:
    """pack.py, read anew, as a module of its folder: it can import modules beside it (`from .packing import common`) and those of the sets
    beside its own (`from ..thumb2.packing import common`), of whichever tree it belongs to."""
    folder = folder.resolve()
    sets = "kernel_sets_" + hashlib.sha256(bytes(folder.parent)).hexdigest()[:12]
    for name in [name for name in sys.modules if name.split(".")[0] == sets]:
        del sys.modules[name]
    own = f"{sets}.{folder.name}"
    for name, where in ((sets, folder.parent), (own, folder)):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(where)]
    importlib.invalidate_caches()
    return importlib.import_module(f"{own}.{Path(PACK).stem}")
