"""Folders of tables (cores, memories, boards, sets of points): a TOML file each, found by name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from emu.errors import InputError, UsageError
from emu.names import near

Table = TypeVar("Table")


def names(folder: Path) -> list[str]:
    """Names of the files NAME.toml of a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(folder: Path, kind: str, name: str, parse: Callable[[Mapping[str, Any]], Table], known: Iterable[str] | None = None) -> Table:
    """What `parse` makes of folder/NAME.toml; its ValueError becomes an InputError that names the file.

    kind: what errors call it ("core"). known: the names in the order in which errors list them. UsageError for a name that does not exist.
    """
    known = list(known or names(folder))
    if name not in known:
        raise UsageError(f"no {kind} {name!r}{near(name, known)}: there are {', '.join(known)}")
    path = folder / f"{name}.toml"
    try:
        return parse(tomllib.loads(path.read_text()))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{kind} table {path.name}: {error}") from None
