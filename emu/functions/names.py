"""Names of functions as their source has them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from emu.build.elf import Symbol

MANGLED = ("_Z", "_R")  # C++ (Itanium ABI) and Rust
_LONGEST = 4096  # of a name that is worth demangling


@functools.cache
def demangled(name: str) -> str:
    """The name that the source has; what the compiler made of a function (.part.0, .constprop.1) in brackets behind it, as c++filt does."""
    if not name.startswith(MANGLED) or len(name) > _LONGEST:
        return name
    import demangle  # costs 60 ms: only where a program has such names

    stem, dot, clone = name.partition(".")
    try:
        found = demangle.demangle(stem)
    except (demangle.DemanglingError, RecursionError):
        return name
    return f"{found} [clone .{clone}]" if dot and found != stem else found + dot + clone


def unique(symbols: Sequence[Symbol]) -> list[str]:
    """A name for each; where several have the same one (static functions of several files), with the address behind it."""
    names = [demangled(symbol.name) for symbol in symbols]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name}@0x{symbol.address:08x}" for name, symbol in zip(names, symbols, strict=True)]
