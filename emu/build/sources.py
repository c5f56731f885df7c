"""The sources of an image, each with the key of its object in the cache: everything that can change what comes out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emu.build.cache import key
from emu.build.includes import learned, named
from emu.build.kernel_folder import ASSEMBLY, COMPILED, CPP, FUSED, KINDS, SOURCES, KernelFolder
from emu.build.toolchain import Toolchain
from emu.errors import InputError

SCHEMA = "5"  # of the cache's keys
ABI, FIRMWARE, RUNTIME = "armsrc/include", "armsrc/firmware", "armsrc/runtime"
GENERATED = "generated"  # what error lines and debug information call the folder of generated files
FIRMWARE_SOURCES = {"firmware": ("startup.S", "main.c", "runtime.c", "done.S"), "library": ("library.c", "runtime.c", "done.S")}
COMPILE_FLAGS = ("-mthumb", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-g", "-gdwarf-4", "-Wall", "-Wextra")
C_FLAGS = ("-std=c11",)
CPP_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
BUILT_IN = ("-fbuiltin",)  # of others' C, which may read words by memcpy: one load, where -ffreestanding makes a call of it
OWN_MEMCPY = f"{FIRMWARE}/runtime.c"
# Only what differs, by path.
SPECIAL_FLAGS = {f"{FIRMWARE}/{name}": ("-fno-eliminate-unused-debug-types",) for name in ("main.c", "library.c")}


@dataclass(frozen=True)
class Source:
    """name: relative to the folder that holds armsrc/, generated/..., or an absolute path. include: folders, likewise. key: of its object.

    included: the names of the files that are in the key, itself among them; made_with: key of all but what they contain.
    """

    name: str
    include: tuple[str, ...]
    flags: tuple[str, ...]
    key: str
    included: tuple[str, ...]
    made_with: str


@dataclass(frozen=True)
class Job:
    """One image to build: where its sources are and how they are compiled.

    sets: the kernel set and its bases; a kernel is the first's that implements it. machine: the core's options; flags: those and all that
    every source is compiled with; last: those behind all others.
    """

    root: Path  # the folder that holds armsrc/
    toolchain: Toolchain
    sets: tuple[KernelFolder, ...]
    generated: Mapping[str, str]
    cpu: str
    script: str
    floating: bool
    opt: str
    machine: tuple[str, ...]
    flags: tuple[str, ...]
    last: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """The ABI's functions that there must be."""
        return tuple(f"{kind}_{'f32' if self.floating else 's8'}" for kind in KINDS)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The ABI's functions that there may be."""
        return self.needed if self.floating else (*self.needed, *(f"{kind}_s8" for kind in FUSED))

    def functions(self, folder: KernelFolder) -> dict[str, str]:
        """The ABI's name -> the set's own, of kernels that are called otherwise."""
        return {f"{kind}_s8": function for kind, function in folder.functions.items() if function != f"{kind}_s8" and not self.floating}


def of_firmware(job: Job, files: Files) -> list[Source]:
    """What every image begins with."""
    runtime = sorted(entry.name for entry in (job.root / RUNTIME).iterdir() if entry.suffix in SOURCES)
    return [*(_source(job, files, f"{FIRMWARE}/{name}", (ABI, FIRMWARE, GENERATED)) for name in FIRMWARE_SOURCES[job.script]),
            *(_source(job, files, f"{RUNTIME}/{name}", ()) for name in runtime)]


def of_set(job: Job, files: Files, number: int, taken: Iterable[str]) -> list[Source]:
    """The sources of job.sets[number], in which kernels that sets before it implement have another name. A base's includes are seen, too."""
    folder, include = job.sets[number], searched(job.sets[number:])
    renamed = tuple(f"-D{kernel}={kernel}_of_{re.sub(r'[^A-Za-z0-9_]', '_', folder.name)}" for kernel in taken)
    built_in = BUILT_IN if folder.outside else ()
    return [_source(job, files, name, include, (*(built_in if name.endswith(COMPILED) else ()), *folder.flags, *renamed)) for name in folder.sources]


def searched(chain: Sequence[KernelFolder]) -> tuple[str, ...]:
    """Folders in which the sources of a set, the first, look for what they include."""
    return (ABI, chain[0].folder, *chain[0].include, *(base.folder for base in chain[1:]))


def of_network(job: Job, files: Files) -> list[Source]:
    """What was generated."""
    return [_source(job, files, f"{GENERATED}/{name}", (ABI, job.sets[0].folder, FIRMWARE, GENERATED))
            for name in sorted(job.generated) if name.endswith(SOURCES)]


class Files:
    """Sources and headers by name, each read once."""

    def __init__(self, root: Path, generated: Mapping[str, str]) -> None:
        self._root = root
        self._asked: dict[str, list[str]] = {}
        self._read: dict[str, bytes | None] = {f"{GENERATED}/{name}": text.encode() for name, text in generated.items()}

    def get(self, name: str) -> bytes | None:
        """The content of the file of that name, or None when there is none."""
        if name not in self._read:
            path = self._root / name
            try:
                self._read[name] = path.read_bytes() if path.is_file() else None
            except OSError as error:
                raise InputError(f"{path}: {error.strerror}") from None
        return self._read[name]

    def included(self, name: str, folders: Sequence[str]) -> dict[str, bytes]:
        """Everything that the source `name` may include, however deep, by its name: conditions are not looked at."""
        found: dict[str, bytes] = {}
        waiting = [name]
        while waiting:
            includer = waiting.pop()
            for asked in self._asks(includer):
                places = (posixpath.normpath(posixpath.join(folder, asked)) for folder in (posixpath.dirname(includer), *folders))
                place = next((place for place in places if place == name or place in found or self.get(place) is not None), None)
                if place is not None and place != name and place not in found:
                    found[place] = self.get(place) or b""
                    waiting.append(place)
        return dict(sorted(found.items()))

    def _asks(self, name: str) -> list[str]:
        """What that file includes, as it says it."""
        if name not in self._asked:
            self._asked[name] = named(self.get(name) or b"")
        return self._asked[name]


def _source(job: Job, files: Files, name: str, include: tuple[str, ...], own: tuple[str, ...] = ()) -> Source:
    family = job.toolchain.family
    headers = family.headers if name.endswith(COMPILED) else ()
    flags = (*job.flags, *_language(name), *headers, *SPECIAL_FLAGS.get(name, ()),
             *(family.own_memcpy if name == OWN_MEMCPY else ()), *own, *job.last)
    parts = [SCHEMA, job.toolchain.identity, *job.toolchain.flags, *flags, *include, name]
    made_with = key(parts)[:32]
    read = files.included(name, (*include, *headers[1:])) | {other: files.get(other) or b"" for other in learned(made_with)}
    contents = (part for pair in sorted(read.items()) for part in pair)
    return Source(name, include, flags, key([*parts, files.get(name) or b"", *contents]), (name, *read), made_with)


def _language(name: str) -> tuple[str, ...]:
    return () if name.endswith(ASSEMBLY) else CPP_FLAGS if name.endswith(CPP) else C_FLAGS
