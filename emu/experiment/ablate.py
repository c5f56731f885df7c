"""What each rule of an in-order core's table is worth on a run: its cycles without the rule."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from emu.errors import UsageError
from emu.isa.instruction import Instruction
from emu.probe import Counts
from emu.timing import core as cores
from emu.timing import pricing
from emu.timing.core import Core
from emu.timing.memory import Memory

Change = Callable[[dict], object]

# Figures of other sections than [rules] that can be taken away: name -> (section and row whose source it has, what is done to the table).
_FIGURES: dict[str, tuple[str, str, Change]] = {
    "fetch": ("fetch", "words", lambda table: table["fetch"]["words"].update(value=0)),
    "fetch_ahead": ("fetch", "ahead", lambda table: table["fetch"]["ahead"].update(value=0)),
    "speculation": ("fetch", "speculation", lambda table: table["fetch"]["speculation"].update(value=0)),
    "refill": ("branch", "refill", lambda table: [figure.update(cycles=0) for figure in table["branch"].values()]),
    **{row: ("branch", row, lambda table, row=row: table["branch"].update({row: table["branch"]["refill"]}))
       for row in ("refill_execute", "refill_table", "refill_loaded")},
}


@dataclass(frozen=True)
class Without:
    """The run without one rule. does: what the table says the rule does, and where that is from."""

    rule: str
    cycles: int
    does: str


@dataclass(frozen=True)
class Ablation:
    """`cycles` with all rules; `without`: with one less, by what it is worth."""

    core: str
    memory: str
    program: str
    cycles: int
    without: tuple[Without, ...]


def ablate(program: str, counts: Counts, instructions: Mapping[int, Instruction], core: Core, memory: Memory) -> Ablation:
    """Price the run with the core's table, and again without each of its rules.

    UsageError for a core whose table has none: dual issue is described as a whole.
    """
    table = tomllib.loads((cores.CORES / f"{core.name}.toml").read_text())
    if "rules" not in table:
        raise UsageError(f"the table of {core.name} describes dual issue, not rules that could be taken away one by one")

    def price(changed: Core) -> int:
        return int(pricing.price(counts, instructions, changed, memory).sum())

    found = []
    for rule, (source, change) in _changes(table).items():
        other = copy.deepcopy(table)
        change(other)
        found.append(Without(rule, price(cores.from_table(other)), source))
    total = price(core)
    return Ablation(core.name, memory.name, program, total, tuple(sorted(found, key=lambda row: -abs(row.cycles - total))))


def _changes(table: Mapping) -> dict[str, tuple[str, Change]]:
    """Rule -> (its source, what takes it away), of the rules that the table has."""
    changes = {rule: (row["source"], lambda other, rule=rule: other["rules"].pop(rule)) for rule, row in table["rules"].items()}
    for name, (section, row, change) in _FIGURES.items():
        figure = table[section].get(row, {})
        if figure.get("value", figure.get("cycles")):
            changes[name] = (figure["source"], change)
    return changes
