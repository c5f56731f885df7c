"""A core as the machine and the compiler see it: the `[cpu]` section of `emu/timing/cores/NAME.toml`, checked when it is read.

Every row is `{ value = ..., source = "..." }`:

    model         Unicorn's model of it, the end of UC_CPU_ARM_CORTEX_...; its nearest where it has none
    cpuid         what CPUID reads, from the core's Technical Reference Manual
    architecture  one of ARCHITECTURES
    fpu           gcc's -mfpu, one of FPUS, or "none"
    unaligned     word and halfword accesses may be
    lacks         names of instruction sets, those of SETS, that it does not have: what Unicorn's model runs of them is refused
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emu import tables
from emu.isa.instruction import Flag

CORES = Path(__file__).parents[1] / "timing" / "cores"
MODELS = ("M0", "M3", "M4", "M7", "M33")
ARCHITECTURES = ("armv6-m", "armv7-m", "armv7e-m", "armv8-m.main")
FPUS = {  # and what each lacks
    "none": Flag.FP | Flag.FPV5 | Flag.FP64, "fpv4-sp-d16": Flag.FPV5 | Flag.FP64, "fpv5-sp-d16": Flag.FP64, "fpv5-d16": Flag(0)}
# Instruction sets that a core can lack, in words.
SETS = {
    Flag.V7M: "the wide instructions, IT, CBZ and divides of Armv7-M",
    Flag.DSP: "the DSP extension (SMLAD, SSUB8, PKHBT and the like)",
    Flag.FP: "an FPU",
    Flag.FPV5: "the instructions of FPv5 (VSEL, VMAXNM, VRINTA and the like)",
    Flag.FP64: "double-precision arithmetic",
    Flag.V8M: "the instructions of Armv8-M (LDA, STL, TT, SG, BXNS and the like)",
}
_ROWS = {"model": str, "cpuid": int, "architecture": str, "fpu": str, "unaligned": bool, "lacks": list}
_CHOICES = {"model": MODELS, "architecture": ARCHITECTURES, "fpu": tuple(FPUS)}


@dataclass(frozen=True)
class Cpu:
    """One core. fpu: None where it has none; lacks: flags of instructions that it does not have; sources: row -> where it is from."""

    name: str
    model: str
    cpuid: int
    architecture: str
    fpu: str | None
    unaligned: bool
    lacks: Flag
    sources: Mapping[str, str]

    def lacked(self, flags: int) -> str:
        """In words, what this core does not have of instructions with these flags; "" when nothing is missing."""
        return " and ".join(words for flag, words in SETS.items() if flag & flags & self.lacks)


def names() -> list[str]:
    """Names of the cores that have a table, from the smallest."""
    return sorted((path.stem for path in CORES.glob("*.toml")), key=lambda name: (len(name.rstrip("plus")), name))


def that_have(flags: int) -> list[str]:
    """Names of the cores that have all instructions with these flags."""
    return [name for name in names() if not find(name).lacked(flags)]


@functools.cache
def find(name: str) -> Cpu:
    """The core of that name. UsageError names the ones that exist; InputError says what is wrong with its table."""
    return tables.load(CORES, "core", name, from_table, names())


def from_table(table: Mapping[str, object]) -> Cpu:
    """A Cpu from a parsed table. ValueError for a row that is missing, unknown, without its source, or of a value that means nothing."""
    rows = table.get("cpu")
    if not isinstance(rows, dict) or not isinstance(table.get("name"), str):
        raise ValueError("`name` and a section [cpu] are wanted")  # noqa: TRY004, as of every wrong table
    if odd := rows.keys() ^ _ROWS.keys():
        raise ValueError(f"[cpu]: {'unknown' if odd & rows.keys() else 'missing'} row: {', '.join(sorted(odd))}")
    values = {row: _value(row, rows[row]) for row in _ROWS}
    lacks = Flag(0)
    for name in values.pop("lacks"):
        lacks |= _set_named(name)
    if lacks & FPUS["none"] != (wanted := FPUS[values["fpu"]]):
        raise ValueError(f"cpu.lacks: fpu {values['fpu']!r} lacks {_listed(wanted)}, but {_listed(lacks & FPUS['none'])} is named")
    if values["fpu"] == "none":
        values["fpu"] = None
    return Cpu(table["name"], **values, lacks=lacks, sources={row: rows[row]["source"] for row in _ROWS})


def _value(row: str, found: object) -> object:
    if not isinstance(found, dict) or found.keys() != {"value", "source"} or not isinstance(found["source"], str):
        raise ValueError(f"cpu.{row}: {{ value, source }} is wanted, not {found!r}")
    value = found["value"]
    if type(value) is not _ROWS[row]:
        raise ValueError(f"cpu.{row} must be of type {_ROWS[row].__name__}, not {value!r}")
    if value not in _CHOICES.get(row, (value,)):
        raise ValueError(f"cpu.{row} must be one of {', '.join(_CHOICES[row])}, not {value!r}")
    return value


def _listed(flags: Flag) -> str:
    return ", ".join(flag.name for flag in SETS if flag & flags) or "none of them"


def _set_named(name: object) -> Flag:
    if not isinstance(name, str) or Flag.__members__.get(name) not in SETS:
        raise ValueError(f"cpu.lacks: no instruction set {name!r}; there are {', '.join(flag.name for flag in SETS)}")
    return Flag[name]
