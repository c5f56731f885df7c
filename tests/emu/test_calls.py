"""The call tree that the probe follows, against the shadow stack of the slow tracer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu import functions
from emu.build.elf import Image
from emu.machine import Machine
from emu.timing import core, pricing
from tests.emu.c_programs import EXCEPTIONS, NEWLIB, SOURCES, Compiler, call_graph
from tests.emu.shadow import Shadow
from tests.emu.target import function

EXAMPLES = settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def compiler(tmp_path_factory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("c"))


def profiled(image: Image, core_name: str = "cortex-m4", calls: int = 1) -> functions.FunctionProfile:
    numbering = functions.Numbering(image)
    machine = Machine(image, core_name, marks=numbering.marks(), limit=5_000_000)
    for _ in range(calls):
        machine.call("snippet")
    priced = pricing.Prices(machine.instructions, core.load("cortex-m4"))
    counts = machine.counts()
    found = functions.profile(counts, image, machine.instructions, numbering, priced, "cortex-m4")
    assert found.complete
    assert found.totals.instructions == counts.instructions().sum()
    assert found.totals.cycles == priced.price(counts).sum()
    return found


def compare(image: Image, core_name: str = "cortex-m4") -> Shadow:
    """Every figure of every function, and every call site."""
    found, shadow = profiled(image, core_name), Shadow(image.path, core_name)
    shadow.call("snippet")
    by_name = {f.symbol: f for f in found.functions}
    symbol = {f.name: f.symbol for f in found.functions} | {"": ""}
    assert {(symbol[s.caller], symbol[s.callee], s.kind, s.pc): s.count for s in found.calls} == dict(shadow.sites)
    assert {name: f.own.instructions for name, f in by_name.items()} == dict(shadow.own)
    assert {name: f.inclusive.instructions for name, f in by_name.items()} == dict(shadow.inclusive)
    assert {name: (f.own.bytes_read, f.own.bytes_written) for name, f in by_name.items()} == {
        name: (shadow.moved[name, "read"], shadow.moved[name, "write"]) for name in shadow.own
    }
    calls: dict[str, int] = dict.fromkeys(by_name, 0)
    for (_, callee, _, _), count in shadow.sites.items():
        calls[callee] += count
    assert {name: f.calls for name, f in by_name.items()} == calls
    assert {name: f.own_stack for name, f in by_name.items()} == {name: shadow.own_stack[name] for name in by_name}
    assert {name: f.stack for name, f in by_name.items()} == {name: shadow.stack_of[name] for name in by_name}
    return shadow


@pytest.mark.parametrize("optimization", ["-O0", "-O1", "-O2", "-O3", "-Os"])
@pytest.mark.parametrize("name", SOURCES)
def test_equals_the_shadow_stack(compiler, name, optimization):
    compare(compiler.image(SOURCES[name], optimization))


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "long_jumps"])
def test_on_armv6m(compiler, name):
    """Its returns are POP and BX through a register; switch tables are calls of helpers."""
    compare(compiler.image(SOURCES[name], "-O2", cpu="cortex-m0plus", libraries=("-lgcc",)), "cortex-m0plus")


@pytest.mark.parametrize("specs", ["nosys", "nano"])
def test_newlibs_qsort_and_longjmp(compiler, specs):
    compare(compiler.image(NEWLIB, "-O2", f"--specs={specs}.specs", libraries=("-lc", "-lgcc")))


@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
def test_cpp_exceptions(compiler, optimization):
    """Destructors on the way, a rethrow, virtual calls, templates."""
    compare(
        compiler.image(
            EXCEPTIONS,
            optimization,
            "--specs=nosys.specs",
            libraries=("-lstdc++", "-lsupc++", "-lc", "-lgcc", "-lnosys"),
            suffix=".cpp",
            script=compiler.exceptions_script(),
        )
    )


@EXAMPLES
@given(seed=st.integers(0, 1 << 30), size=st.integers(2, 12), optimization=st.sampled_from(["-O0", "-O1", "-O2", "-Os"]))
def test_random_call_graphs(compiler, seed, size, optimization):
    compare(compiler.image(call_graph(seed, size), optimization))


def test_tail_calls_are_tail_calls(compiler):
    assert {kind for _, _, kind, _ in compare(compiler.image(SOURCES["tail_calls"], "-O2")).sites} == {"start", "call", "tail"}


ASSEMBLY = {
    "falls through": (
        "push {r4, lr}\nbl first\nbl second\nbl first\npop {r4, pc}",
        {"first": "movs r0, #3\nmovs r1, #4", "second": "adds r0, r1\nbx lr"},
    ),
    "ways to return": (
        "push {r4, lr}\nbl by_move\nbl by_register\nbl by_load\nbl by_block\nbl direct\nback: pop {r4, pc}",
        {
            "by_move": "mov pc, lr",
            "by_register": "push {r4, lr}\npop {r4}\npop {r1}\nbx r1",
            "by_load": "str lr, [sp, #-4]!\nldr pc, [sp], #4",
            "by_block": "push {r4, lr}\nldmia sp!, {r4, pc}",
            "direct": "b back",
        },
    ),
    "a call of a part": (
        "push {r4, lr}\nbl inside\nbl inside\nb over\ninside: movs r0, #1\nbx lr\nover: bl other\npop {r4, pc}",
        {"other": "bx lr"},
    ),
    "tail calls of every sort": (
        "push {r4, lr}\nldr r4, =wide+1\nblx r4\nbl by_register\nbl by_stack\nbl conditional\npop {r4, pc}",
        {
            "wide": "b.w leaf",
            "by_register": "ldr r3, =wide+1\nbx r3",
            "by_stack": "ldr r3, =leaf+1\npush {r3}\npop {pc}",
            "conditional": "cmp r0, r0\nbeq.w leaf",
            "leaf": "movs r0, #2\nbx lr",
        },
    ),
    "a frame without stack": (
        "push {r4, lr}\nbl keeper\npop {r4, pc}",
        {"keeper": "mov r4, lr\nbl helper\nbl helper\nbx r4", "helper": "movs r0, #1\nbx lr"},
    ),
    "a loop to the first instruction": ("push {r4, lr}\nmovs r0, #4\nbl down\npop {r4, pc}", {"down": "subs r0, #1\nbne down\nbx lr"}),
    "a call at the end of a function": (
        "push {r4, lr}\nbl first\npop {r4, pc}",
        {"first": "push {r4, lr}\nbl leaf", "behind": "pop {r4, pc}", "leaf": "bx lr"},
    ),
    "a switch of many": (
        "push {r4, r5, lr}\nmovs r4, #2\nagain: mov r0, r4\nbl choose\nsubs r4, #1\nbpl again\npop {r4, r5, pc}",
        {"choose": "tbb [pc, r0]\n.byte 2, 3, 4, 0\nb.n one\nb.n two\nb.n one\nnop", "one": "bx lr", "two": "bx lr"},
    ),
}


@pytest.mark.parametrize("name", ASSEMBLY)
def test_assembly(assembler, name):
    body, others = ASSEMBLY[name]
    source = function("snippet", body) + "".join(function(other, text).replace(".balign 4", ".balign 2") for other, text in others.items())
    compare(assembler.image(source))


def test_code_without_a_name_is_the_functions_that_jumps_there(assembler):
    """As in newlib's strcmp: a loop goes back to before the symbol and runs on into the function."""
    source = function("snippet", "push {r4, lr}\nmovs r0, #3\nbl named\npop {r4, pc}") + ".balign 4\n.Lgap: nop\nnop\n"
    compare(assembler.image(source + function("named", "subs r0, #1\nbne .Lgap\nbx lr")))


def test_a_cold_part_is_its_function(assembler):
    parts = {
        "hot": "push {r4, lr}\nmovs r4, #3\nagain: subs r4, #1\nbne.w hot.cold\npop {r4, pc}\nresumed: bl other\nb again",
        "hot.cold": "adds r0, #1\nbl other\nb.w resumed",
        "other": "bx lr",
    }
    source = function("snippet", "push {r4, lr}\nbl hot\nbl hot\npop {r4, pc}") + "".join(
        function(name, text) for name, text in parts.items()
    )
    compare(assembler.image(source))
    rows = {f.name: f for f in profiled(assembler.image(source)).functions}
    assert rows.keys() == {"snippet", "hot", "other"}
    assert (rows["hot"].calls, rows["other"].calls) == (2, 8)
