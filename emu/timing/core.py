"""A core's timing table: data read from `cores/NAME.toml`, checked when it is loaded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from emu import tables
from emu.isa.instruction import KINDS
from emu.timing import dual_table, predictor

CORES = Path(__file__).with_name("cores")

# section -> row -> keys that it may have beside `source`; every row of a section must be there, but those of OPTIONAL_ROWS may be left out
RULES = {"load_pipelining": "saves", "writeback_pipelining": "saves", "store_behind_load": "saves", "nop_behind_load": "saves",
         "memory_change": "saves", "indexed_store": "extra", "load_behind_store": "extra", "load_behind_writeback": "extra",
         "address_dependency": "extra",
         "room_behind_access": "extra", "it_folding": "saves", "fp_result": "extra"}
_CYCLES, _VALUE = frozenset({"cycles"}), frozenset({"value"})
SECTIONS: dict[str, dict[str, frozenset[str]]] = {
    "cycles": dict.fromkeys(KINDS, _CYCLES | {"per_access"}),
    "fetch": dict.fromkeys(("words", "latency", "ahead", "speculation"), _VALUE),
    "branch": dict.fromkeys(("refill", "refill_execute", "refill_table", "refill_loaded"), _CYCLES),
    "divide": dict.fromkeys(("base", "bits_per_cycle", "least", "most"), _VALUE),
    "issue": dict.fromkeys(("misaligned", "skipped"), _CYCLES),
    "exception": dict.fromkeys(("entry", "return", "tail_chain"), _CYCLES),
    "rules": {rule: frozenset({key}) for rule, key in RULES.items()},
}
OPTIONAL = {"per_access"}
OPTIONAL_ROWS = {"rules": set(RULES), "branch": {"refill_execute", "refill_table"}}  # a rule is 0 then, and these are `refill`
# Sections that a table may have: name -> what makes of it the value that `Core.sections` holds (ValueError when it is wrong);
# None: not for pricing.
PARSERS: dict[str, Callable[[Mapping], object] | None] = {"cpu": None, "dual_issue": dual_table.parse, "predictor": predictor.parse}
SINGLE_ISSUE = ("fetch", "rules")  # sections that a table with [dual_issue] does without


@dataclass(frozen=True)
class Divide:
    """Cycles of a divide: base + bits of the quotient / bits_per_cycle, rounded up, within least .. most."""

    base: int
    bits_per_cycle: int
    least: int
    most: int

    def cycles(self, quotient_bits: int) -> int:
        """Cycles for a quotient of that many bits (0: the quotient is 0)."""
        if not quotient_bits:
            return self.least
        return max(self.least, min(self.most, self.base + -(-quotient_bits // self.bits_per_cycle)))


@dataclass(frozen=True)
class Core:
    """One core's table. Cycles are at zero wait states."""

    name: str
    cycles: dict[str, int]  # kind -> cycles
    per_access: dict[str, int]  # kind -> cycles for every access behind the first
    rules: dict[str, int]  # rule -> cycles it saves or adds; 0 where the core does not have it
    branch: dict[str, int]  # kind of refill -> cycles that a taken branch costs beyond its own
    fetch_words: int  # 0: fetch never makes the core wait
    fetch_latency: int
    fetch_ahead: int  # cycles before an instruction's issue in which decode lets its place go
    fetch_speculation: int  # requests that a conditional branch which is not taken displaces
    divide: Divide
    misaligned: int
    skipped: int
    exception: dict[str, int]  # entry, return, tail_chain -> cycles
    sections: dict[str, object] = field(default_factory=dict)  # by PARSERS; empty for a core that needs none of them
    known: dict[object, object] = field(default_factory=dict, compare=False, repr=False)  # what `pipeline` found of instructions

    @property
    def refill(self) -> int:
        """Cycles of a taken branch beyond its own, when its target was known in decode."""
        return self.branch["refill"]

    @property
    def refill_loaded(self) -> int:
        """The same of a load into PC."""
        return self.branch["refill_loaded"]


def names() -> list[str]:
    """Names of the cores that have a table."""
    return tables.names(CORES)


@functools.cache
def load(name: str) -> Core:
    """The table of that name; UsageError names the ones that exist."""
    return tables.load(CORES, "core", name, from_table)


def from_table(table: dict) -> Core:
    """A Core from a parsed table. ValueError for a section, a row or a key that is missing or unknown, or a row without its source."""
    _check(table)
    if "dual_issue" in table:
        table = table | {"fetch": {row: {"value": 0} for row in SECTIONS["fetch"]}, "rules": {}}
    values = {section: {row: next(iter({k: v for k, v in keys.items() if k not in ("source", *OPTIONAL)}.values()))
                        for row, keys in table[section].items()} for section in SECTIONS}
    fetch, issue = values["fetch"], values["issue"]
    return Core(
        name=table["name"], cycles=values["cycles"], per_access={kind: row.get("per_access", 0) for kind, row in table["cycles"].items()},
        rules=dict.fromkeys(RULES, 0) | values["rules"],
        branch=dict.fromkeys(SECTIONS["branch"], values["branch"]["refill"]) | values["branch"],
        fetch_words=fetch["words"], fetch_latency=fetch["latency"], fetch_ahead=fetch["ahead"], fetch_speculation=fetch["speculation"],
        divide=Divide(**values["divide"]),
        misaligned=issue["misaligned"], skipped=issue["skipped"], exception=values["exception"],
        sections={section: parse(table[section]) for section, parse in PARSERS.items() if parse and section in table})


def _check(table: dict) -> None:
    sections = {section: rows for section, rows in SECTIONS.items() if "dual_issue" not in table or section not in SINGLE_ISSUE}
    _same("section", table, {"name", *sections, *PARSERS}, set(PARSERS))
    for section, rows in sections.items():
        _same(f"row in [{section}]", table[section], set(rows), OPTIONAL_ROWS.get(section, set()))
        for row, keys in table[section].items():
            _same(f"key of {section}.{row}", keys, rows[row] | {"source"}, OPTIONAL)
            if bad := [key for key, value in keys.items() if key != "source" and (type(value) is not int or value < 0)]:
                raise ValueError(f"{section}.{row}.{bad[0]} must be a whole number, not {keys[bad[0]]!r}")


def _same(what: str, found: object, wanted: AbstractSet[str], optional: AbstractSet[str]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{what}: a table was expected, not {found!r}")  # noqa: TRY004
    if unknown := found.keys() - wanted:
        raise ValueError(f"unknown {what}: {', '.join(sorted(unknown))}")
    if missing := wanted - optional - found.keys():
        raise ValueError(f"missing {what}: {', '.join(sorted(missing))}")
