"""A core's timing table: data read from `cores/NAME.toml`, checked when it is loaded."""

from __future__ import annotations

import difflib
import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from emu.errors import UsageError
from emu.isa.instruction import KINDS

CORES = Path(__file__).with_name("cores")

# rule -> the key that says what it is worth
RULES = {"load_pipelining": "saves", "store_behind_load": "saves", "indexed_store": "extra", "load_behind_store": "extra",
         "address_dependency": "extra", "it_folding": "saves", "nop_behind_load": "saves", "fp_result": "extra"}


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
    title: str
    cycles: dict[str, int]  # kind -> cycles
    per_access: dict[str, int]  # kind -> cycles for every access behind the first
    rules: dict[str, int]  # rule -> cycles it saves or adds; 0 where the core does not have it
    fetch_words: int
    fetch_latency: int
    fetch_restart: int
    refill: int
    refill_loaded: int
    divide: Divide
    misaligned: int
    skipped: int


def names() -> list[str]:
    """Names of the cores that have a table."""
    return sorted(path.stem for path in CORES.glob("*.toml"))


@functools.cache
def load(name: str) -> Core:
    """The table of that name; UsageError names the ones that exist."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1)
        raise UsageError(f"no core {name!r}{f' (did you mean {near[0]}?)' if near else ''}: there are tables for {', '.join(names())}")
    table = tomllib.loads((CORES / f"{name}.toml").read_text())
    return from_table(table)


def from_table(table: dict) -> Core:
    """A Core from a parsed table; ValueError names what a table lacks or has too much (used by tests and ablations)."""
    if missing := set(KINDS) - set(table["cycles"]):
        raise ValueError(f"timing table {table['name']}: no cycles for {', '.join(sorted(missing))}")
    if unknown := set(table["rules"]) - set(RULES):
        raise ValueError(f"timing table {table['name']}: unknown rules {', '.join(sorted(unknown))}")
    divide = table["divide"]
    return Core(
        name=table["name"], title=table["title"],
        cycles={kind: row["cycles"] for kind, row in table["cycles"].items()},
        per_access={kind: row.get("per_access", 0) for kind, row in table["cycles"].items()},
        rules={rule: table["rules"].get(rule, {}).get(key, 0) for rule, key in RULES.items()},
        fetch_words=table["fetch"]["words"], fetch_latency=table["fetch"]["latency"], fetch_restart=table["fetch"]["restart"],
        refill=table["branch"]["refill"]["cycles"], refill_loaded=table["branch"]["refill_loaded"]["cycles"],
        divide=Divide(divide["base"], divide["bits_per_cycle"], divide["least"], divide["most"]),
        misaligned=table["misaligned"]["cycles"], skipped=table["skipped"]["cycles"])
