"""The `[dual_issue]` section of a core's table: what may issue together, when registers are read, and when results are there.

It has these parts; every row names its source:

    settings  row -> value; SETTINGS says what each is
    units     unit -> count: what the two instructions of a cycle share
    ports     port -> stage: how many cycles behind its issue an instruction reads a register there; `ahead`: cycles that it may issue
              before the register is there, when it runs that much later
    results   result -> ready: how many cycles behind its issue a value can be read; PORT = cycles names the cycles from issue to
              issue where that difference does not tell them
    forms     form (roles.FORMS) -> how it issues:
              older, younger    units that it takes in that slot; without `younger` it issues only as the older one
              alone             true: with nothing beside it
              ROLE = port       where it reads the registers of that role, if not at the port of that name; `condition` of the role flags
              result            what its registers become; `flags` of the flags ("flags" where it does not say)
              early, slots      its result is "early" if all that it reads is there at the port `early` and it issues in one of the slots
              cycles            that it holds its slot, where its kind's do not say
              flag_cycles       the same when it sets the flags
              behind            form -> cycles it waits behind an instruction of that form; `younger_behind`: as the younger one
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from emu.timing.roles import FORMS, ROLES

SETTINGS: dict[str, type] = {
    "narrow_only": bool,  # only 16-bit instructions issue together
    "line": int,  # bytes that are fetched at a time; a line a cycle
    "lines": int,  # lines that wait to be issued
    "lead": int,  # cycles by which fetch is ahead of issue behind a taken branch
    "words": int,  # registers that a multiple moves a cycle
    "bank": int,  # bytes of a bank of data memory, of two; two loads from one bank do not issue together; 0: loads never do
    "store_to_load": int,  # cycles from a store's issue to that of a load near it, off the same base
    "near": int,  # bytes within which they are near; 0: none is
    "unknown_bank": bool,  # two loads whose banks the code does not tell issue together
    "taken_behind_flags": bool,  # a taken branch issues together with the instruction ahead that sets its flags
    "across": bool,  # a taken branch that is the older one issues together with its target, when that was fetched
    "skipped_as_nop": bool,  # an instruction that its IT block skips issues as a NOP
}
PARTS = ("settings", "units", "ports", "results", "forms")
_FORM_KEYS = {"older", "younger", "alone", "result", "flags", "early", "slots", "cycles", "flag_cycles", "behind", "younger_behind",
              "source", *(role for role in ROLES if role != "flags"), "condition"}


class Form(NamedTuple):
    """A row of `forms`: ports and results by number. slots: in which it can go early (0 the older one, 1 the younger one)."""

    alone: bool
    younger: bool
    ports: dict[str, int]  # role -> port
    result: int
    flags: int
    early: int  # a port, or -1
    slots: tuple[int, ...]
    cycles: int
    flag_cycles: int
    behind: tuple[tuple[int, int], ...]  # (form, cycles)
    younger_behind: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class DualIssue:
    """The section, its names turned into numbers. latency: result -> port -> cycles from issue to issue."""

    settings: dict[str, int]
    forms: dict[str, int]  # name -> number
    rows: tuple[Form, ...]
    latency: tuple[tuple[int, ...], ...]
    ahead: tuple[int, ...]  # port -> cycles
    early: int  # the result of that name
    base: int  # the result "base": a base register that was written back
    apart: tuple[tuple[str, ...], ...]  # older form -> younger form -> what keeps them apart, among explain.REASONS; "": nothing does
    early_free: tuple[tuple[bool, ...], ...]  # older form -> younger form -> the younger one may go early
    loaded: frozenset[int]  # results of loads
    address: int  # the port of that name
    known: dict[tuple, object] = field(default_factory=dict)  # what the scoreboard asks of an instruction, by instruction


def parse(section: Mapping) -> DualIssue:
    """Of the parsed section. ValueError for a part, a row, a key or a name that is missing or unknown, or a row without its source."""
    _keys("part of [dual_issue]", section, PARTS, PARTS)
    for part in PARTS:
        for row, keys in section[part].items():
            if not isinstance(keys, Mapping) or len(str(keys.get("source", ""))) < 3:
                raise ValueError(f"dual_issue.{part}.{row} needs a source")
    settings = {row: _value(f"dual_issue.settings.{row}", keys.get("value"), SETTINGS.get(row, int))
                for row, keys in section["settings"].items()}
    _keys("row in [dual_issue.settings]", settings, SETTINGS, SETTINGS)
    if zero := [row for row in ("line", "lines", "words") if not settings[row]]:
        raise ValueError(f"dual_issue.settings.{zero[0]} must be at least 1, not 0")
    units = {row: _value(f"dual_issue.units.{row}.count", keys.get("count"), int) for row, keys in section["units"].items()}
    for row, keys in section["ports"].items():
        _keys(f"key of dual_issue.ports.{row}", keys, ("stage", "ahead", "source"), ("stage",))
    ports = {row: _value(f"dual_issue.ports.{row}.stage", keys.get("stage"), int) for row, keys in section["ports"].items()}
    _keys("row in [dual_issue.ports]", ports, [*ports, *ROLES], ROLES)
    results = section["results"]
    _keys("row in [dual_issue.results]", results, [*results, "early", "base", "flags"], ("early", "base", "flags"))
    latency = tuple(_latencies(f"dual_issue.results.{row}", keys, ports) for row, keys in results.items())
    _keys("row in [dual_issue.forms]", section["forms"], FORMS, FORMS)
    numbers = {form: number for number, form in enumerate(FORMS)}
    rows = tuple(_form(f"dual_issue.forms.{form}", section["forms"][form], list(ports), list(results), numbers) for form in FORMS)
    taken = [[_units(form, section["forms"][form], slot, units) for slot in ("older", "younger")] for form in FORMS]
    apart = tuple(tuple("not paired: order" if a.alone or b.alone or not b.younger else _apart(taken[i][0] + taken[j][1], units)
                        for j, b in enumerate(rows)) for i, a in enumerate(rows))
    early = tuple(tuple(not _clash(taken[i][0] + taken[j][0], units) for j in range(len(rows))) for i in range(len(rows)))
    ahead = tuple(_value(f"dual_issue.ports.{row}.ahead", keys.get("ahead", 0), int) for row, keys in section["ports"].items())
    loaded = frozenset(rows[numbers[form]].result for form in FORMS if form.removeprefix("fp_").startswith("load"))
    return DualIssue(settings, numbers, rows, latency, ahead, list(results).index("early"), list(results).index("base"), apart, early, loaded,
                     list(ports).index("address"))


def _latencies(where: str, keys: Mapping, ports: Mapping[str, int]) -> tuple[int, ...]:
    _keys(f"key of {where}", keys, ["ready", "source", *ports], ("ready",))
    ready = _value(f"{where}.ready", keys["ready"], int)
    return tuple(_value(f"{where}.{port}", keys.get(port, max(0, ready - stage)), int) for port, stage in ports.items())


def _form(where: str, keys: Mapping, ports: list[str], results: list[str], numbers: Mapping[str, int]) -> Form:
    _keys(f"key of {where}", keys, _FORM_KEYS, ("older",))

    def number(key: str, names: list[str], default: str) -> int:
        name = keys.get(key, default)
        if name not in names:
            raise ValueError(f"{where}.{key}: {name!r} is none of {', '.join(names)}")
        return names.index(name)

    def waits(key: str) -> tuple[tuple[int, int], ...]:
        _keys(f"form of {where}.{key}", keys.get(key, {}), numbers, ())
        return tuple((numbers[form], _value(f"{where}.{key}.{form}", cycles, int)) for form, cycles in keys.get(key, {}).items())

    slots = tuple({"older": 0, "younger": 1}.get(slot, -1) for slot in keys.get("slots", ()))
    if -1 in slots:
        raise ValueError(f"{where}.slots: older and younger are the slots")
    role_ports = {role: number("condition" if role == "flags" else role, ports, role) for role in ROLES}
    return Form(_value(f"{where}.alone", keys.get("alone", False), bool), "younger" in keys, role_ports, number("result", results, "early"),
                number("flags", results, "flags"), number("early", ports, "operand") if "early" in keys else -1, slots,
                _value(f"{where}.cycles", keys.get("cycles", 0), int), _value(f"{where}.flag_cycles", keys.get("flag_cycles", 0), int),
                waits("behind"), waits("younger_behind"))


def _units(form: str, keys: Mapping, slot: str, units: Mapping[str, int]) -> list[str]:
    names = keys.get(slot, [])
    _keys(f"unit of dual_issue.forms.{form}.{slot}", names, units, ())
    return list(names)


def _apart(taken: list[str], units: Mapping[str, int]) -> str:
    clash = _clash(taken, units)
    return f"not paired: {clash}" if clash else ""


def _clash(taken: list[str], units: Mapping[str, int]) -> str:
    """The first unit of which there are too few; "" where there are enough of all."""
    return next((unit for unit in taken if taken.count(unit) > units[unit]), "")


def _value(where: str, value: object, kind: type) -> int:
    if type(value) is not kind or value < 0:
        raise ValueError(f"{where} must be {'true or false' if kind is bool else 'a whole number'}, not {value!r}")
    return value


def _keys(what: str, found: Iterable[str], known: Iterable[str], needed: Iterable[str]) -> None:
    found = set(found)
    if unknown := found - set(known):
        raise ValueError(f"unknown {what}: {', '.join(sorted(unknown))}")
    if missing := set(needed) - found:
        raise ValueError(f"missing {what}: {', '.join(sorted(missing))}")
