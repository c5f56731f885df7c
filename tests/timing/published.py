"""Published timings of small sequences, kept as data in probes/NAME.toml, and the cycles that a core's table gives them."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path
from typing import NamedTuple

from emu.isa.instruction import Instruction
from emu.machine import Machine
from emu.timing import pipeline
from emu.timing.core import Core
from emu.timing.pipeline import Step
from tests.emu.target import Assembler, array, function

PROBES = Path(__file__).with_name("probes")


class Probe(NamedTuple):
    """kind: pair, latency or sequence. cycles: of a pair, 0 when it issues together. skipped: numbers of lines that an IT block skips.

    entered: a taken branch led to it. odd: it begins at 2 mod 4. elsewhere: numbers of lines that access another memory. because: rules and
    figures of the table without which it would cost something else.
    """

    name: str
    kind: str
    lines: tuple[str, ...]
    cycles: int
    source: str
    loop: bool = False
    taken: bool = False
    skipped: tuple[int, ...] = ()
    entered: bool = False
    odd: bool = False
    elsewhere: tuple[int, ...] = ()
    because: tuple[str, ...] = ()


def probes(core: str) -> list[Probe]:
    """All that is published of that core, one measurement each."""
    table, found = tomllib.loads((PROBES / f"{core}.toml").read_text()), []
    for row in table.get("pair", ()):
        cycles = int(not row["together"])
        found += [Probe(f"{a} | {b}", "pair", (a, b), cycles, row["source"]) for a, b in product(row["older"], row["younger"])]
    for row in table.get("latency", ()):
        found += [Probe(f"{a} -> {b}", "latency", (a, b), row["cycles"], row["source"]) for a, b in product(row["from"], row["to"])]
    for row in table.get("sequence", ()):
        lines = (*(row["code"] * row.get("times", 1)), *row.get("behind", ()))
        loop = row.get("loop", False)
        name = row.get("name", "; ".join((*row["code"], *row.get("behind", ()))) + (" (loop)" if loop else ""))
        found.append(Probe(name, "sequence", lines, row["cycles"], row["source"], loop, row.get("taken", loop), tuple(row.get("skipped", ())),
                           table.get("entered", loop), row.get("odd", False), tuple(row.get("elsewhere", ())), tuple(row.get("because", ()))))
    return found


def assemble(assembler: Assembler, core: str, wanted: list[Probe]) -> dict[Probe, list[Step]]:
    """The steps of each probe, all assembled in one image; each begins at a multiple of 8, or (odd) two bytes behind one."""
    text = "    .fpu fpv5-d16\n" + "".join(
        function(f"probe{number}", "\n".join([*["nop"] * probe.odd, *probe.lines]))
        .replace(".balign 4", ".balign 8").replace("snippet", f"probe{number}")
        for number, probe in enumerate(wanted)) + array("buffer", 64)
    machine = Machine(assembler.image(text, core), core)
    starts = [machine.image.symbols[f"probe{number}"].address + 2 * probe.odd for number, probe in enumerate(wanted)]
    return {probe: _steps(machine, start, probe) for probe, start in zip(wanted, starts, strict=True)}


def _steps(machine: Machine, at: int, probe: Probe) -> list[Step]:
    steps = []
    for number in range(len(probe.lines)):
        instruction: Instruction = machine.instructions[at]
        skipped = number in probe.skipped
        steps.append(Step(instruction, skipped, int(number not in probe.elsewhere) if instruction.accesses and not skipped else -1))
        at += instruction.size
    return steps


def modelled(probe: Probe, steps: list[Step], core: Core) -> int:
    """Cycles that the table gives a probe: of the whole sequence; from the first instruction's issue to the second's; of a pair, 0 when the
    second one costs nothing more, else 1."""
    issues = pipeline.schedule(steps, probe.taken, core, entered=probe.entered)
    if probe.kind == "pair":
        return int(sum(issues) > pipeline.cycles(steps[:1], False, core, entered=False))
    return sum(issues) if probe.kind == "sequence" else sum(issues[:-1])
