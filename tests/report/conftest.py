"""Programs that are run once, in this process, with every form of theirs written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from emu.run.__main__ import main
from tests.firmware.conftest import builder

__all__ = ["builder"]

FIGURES = ("cycles", "instructions", "bytes_read", "bytes_written")
FORMS = ("json", "csv", "parquet", "markdown", "callgrind", "speedscope", "trace")
# Recursion of one and of two functions, calls by pointer and from several places, a tail call, and an interrupt every thousand cycles.
CALLS = """#include "firmware.h"
#define NOINLINE __attribute__((noinline, noclone, noipa))
volatile unsigned ticks, sink;
NOINLINE unsigned leaf(unsigned n) { return n * 3 + sink; }
void SysTick_Handler(void) { ticks += leaf(1); }
NOINLINE unsigned factorial(unsigned n) { return n < 2 ? 1 : n * factorial(n - 1); }
NOINLINE int odd(unsigned n);
NOINLINE int even(unsigned n) { return n ? odd(n - 1) + 1 : (int)leaf(7); }
int odd(unsigned n) { return n ? even(n - 1) + 2 : 0; }
NOINLINE unsigned twice(unsigned n) { unsigned both = leaf(n); for (int i = 0; i < 2; i++) both += leaf(both); return both; }
NOINLINE unsigned behind(unsigned n) { sink++; return twice(n + 1); }
unsigned (*volatile const table[3])(unsigned) = {leaf, twice, behind};
int main(void) {
    REG(0xE000E014) = 999;
    REG(0xE000E018) = 0;
    REG(0xE000E010) = 7;
    unsigned sum = 0;
    for (unsigned i = 0; i < 60; i++)
        sum += table[i % 3](i) + factorial(i % 9) + even(i % 5);
    sink = sum;
    REG(0xE000E010) = 0;
    leave(3);
}
"""


@dataclass(frozen=True)
class Exported:
    """A run's files, and the exit status."""

    folder: Path
    status: int

    def path(self, form: str) -> Path:
        return self.folder / f"run.{form}"

    def text(self, form: str) -> str:
        return self.path(form).read_text()

    @cached_property
    def json(self) -> dict:
        return json.loads(self.text("json"))

    @property
    def functions(self) -> list[dict]:
        return self.json["functions"]["functions"]

    @property
    def totals(self) -> dict[str, int]:
        """Of the run, whose layers are summed independently of functions."""
        return {figure: self.json["totals"][figure] for figure in FIGURES}


def export(folder: Path, *arguments: str, forms: tuple[str, ...] = FORMS) -> Exported:
    """`python -m emu.run ARGUMENTS`, in this process."""
    written = [argument for form in forms for argument in (f"--{form}", str(folder / f"run.{form}"))]
    return Exported(folder, main([*arguments, *written], standalone_mode=False) or 0)


PROGRAMS: dict[str, Callable[[pytest.FixtureRequest], tuple[str, ...]]] = {
    "thumb2": lambda request: ("kws", "--mhz", "80"),
    "c": lambda request: ("kws", "--kernels", "c", "--memory", "stm32f407-168mhz"),
    "firmware": lambda request: (str(request.getfixturevalue("builder").elf(CALLS)), "--report", "/dev/null"),
}


@pytest.fixture(scope="session", params=PROGRAMS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Each program, with functions."""
    return export(tmp_path_factory.mktemp(request.param), *PROGRAMS[request.param](request), "--functions", "--top", "100")
