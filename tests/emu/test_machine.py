"""The machine as a whole: the same counts every time and everywhere, layers that add up, stack, sites, objects."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from emu import measure
from emu.build.cache import REPOSITORY
from emu.errors import InputError, TargetFault, UsageError
from emu.machine import Machine, code
from emu.probe import MISALIGNED, QUOTIENT
from emu.timing import core, pricing
from tests.emu.compare import tallies
from tests.emu.programs import DATA, EPILOGUE, PROLOGUE, program
from tests.emu.target import array, function

M4 = core.load("cortex-m4")


def counted(spotter, kernels: str = "c", times: int = 1) -> Machine:
    image, program_, _, x = spotter(kernels)
    machine = measure.prepare(image, program_, M4)
    for _ in range(times):
        measure.write_input(machine, program_, x)
        machine.reset_and_run()
    return machine


def facts(machine: Machine) -> tuple:
    """Everything that was counted, in an order of its own."""
    counts = machine.counts()
    return (sorted(counts.streams), counts.sites, counts.traffic.tolist(), counts.entries, counts.calls, counts.stack, counts.peak)


def test_two_runs_count_the_same(spotter):
    assert facts(counted(spotter)) == facts(counted(spotter))


SCRIPT = """
import hashlib, sys
import numpy as np
from emu.build.elf import Image
from emu.machine import Machine
machine = Machine(Image.load(sys.argv[1]), kernels=sys.argv[3].split(","), layers=6)
machine.write(int(sys.argv[2]), np.load(sys.argv[4]).tobytes())
machine.reset_and_run()
counts = machine.counts()
print(hashlib.sha256(repr((sorted(counts.streams), counts.sites, counts.traffic.tolist(), counts.entries, counts.calls, counts.stack,
                           counts.peak)).encode()).hexdigest())
"""


def test_another_process_counts_the_same(spotter, tmp_path):
    import hashlib

    image, program_, _, x = spotter("c")
    np.save(tmp_path / "x.npy", x)
    answers = [
        subprocess.run(
            [
                sys.executable,
                "-c",
                SCRIPT,
                str(image.path),
                str(image.symbols[program_.input.symbol].address),
                ",".join(sorted({layer.kernel for layer in program_.layers})),
                str(tmp_path / "x.npy"),
            ],
            cwd=REPOSITORY,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "THUMBCYCLE_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    here = Machine(image, kernels=sorted({layer.kernel for layer in program_.layers}), layers=6)
    measure.write_input(here, program_, x)
    here.reset_and_run()
    assert answers == [hashlib.sha256(repr(facts(here)).encode()).hexdigest()] * 2


def test_two_inferences_count_double(spotter):
    once, twice = counted(spotter), counted(spotter, times=2)
    first, second = once.counts(), twice.counts()
    assert sorted(second.streams) == sorted(s._replace(count=2 * s.count) for s in first.streams)
    assert second.sites == [s._replace(count=2 * s.count) for s in first.sites]
    assert (second.traffic == 2 * first.traffic).all()
    assert (second.calls[1:], second.stack, second.peak) == ([2] * 6, first.stack, first.peak)
    assert (pricing.price(second, twice.instructions, M4) == 2 * pricing.price(first, once.instructions, M4)).all()


def test_threads_count_as_alone(spotter):
    alone = {kernels: facts(counted(spotter, kernels)) for kernels in ("c", "float")}
    together: dict[str, tuple] = {}
    threads = [threading.Thread(target=lambda k=k: together.update({k: facts(counted(spotter, k))})) for k in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


LAYERS = f"""{
    function(
        "snippet",
        '''push {r4, r5, lr}
sub sp, #40
movs r4, #3
1: bl first
bl helper
bl second
subs r4, #1
bne 1b
add sp, #40
pop {r4, r5, pc}''',
    )
}{
    function(
        "first",
        '''push {r4-r7, lr}
sub sp, #100
bl helper
bl second
ldr r0, =buffer
str r0, [r0]
add sp, #100
pop {r4-r7, pc}''',
    )
}{
    function(
        "second",
        '''push {lr}
cmp r4, #2
it eq
popeq {pc}
pop {lr}
b helper''',
    )
}{
    function(
        "helper",
        '''ldr r0, =buffer
ldr r0, [r0]
bx lr''',
    )
}{array("buffer", 8)}"""


def test_layers_nest_repeat_and_tail_call(assembler):
    """Six calls as three inferences of two layers; a kernel inside a kernel belongs to it, code between belongs to nobody."""
    machine = Machine(assembler.image(LAYERS), kernels=["first", "second"], layers=2, layer_names=["first", "second"])
    machine.call("snippet")
    counts = machine.counts()
    assert counts.calls == [0, 3, 3]
    assert counts.entries[1:] == [machine.image.symbols[name].address for name in ("first", "second")]
    # outside: push, sub, movs; 3 * (bl, bl, helper's 3, bl, subs, bne); add, pop
    assert counts.instructions()[0] == 3 + 3 * 8 + 2
    # second: push, cmp, it, (popeq | skipped, pop, b, 3 of helper)
    assert counts.instructions()[2] == 2 * 9 + 4
    assert counts.skipped().tolist() == [0, 2, 2]
    assert counts.instructions()[1] == 3 * 8 + 3 * 3 + (2 * 9 + 4)
    assert counts.stack == [52, 20 + 100 + 4, 4] and counts.peak == 52 + 124
    where = counts.objects.index("buffer")
    assert counts.traffic[:, where].tolist() == [[[0, 0, 3], [0, 0, 0]], [[0, 0, 5], [0, 0, 3]], [[0, 0, 2], [0, 0, 0]]]


def test_a_layer_ends_where_its_own_call_returns(assembler):
    """A region's function that calls its caller comes back to the same address, deeper in the stack: that is no return from the region."""
    source = function("snippet", "push {r4, lr}\nbl kernel\nnop\npop {r4, pc}") + function(
        "kernel",
        """push {r4, lr}
    subs r0, #1
    it ne
    blne snippet
    pop {r4, pc}""",
    )
    image = assembler.image(source)
    machine = Machine(image, layers=1, marks=code.Marks(kernels=[image.symbols["kernel"].address]))
    machine.call("snippet", 3)
    counts = machine.counts()
    assert counts.calls == [0, 1] and counts.instructions().tolist() == [4, 3 * 5 + 2 * 4] and counts.stack == [8, 8 * 5]


