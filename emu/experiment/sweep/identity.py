"""What made a figure, as hashes: sources of kernels, the emulator and its reference, timing tables; so that a row is done again when one changed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from emu.build import kernel_folder
from emu.build.cache import REPOSITORY, key
from emu.build.sources import Files, searched
from emu.timing.core import CORES
from emu.timing.memory import MEMORIES

SCHEMA = 1  # of rows; it changes when a column changes its meaning or goes
_EMULATOR = ("emu/isa", "emu/probe", "emu/machine", "emu/timing", "emu/build", "emu/functions", "emu/check/equivalence.py", "emu/measure.py",
             "emu/profile.py", "emu/experiment/sweep/measure.py", "kwsq")
_READ = (".py", ".c", ".h", ".npz", ".wav")
_RESULTS = (".parquet", ".journal", ".md", ".html")  # what stands in folders of kernels, and nothing is made of
_SOURCES = ("armsrc/abi.py", "armsrc/kernelset.py", "armsrc/include", "armsrc/libc", "armsrc/firmware", "armsrc/runtime")


def sources(kernels: str) -> str:
    """Of a kernel set or folder with its bases, with all of armsrc that takes part in its images."""
    chain = kernel_folder.chain(kernels, kernels == kernel_folder.FLOAT_BASE)
    places = [place for folder in chain for place in (folder.folder, *folder.linked, *folder.include)]
    files = Files(REPOSITORY, {})
    outside = [name for number, folder in enumerate(chain) for source in folder.sources for name in (source, *files.included(source, searched(chain[number:])))]
    return _hash(dict.fromkeys((*_SOURCES, *places, *outside)), lambda path: path.suffix not in _RESULTS or str(path) in outside)


@functools.cache
def emulator() -> str:
    """Of the code that runs, counts, prices and checks; timing tables are apart."""
    return _hash(_EMULATOR, lambda path: path.suffix in _READ)


@functools.cache
def tables(core: str, memory: str) -> str:
    """Of the timing tables that price."""
    return key(path.read_bytes() for path in (CORES / f"{core}.toml", MEMORIES / f"{memory}.toml"))[:16]


def _hash(names: Iterable[str], wanted: Callable[[Path], bool]) -> str:
    def parts() -> Iterator[str | bytes]:
        for name in names:
            for path in _files(REPOSITORY / name):
                if wanted(path):
                    yield str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)
                    yield path.read_bytes()

    return key(parts())[:16]


def _files(place: Path) -> list[Path]:
    """place, or the files in it, but for those in folders that are caches or hidden, as .git is."""
    return [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file() and not any(
        part.startswith(".") or part == "__pycache__" for part in path.relative_to(place).parts))
