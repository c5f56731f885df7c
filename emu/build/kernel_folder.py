"""Kernel sets: the folders of armsrc/kernels, by name, and anybody's folders, by path, built as their kernels.toml says.

    sources = ["*.c", "lib/libnn.a"]     # all of these may be left out; sources are then what lies in the folder itself
    include = ["include"]                # folders
    flags = ["-O2", "-DUNROLL=4"]        # behind those of every build; of this folder's sources alone
    compiler = "clang"                   # where no --cc is given
    base = "thumb2"                      # the set that implements what this folder does not; c when left out

    [kernels]                            # layer kind = the function that implements it, where it has not the ABI's name
    dense = "fast_dense"
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from armsrc import abi
from emu.build import toolchain as toolchains
from emu.build.cache import REPOSITORY
from emu.build.flags import obstacle, shown
from emu.build.toolchain import Toolchain
from emu.errors import InputError, UsageError
from emu.names import check as check_name
from emu.names import near

FILE = "kernels.toml"
FOLDER = "armsrc/kernels"
KINDS = ("conv2d", "depthwise_conv2d", "pointwise_conv2d", "dense", "max_pool2d", "global_avg_pool2d")  # that every image has
FUSED = tuple(kernel.removesuffix("_s8") for kernel in abi.FUSED)  # that a set may have, int8 alone
BASE, FLOAT_BASE = "c", "float"  # of folders that name none, and for float kernels of all
ASSEMBLY, CPP, LINKED = (".S", ".s"), (".cc", ".cpp", ".cxx"), (".o", ".a")
COMPILED = (".c", *CPP)
SOURCES = (*COMPILED, *ASSEMBLY)
FLAGS = ("-O", "-std=", "-Wno-", "-w")  # beside those that make code
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class KernelFolder:
    """A kernel set. Files and folders are names relative to the folder that holds armsrc/, or absolute paths.

    sources: what is compiled; linked: objects and archives, taken as they are. flags: of the sources alone. compiler: asked for, or None.
    functions: layer kind -> the function that implements it, where it has not the ABI's name.
    base: the set that implements what this one does not; None of a set that must be whole. outside: somebody's, not this project's.
    """

    name: str
    folder: str
    sources: tuple[str, ...]
    linked: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    compiler: str | None = None
    functions: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    outside: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.folder})" if self.outside else self.name

    @property
    def holds_c(self) -> bool:
        """Whether its own kernels are more than assembly and objects, so that their counts depend on the compiler."""
        return any(source.endswith(COMPILED) for source in self.sources)

    def toolchain(self, cc: str | None) -> Toolchain:
        """The compiler `cc`, else the one that its kernels.toml names, else the usual one. BuildError."""
        if cc or not self.compiler:
            return toolchains.find(cc)
        return replace(toolchains.find(self.compiler, f"{self.folder}/{FILE}: compiler"), origin=f"{self.folder}/{FILE}")


def names(root: Path | None = None) -> list[str]:
    """The sets that have a name: the folders of armsrc/kernels. root: the folder that holds armsrc/, this repository by default."""
    folder = (root or REPOSITORY) / FOLDER
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))


def find(kernels: str, root: Path | None = None) -> KernelFolder:
    """The set of that name, else the folder at that path. UsageError when there is neither, InputError for a folder that cannot be used."""
    if kernels in names(root):
        return _read((root or REPOSITORY) / FOLDER / kernels, f"{FOLDER}/{kernels}", names(root))
    folder = _folder(kernels, Path()).resolve()
    return _read(folder, str(folder), names(root))


def chain(kernels: str, floating: bool, root: Path | None = None) -> tuple[KernelFolder, ...]:
    """The set, its base, the base's own, ...: each implements what those before it do not. Raises what `find` does."""
    found = [find(kernels, root)]
    while base := found[-1].base:
        following = find(FLOAT_BASE if floating else base, root)
        if following in found:
            raise InputError(f"{following.folder}/{FILE}: the sets {' and '.join(folder.name for folder in found)} are each other's base")
        found.append(following)
    return tuple(found)


def beside(kernels: str, folder: Path) -> str:
    """`kernels` as a file in `folder` names it: a set's name, or a path relative to that folder, made absolute. UsageError as `find`."""
    return kernels if kernels in names() else str(_folder(kernels, folder))


def _folder(kernels: str, base: Path) -> Path:
    path = (base / os.path.expanduser(kernels)).absolute()
    if not kernels or not path.is_dir():
        if kernels and (os.sep in kernels or path.exists()):
            raise UsageError(f"no kernel set {kernels!r}: {'that is no folder' if path.exists() else 'there is no such folder'}")
        check_name("kernel set", kernels, names(), f"and no folder {kernels} here" if kernels else "")
    if not str(path).isprintable():
        raise InputError(f"{str(path)!r}: a folder of kernels needs a name that can be printed")
    return path