@pytest.mark.parametrize(("spoils", "register"), [
    ("mvn r4, r4", "r4"), ("mvn r11, r11", "r11"), ("vmov.f32 s17, #1.0", "d8"), ("vmov.f32 s30, #1.0", "d15"), ("sub sp, #8", "SP"), ("add sp, #4", "SP"),
])
@pytest.mark.parametrize("entry", ["kernel", "snippet"])
def test_a_kernel_keeps_what_aapcs_keeps(assembler, spoils, register, entry):
    """Whether the program calls it or the host does. r0 to r3, ip and the flags are its own."""
    def machine(body: str) -> Machine:
        source = function("snippet", "push {r4, lr}\nbl kernel\nnop\npop {r4, pc}") + function("kernel", f"{body}\nbx lr")
        return Machine(assembler.image(source), kernels=["kernel"], layers=1, layer_names=["it"])

    machine("movs r0, #1\nmov r12, r0\ncmp r0, r1\nvmov.f32 s0, #1.0").call(entry)
    with pytest.raises(TargetFault, match=rf"the kernel returned with another {register} than it was called with.*'bx lr' at .* in kernel\+.*, layer it$"):
        machine(spoils).call(entry)


def test_layers_against_the_tracer(assembler):
    from tests.emu.tracer import Tracer

    image = assembler.image(LAYERS)
    machine = Machine(image, kernels=["first", "second"], layers=2)
    tracer = Tracer(image.path, kernels=("first", "second"), layers=2)
    machine.call("snippet")
    tracer.call("snippet")
    assert tallies(machine) == tracer.tallies


def test_a_kernel_that_faults_leaves_no_layer_open(assembler):
    source = function("snippet", "push {lr}\nbl kernel\npop {pc}") + function("kernel", "ldr r0, [r0]\nbx lr") + array("buffer", 8)
    machine = Machine(assembler.image(source), kernels=["kernel"], layers=1)
    with pytest.raises(TargetFault):
        machine.call("snippet", 0)
    before = machine.counts().instructions()
    machine.call("snippet", machine.image.symbols["buffer"].address)
    assert (machine.counts().instructions() - before).tolist() == [3, 2]


def test_sites(assembler):
    """Misaligned accesses by the extra bus accesses, divides by the bits of the quotient."""
    body = (
        "ldr r4, =buffer\n"
        + "\n".join(f"ldr r0, [r4, #{n}]\nstrh r1, [r4, #{n}]\nldrb r0, [r4, #{n}]" for n in range(5))
        + """
    mov r0, #100
    mov r1, #7
    udiv r2, r0, r1
    mvn r1, #6
    sdiv r2, r0, r1
    mov r3, #0
    udiv r2, r0, r3
    udiv r2, r1, r0
    cmp r0, r0
    it ne
    udivne r2, r0, r1"""
    )
    machine = assembler.machine(body + "\nbx lr", data=array("buffer", 16))
    machine.call("snippet")
    sites = machine.counts().sites
    assert sorted(s.bucket for s in sites if s.kind == MISALIGNED) == [1, 1, 1, 2, 2]
    assert all(s.count == 1 for s in sites)
    # clz(divisor) - clz(dividend) + 1: of 100 / 7, 100 / -7, anything / 0 (no bits), 0xfffffff9 / 100; the skipped divide is no site
    assert [s.bucket for s in sites if s.kind == QUOTIENT] == [5, 5, 0, 26]


