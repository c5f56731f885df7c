"""Whose each kernel is, where a set leaves some to its base: the first set's of the chain that defines it.

That is read from the symbols of the set's objects, which are compiled for it; what was read is kept in the cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from armsrc import abi
from emu.build.cache import cache_dir, key, write_atomically
from emu.build.kernel_folder import FILE, KernelFolder
from emu.build.objects import LOCAL, WEAK, contents, defined
from emu.build.sources import SCHEMA, Files, Job, Source, of_set
from emu.build.translate import compile_all, object_of
from emu.errors import BuildError
from emu.names import nearest


@dataclass(frozen=True)
class Owned:
    """kernels: the ABI's name -> the set that implements it. sources: of all sets, in the order of their link; linked: objects and archives of all.

    renamed: the ABI's name -> the function that it is another name of.
    """

    kernels: Mapping[str, KernelFolder]
    sources: tuple[Source, ...]
    linked: tuple[str, ...]
    renamed: Mapping[str, str]


def find_owners(job: Job, files: Files) -> Owned:
    """Compiles what has a base, if need be. Raises BuildError for sources that do not compile, and for a set that is not right."""
    kernels: dict[str, KernelFolder] = {}
    sources: list[Source] = []  # a base's come first, so that its kernels stay where they are when those of the set change
    for number, folder in enumerate(job.sets):
        own = of_set(job, files, number, kernels)
        implemented = _implemented(job, folder, own) if number + 1 < len(job.sets) else job.kernels
        kernels |= {kernel: folder for kernel in implemented if kernel not in kernels}
        sources[:0] = own
    renamed = {kernel: function for folder in job.sets for kernel, function in job.functions(folder).items() if kernels[kernel] is folder}
    return Owned(kernels, tuple(sources), tuple(name for folder in job.sets for name in folder.linked), renamed)


def _implemented(job: Job, folder: KernelFolder, sources: Sequence[Source]) -> list[str]:
    """The kernels that a set with a base defines."""
    given = [part for name in folder.linked for part in (name, contents(job.root / name))]
    named = [part for pair in folder.functions.items() for part in pair]
    digest = key([SCHEMA, *job.kernels, "functions", *named, "sources", *(source.key for source in sources), "linked", *given])
    kept = cache_dir() / "kernels" / f"{digest[:32]}.json"
    try:
        return json.loads(kept.read_bytes())
    except (OSError, ValueError):
        pass
    functions = {kernel: job.functions(folder).get(kernel, kernel) for kernel in job.kernels}
    found = _defined(job, folder, sources, set(functions.values()))
    implemented = [kernel for kernel, function in functions.items() if function in found]
    _check(job, folder, found, functions, implemented)
    write_atomically(kept, json.dumps(implemented).encode())
    return implemented


def _defined(job: Job, folder: KernelFolder, sources: Sequence[Source], kernels: Collection[str]) -> dict[str, bool]:
    """Every symbol that the set's objects and archives define for others: whether it is weak. BuildError for a kernel that is there for its own
    file alone, and for a symbol that is defined twice; of an archive's that is only wrong of kernels, since a linker takes from it what it still lacks."""
    compile_all(job, sources)
    places = [(source.name, object_of(source)) for source in sources] + [(name, job.root / name) for name in folder.linked]
    found: dict[str, bool] = {}
    first: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for name, path in places:
        for symbol, binding in defined(path, name):
            if binding == LOCAL:
                hidden[symbol] = name
                continue
            found[symbol] = found.get(symbol, True) and binding == WEAK
            if binding == WEAK or name.endswith(".a") and symbol not in kernels:
                continue
            if symbol in first:
                raise BuildError(f"kernel set {folder}: {symbol} is defined twice, in {first[symbol]} and in {name}{' itself' * (first[symbol] == name)}")
            first[symbol] = name
    if own := next((kernel for kernel in sorted(kernels) if kernel in hidden and kernel not in found), None):
        raise BuildError(f"kernel set {folder}: {own} in {hidden[own]} is local to its file: .global is wanted, in C no static")
    return found


def _check(job: Job, folder: KernelFolder, found: Mapping[str, bool], functions: Mapping[str, str], implemented: Sequence[str]) -> None:
    """BuildError for functions that kernels.toml names and nobody defines, kernels that could be replaced, and a set without any."""
    for kernel, function in job.functions(folder).items():
        where = f"{folder.folder}/{FILE}: {kernel.removesuffix('_s8')} = {function!r}"
        if function not in found:
            raise BuildError(f"{where}, but no source or object defines it{_hint(function, found)}")
        if kernel in found:
            raise BuildError(f"{where}, but {kernel} is defined, too")
    if weak := [functions[kernel] for kernel in implemented if found[functions[kernel]]]:
        raise BuildError(f"kernel set {folder}: {weak[0]} is weak, so another definition of it could run in its place")
    if not implemented:
        raise BuildError(f"kernel set {folder} has no kernel: it defines none of {', '.join(functions.values())}{_instead(job, functions, found)}")


def _hint(function: str, found: Mapping[str, bool]) -> str:
    """What may have been meant by a function that is not there."""
    near = nearest(function, found, 0.8)
    return _mangled(function, found) or (f" (did you mean {near}?)" if near else "")


def _instead(job: Job, functions: Mapping[str, str], found: Mapping[str, bool]) -> str:
    """What a set without a kernel defines that looks like one."""
    if hint := next((hint for function in functions.values() if (hint := _mangled(function, found))), ""):
        return hint
    if other := next((kernel for kernel in abi.KERNELS if kernel in found), None):
        return f" (it defines {other}, and the kernels of this run are {'float' if job.floating else 'int8'})"
    alike = ((symbol, near) for symbol in found if (near := nearest(symbol, functions.values(), 0.8)))
    return next((f" (it defines {symbol}; {near} is wanted)" for symbol, near in alike), "")


def _mangled(function: str, found: Mapping[str, bool]) -> str:
    name = next((symbol for symbol in found if symbol.startswith("_Z") and f"{len(function)}{function}" in symbol), None)
    return f' (there is {name}: in C++ it needs extern "C")' if name else ""