def _read(path: Path, folder: str, known: Sequence[str]) -> KernelFolder:
    """What lies in a folder, as its kernels.toml says when it has one. folder: what the set calls it. known: sets that may be a base."""
    outside, file = os.path.isabs(folder), _File(path / FILE)
    try:
        found = _found(path, folder, file)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    if not found:
        raise InputError(f"{folder}: no sources in it: {', '.join((*SOURCES, *LINKED))} files are wanted, or {FILE} with sources = [...]")
    compiler = file.get("compiler", None, _is_text, "a compiler's name or path")
    if compiler and os.sep in compiler:
        compiler = str(path / os.path.expanduser(compiler))
    base = file.get("base", BASE if outside else None, _is_text, "a kernel set's name")
    if base == FLOAT_BASE:
        raise file.error("base", f"base: {base} has no int8 kernels; float kernels have {base} as their base in any case")
    if base and base not in known:
        raise file.error("base", f"base: no kernel set is called {base!r}{near(base, known)}; there are {', '.join(known)}")
    return KernelFolder(path.name or "kernels", folder, tuple(name for name in found if name.endswith(SOURCES)),
                        tuple(name for name in found if name.endswith(LINKED)), _folders(path, folder, file), _flags(file), compiler,
                        _functions(file), base, outside)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


class _File:
    """kernels.toml, or an empty one where there is none. Every error is InputError with the line of the key."""

    def __init__(self, path: Path) -> None:
        self.path, self._text = path, ""
        self._table: Mapping[str, Any] = {}
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: no file")
        if path.exists():
            try:
                self._text = path.read_text(encoding="utf-8")
                self._table = tomllib.loads(self._text)
            except (OSError, ValueError, RecursionError) as error:
                raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        self.known("key", self._table, ("sources", "include", "flags", "compiler", "base", "kernels"))

    def known(self, what: str, found: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in found:
            if key not in known:
                raise self.error(key, f"no {what} is called {key!r}{near(key, known)}; there are {', '.join(known)}")

    def error(self, key: str, message: str) -> InputError:
        heads = (number for number, line in enumerate(self._text.splitlines(), 1)
                 if re.match(rf'\s*\[*\s*"?{re.escape(key)}"?\s*[\]=.]', line))
        return InputError(f"{self.path}:{next(heads, 1)}: {message}")

    def get(self, key: str, usual: Any, right: Callable[[Any], object], wanted: str) -> Any:
        """The key's value, `usual` where there is none; InputError where it is not right."""
        value = self._table.get(key, usual)
        if key in self._table and not right(value):
            raise self.error(key, f"{key} must be {wanted}, not {value!r}")
        return value

    def texts(self, key: str, wanted: str) -> list[str] | None:
        """A list of names, or None where there is none."""
        return self.get(key, None, lambda value: isinstance(value, list) and all(map(_is_text, value)),
                        f"a list of {wanted}")


def _found(path: Path, folder: str, file: _File) -> list[str]:
    """What is compiled and linked, each once, in the order of the patterns; what is not in the folder by its absolute path."""
    patterns = file.texts("sources", "files, as sources = [\"*.c\"]")
    if patterns is None:
        return sorted(f"{folder}/{entry.name}" for entry in path.iterdir() if entry.suffix in (*SOURCES, *LINKED) and entry.is_file())
    found: dict[str, None] = {}
    seen: set[Path] = set()  # a link to its own folder leads to everything again
    for pattern in patterns:
        matches = _matches(path, pattern)
        if not matches:
            raise file.error("sources", f"sources: there is no file {pattern!r} in {folder}")
        for match in matches:
            if match.resolve() in seen:
                continue
            seen.add(match.resolve())
            if match.suffix not in (*SOURCES, *LINKED):
                raise file.error("sources", f"sources: {match.name} is none of {', '.join((*SOURCES, *LINKED))}")
            found[os.path.normpath(match).replace(str(path), folder, 1)] = None
    return list(found)


def _matches(folder: Path, pattern: str) -> list[Path]:
    import glob

    return [Path(path) for path in sorted(glob.glob(os.path.join(folder, os.path.expanduser(pattern)), recursive=True)) if os.path.isfile(path)]


def _folders(path: Path, folder: str, file: _File) -> tuple[str, ...]:
    found = []
    for name in file.texts("include", "folders") or ():
        place = os.path.normpath(path / os.path.expanduser(name))
        if not os.path.isdir(place):
            raise file.error("include", f"include: there is no folder {name!r} in {folder}")
        found.append(place.replace(str(path), folder, 1))
    return tuple(found)


def _flags(file: _File) -> tuple[str, ...]:
    flags = file.texts("flags", "options of the compiler's") or ()
    for flag in flags:
        if flag.startswith("-I"):
            raise file.error("flags", f"flags: {flag}: folders stand in include = [...]")
        if re.search(r"\s-", flag) and not flag.startswith("-D"):
            raise file.error("flags", f"flags: {shown(flag)}: one option a text, as flags = [\"-O2\", \"-funroll-loops\"]")
        if reason := obstacle(flag, FLAGS):
            raise file.error("flags", f"flags: {shown(flag)} cannot be given: {reason}")
    return tuple(flags)


def _functions(file: _File) -> dict[str, str]:
    found = file.get("kernels", {}, lambda value: isinstance(value, dict), "a table [kernels] of layer kinds and functions")
    file.known("layer kind", found, (*KINDS, *FUSED))
    for kind, function in found.items():
        if not isinstance(function, str) or not _FUNCTION.fullmatch(function):
            raise file.error(kind, f"{kind} must be the name of a function, not {function!r}")
    return dict(found)
