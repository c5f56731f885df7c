"""Counts of generated programs against the tracer, and what the program computed against runs without any accounting."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings
from unicorn import arm_const as arm

from emu.machine import Machine
from tests.emu.compare import tallies
from tests.emu.programs import BLOCKS, WITHOUT_IT, program, programs
from tests.emu.tracer import Tracer

ARGUMENTS = (0x12345678, 7, 0xFFFFFF80, 0)
STATE = [getattr(arm, f"UC_ARM_REG_{name}") for name in (*(f"R{n}" for n in range(13)), "SP", "PC", "CPSR", *(f"S{n}" for n in range(32)))]
EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def state(engine) -> list[int]:
    return [engine.reg_read(register) for register in STATE]


def run_all(image, memory_hooks: bool = False):
    """(machine with the probe, machine without, tracer), each after one call; registers and memory must be the same in all three."""
    machine, bare = Machine(image, limit=100_000), Machine(image, counting=False)
    tracer = Tracer(image.path, memory_hooks=memory_hooks)
    for runner in (machine, bare, tracer):
        runner.call("snippet", *ARGUMENTS)
    assert state(machine.engine) == state(bare.engine) == state(tracer.engine)
    ram = 0x20000000, 0x8000
    assert machine.read(*ram) == bare.read(*ram)
    if not memory_hooks:
        assert machine.read(*ram) == bytes(tracer.engine.mem_read(*ram))
    return machine, bare, tracer


@EXAMPLES
@given(source=programs())
def test_random_programs(assembler, source):
    machine, _, tracer = run_all(assembler.image(source))
    assert tallies(machine) == tracer.tallies


@pytest.mark.parametrize("name", BLOCKS)
def test_each_kind_of_block(assembler, name):
    """Forty of one kind: a fault in a rare form shows here by name."""
    machine, _, tracer = run_all(assembler.image(program([(name, number) for number in range(40)])))
    assert tallies(machine) == tracer.tallies


@seed(1)
@settings(EXAMPLES, max_examples=12)
@given(source=programs(WITHOUT_IT))
def test_addresses_equal_unicorns_own(assembler, source):
    """Without IT blocks Unicorn's memory hooks are right: a third witness, for every byte that is touched."""
    machine, _, tracer = run_all(assembler.image(source), memory_hooks=True)
    assert tracer.touched == tracer.hooked
    assert tallies(machine) == tracer.tallies
