"""Values of a sweep file: one, a list, or a range; numbers, and pairs of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from emu.names import near

MOST_VALUES = 10_000  # of one key
LARGEST = 2**31 - 1  # what a field of a kernel's struct holds
_PAIR = re.compile(r"(\d+)x(\d+)")
_RANGE = ("from", "to", "step", "times")


class SpecError(ValueError):
    """What is wrong with a sweep file; the message says where in it."""


def known_keys(where: str, table: object, keys: Collection[str]) -> dict[str, Any]:
    """The table, which holds no other keys. SpecError names the first that it may not have, and the nearest that it may."""
    if not isinstance(table, dict):
        raise SpecError(f"{where}: a table was expected, not {table!r}")
    for key in table:
        if key not in keys:
            raise SpecError(f"{where}: unknown key {key!r}{near(key, keys)}; there are {', '.join(keys)}")
    return table


def values(where: str, given: object, one: Callable[[str, object], Any]) -> tuple[Any, ...]:
    """Of a single value, a list, or a range { from, to, step } or { from, to, times }; each as `one(where, value)` reads it."""
    if isinstance(given, dict):
        given = _range(where, known_keys(where, given, _RANGE))
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise SpecError(f"{where} is empty: no point would be left")
    if len(listed) > MOST_VALUES:
        raise SpecError(f"{where} has more than {MOST_VALUES:,} values")
    return tuple(dict.fromkeys(one(where, value) for value in listed))


def _range(where: str, table: dict[str, Any]) -> list[int]:
    """Both ends are in it: from, from + step, ...; from, from * times, ..."""
    if not {"from", "to"} <= table.keys() or {"step", "times"} <= table.keys():
        raise SpecError(f"{where}: a range is {{ from = A, to = B }} with step = N or times = N")
    first, last = number(f"{where}.from", table["from"]), number(f"{where}.to", table["to"])
    step, times = number(f"{where}.step", table.get("step", 1)), number(f"{where}.times", table.get("times", 1))
    if "times" in table and times < 2:
        raise SpecError(f"{where}.times is {times}; at least 2 is wanted")
    found = []
    while first <= last and len(found) <= MOST_VALUES:
        found.append(first)
        first = first * times if "times" in table else first + step
    return found


def number(where: str, value: object) -> int:
    """A whole number of at least 1."""
    return _whole(where, value, 1)


def seed(where: str, value: object) -> int:
    """A whole number of at least 0."""
    return _whole(where, value, 0)


def _whole(where: str, value: object, least: int) -> int:
    if type(value) is not int or value < least:
        raise SpecError(f"{where} is {value!r}; a whole number of at least {least} is wanted")
    if value > LARGEST:
        raise SpecError(f"{where} is {value}; at most {LARGEST:,} is allowed")
    return value


def pair(where: str, value: object) -> tuple[int, int]:
    """(height, width) of "HxW", or of a number, which is both."""
    match = _PAIR.fullmatch(value) if isinstance(value, str) else None
    if match:
        return number(where, int(match[1])), number(where, int(match[2]))
    if type(value) is not int:
        raise SpecError(f"{where} is {value!r}; a number or \"HEIGHTxWIDTH\" is wanted")
    return number(where, value), value


def flag(where: str, value: object) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise SpecError(f"{where} is {value!r}; true or false is wanted")
    return value


def text(where: str, value: object) -> str:
    """Some text."""
    if not isinstance(value, str) or not value:
        raise SpecError(f"{where} is {value!r}; text is wanted")
    return value


def choice(names: Collection[str]) -> Callable[[str, object], str]:
    """One of the names."""

    def one(where: str, value: object) -> str:
        if value not in names:
            raise SpecError(f"{where}: no {value!r}{near(str(value), names)}; there are {', '.join(names)}")
        return str(value)

    return one
