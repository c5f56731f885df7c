"""What a kernel set asks of the export: weights rearranged ahead of time, and layers merged. Its `pack.py` says so, where it has one.

`pack.py` may define

    pack(kernel, *params) -> Packed | None     the layer's tables as the set's kernel wants them, or None: as the ABI has them
    fuses(kernel, first, second) -> bool       whether the set's `kernel`, one of abi.FUSED, takes these two layers in one call

`params` are structs as armsrc.abi sees them, legal ones: one, or the two of a fused kernel, which must be packed. A packed layer keeps
neither weights nor bias nor requantizers of its own: all that the kernel reads stands in `Packed.words`. pack.py may import modules
that lie in its folder.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from armsrc import abi

PACK = "pack.py"


@dataclass(frozen=True)
class Packed:
    """words: uint32 (n,), what the struct's `packed` points to. scratch: bytes that the kernel needs, where the ABI promises less."""

    words: np.ndarray
    scratch: int = 0


@dataclass(frozen=True)
class KernelSet:
    """A set without a pack.py packs nothing and fuses nothing."""

    pack: Callable[..., Packed | None] = lambda kernel, *params: None
    fuses: Callable[[str, abi.Params, abi.Params], bool] = lambda kernel, first, second: False


PLAIN = KernelSet()


def scratch_bytes(kernel: str, packed: Packed | None, *params: abi.Params) -> int:
    """Bytes of scratch that a kernel is given. packed: what its set made of its tables."""
    promised = [abi.scratch_bytes(part, p) for part, p in zip(abi.FUSED.get(kernel, (kernel,)), params, strict=True)]
    return max(*promised, packed.scratch if packed else 0, 0)


def load(folder: Path) -> KernelSet:
    """The set of that folder. ValueError, naming the file, for a pack.py that does not run."""
    path = folder / PACK
    if not path.is_file():
        return PLAIN
    try:
        module = _imported(folder)
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    return KernelSet(**{name: getattr(module, name) for name in ("pack", "fuses") if hasattr(module, name)})


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
