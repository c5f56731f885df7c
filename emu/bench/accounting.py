"""Bare Unicorn, full accounting and a Python hook on the same program, timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emu import measure
from emu.bench.python_hook import PythonCounts
from emu.build.elf import Image
from emu.build.program import Program
from emu.errors import TargetFault
from emu.machine import Machine
from emu.timing.core import Core

_UNBOUNDED = 1 << 62  # instructions


@dataclass(frozen=True)
class Cost:
    """Seconds an inference, each the median over rounds; the ratios are medians of each round's ratio."""

    instructions: int  # of one inference
    bare: float
    accounting: float
    python_hooks: float
    accounting_over_bare: float
    python_hooks_over_accounting: float


def cost(image: Image, program: Program, x: np.ndarray, core: Core, *, rounds: int, seconds: float,
         progress: Callable[[str], None] = lambda message: None) -> Cost:
    """Time `rounds` rounds of about `seconds` each way (the Python hook: one inference a round). Translation is warmed up first.

    Raises TargetFault when the Python hook's counts are not the probe's: then one of the two is wrong, and no ratio means anything.
    """
    bare, counted, hooked = (_machine(image, program, x, core, counting) for counting in (False, True, False))
    python = PythonCounts(hooked)
    progress("warming up")
    for machine in (bare, counted, hooked):
        machine.reset_and_run()
    _compare(counted, python)
    repeats = max(1, round(seconds / _time(bare.reset_and_run, 3)))
    samples = []
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        samples.append((_time(bare.reset_and_run, repeats), _time(counted.reset_and_run, max(1, repeats // 3)), _time(hooked.reset_and_run, 1)))
    by_way = list(zip(*samples, strict=True))
    instructions = _instructions(counted, len(program.layers))
    return Cost(instructions, *(statistics.median(way) for way in by_way),
                statistics.median(counting / plain for plain, counting, _ in samples),
                statistics.median(slow / counting for _, counting, slow in samples))


def _machine(image: Image, program: Program, x: np.ndarray, core: Core, counting: bool) -> Machine:
    machine = measure.prepare(image, program, core, counting=counting, limit=_UNBOUNDED)
    measure.write_input(machine, program, x)
    return machine


def _time(run: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def _instructions(counted: Machine, layers: int) -> int:
    """Of one inference."""
    counts = counted.counts()
    return int(counts.instructions().sum()) * layers // sum(counts.calls)


def _compare(counted: Machine, python: PythonCounts) -> None:
    counts = counted.counts()
    executed = int((counts.instructions() - counts.skipped()).sum())
    native = {}
    for name, accesses in zip(counts.objects, counts.traffic.sum(axis=0), strict=True):
        for store in (False, True):
            if accesses[int(store)].any():
                count = native.setdefault((name, store), [0, 0])  # the scratch's parts have one name
                count[0] += int(accesses[int(store)].sum())
                count[1] += int(accesses[int(store)] @ [1, 2, 4])
    if executed != python.executed or native != python.traffic:
        raise TargetFault(f"the Python hook counted {python.executed} instructions and {python.traffic}, the probe {executed} and {native}")