def test_many_streams_and_sites(assembler):
    """More than the tables' first sizes: 3,000 distinct streams, 700 sites, none lost."""
    body = "\n".join(f"ldr r0, [r4, #{1 + n % 3}]\nb .L{n}\n.L{n}:" for n in range(3000))
    machine = assembler.machine("ldr r4, =buffer\nb 1f\n.ltorg\n1:\n" + body + "\nbx lr", data=array("buffer", 16))
    machine.call("snippet")
    machine.call("snippet")
    counts = machine.counts()
    assert len(counts.streams) == 3002 and {s.count for s in counts.streams} == {2}
    assert len(counts.sites) == 3000 and {s.count for s in counts.sites} == {2}
    assert counts.instructions().tolist() == [2 * (2 + 6000 + 1)]


def test_streams_that_differ_in_one_thing(assembler):
    """What an IT block skipped, and which memory was accessed, keep streams apart; equal ones are one."""
    body = """push {lr}
    mov r5, r0
    mov r6, #4
    1: tst r6, #1
    ite eq
    ldreq r0, [r5]
    ldrne r0, [sp]
    subs r6, #1
    bne 1b
    pop {pc}"""
    image = assembler.image(function("snippet", body) + array("constant", 8, ".rodata") + array("buffer", 8))
    machine = Machine(image)
    for name in ("constant", "buffer"):
        machine.call("snippet", image.symbols[name].address)
    loops = [s for s in machine.counts().streams if s.start == image.symbols["snippet"].address + 8 and s.end - s.start == 12]
    flash, ram, skipped, executed = 0, 1, 0x80, 0x81
    assert {(s.events, s.count) for s in loops} == {
        (bytes([skipped, executed, ram]), 2),
        (bytes([executed, flash, skipped]), 1),
        (bytes([executed, ram, skipped]), 1),
    }


def test_a_long_straight_line(assembler):
    """One stream longer than any buffer begins: 20,000 accesses."""
    machine = assembler.machine("ldr r4, =buffer\nb 1f\n.ltorg\n1:\n.rept 20000\nldr r0, [r4]\n.endr\nbx lr", data=array("buffer", 16))
    machine.call("snippet")
    counts = machine.counts()
    assert sorted(len(s.events) for s in counts.streams) == [1, 20000]
    assert counts.traffic[0, counts.objects.index("buffer"), 0, 2] == 20000


def test_objects_are_told_apart_by_byte(assembler):
    source = (
        function(
            "snippet",
            "ldr r4, =one\nldrb r0, [r4]\nldrb r0, [r4, #7]\nldrb r0, [r4, #8]\nldrb r0, [r4, #15]\nldrh r0, [r4, #7]\nldr r1, =two\n"
            "ldrb r0, [r1, #16]\nbx lr",
        )
        + array("one", 8)
        + array("two", 16)
    )
    machine = Machine(assembler.image(source))
    machine.call("snippet")
    counts = machine.counts()
    by_name = {name: int(counts.traffic[0, at].sum()) for at, name in enumerate(counts.objects)}
    assert by_name == {"other": 1, "literals": 2, "stack": 0, "constants": 0, "one": 3, "two": 2}  # an access belongs to its first byte


def test_registers_and_memory_of_the_host(assembler):
    machine = assembler.machine("add r0, r1\nadd r0, r2\nadd r0, r3\nbx lr", data=array("buffer", 8))
    assert machine.call("snippet", 1, 2, 3, 0xFFFFFFFF) == 5
    machine.write(0x20000000, b"abc")
    assert machine.read(0x20000000, 4) == b"abc\xa5"
    for address in (0x1FFFFFFF, 0x30000000, 0):
        with pytest.raises(InputError, match=f"1 bytes at 0x{address:08x} do not lie in one memory"):
            machine.read(address, 1)
    with pytest.raises(InputError, match="2 bytes at 0x207fffff do not lie"):
        machine.write(0x207FFFFF, b"12")


def test_names_of_cores(assembler):
    with pytest.raises(UsageError, match="no core 'cortex-m5' .did you mean cortex-m"):
        assembler.machine("bx lr", "cortex-m5")


def test_the_fpu_state_and_flags_of_one_call_do_not_leak_counts(assembler):
    """The same program twice in one machine: streams double, whatever flags the first run left."""
    source = (
        function(
            "snippet",
            f"{PROLOGUE}\nitete vs\nmovvs r0, #1\nmovvc r0, #2\nldrvs r1, [r4]\nstrvc r1, [r4]\ncmp r0, #2\nmvns r2, r2\n{EPILOGUE}",
        )
        + DATA
    )
    machine = Machine(assembler.image(source))
    machine.call("snippet", 1)
    first = tallies(machine)[0]
    machine.call("snippet", 1)
    assert tallies(machine)[0].instructions == 2 * first.instructions and tallies(machine)[0].skipped == 2 * first.skipped


def test_decoding_is_kept_and_mended(assembler, own_cache):
    """A damaged file in the cache is made anew, not believed."""
    from pathlib import Path

    image = assembler.image(program([("it_block", 5), ("calls", 6)]))
    expected = facts_of(image)
    for path in (Path(own_cache) / "decoded").glob(f"{image.sha256[:32]}*"):
        path.write_bytes(path.read_bytes()[:100])
    assert facts_of(image) == expected


def facts_of(image) -> tuple:
    machine = Machine(image)
    machine.call("snippet", 1, 2, 3, 4)
    return facts(machine)
