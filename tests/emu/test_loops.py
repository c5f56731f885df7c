"""Loops found in streams, held against programs that were made of nested loops with known trip counts."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emu.functions import Numbering
from emu.functions.loops import Loop, loops
from emu.machine import Machine
from tests.emu.target import Assembler, function

COUNTERS = ("r4", "r5", "r6", "r7")
LEAF = function("leaf", "movs r0, #3\nleaf_loop: subs r0, #1\nbne leaf_loop\nbx lr")


class Nest(NamedTuple):
    """A loop of so many trips, how it is written, and the loops inside it, one behind the other."""

    trips: int
    shape: str
    inside: tuple[Nest, ...]


SHAPES = ("do", "while", "calls", "cold")
NESTS = st.recursive(st.builds(Nest, st.integers(1, 4), st.sampled_from(SHAPES), st.just(())),
                     lambda inner: st.builds(Nest, st.integers(1, 4), st.sampled_from(SHAPES), st.lists(inner, max_size=2).map(tuple)),
                     max_leaves=4).filter(lambda nest: deep(nest) <= len(COUNTERS))


def deep(nest: Nest) -> int:
    return 1 + max(map(deep, nest.inside), default=0)


class Writer:
    """Assembly of nests, and what is expected of them: label -> (iterations, entries, depth). A loop that never goes round is none."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.cold: list[str] = []
        self.expected: dict[str, tuple[int, int, int]] = {}
        self.number = self.calls = 0

    def write(self, nest: Nest, level: int, depth: int, times: int) -> None:
        """level: loops around it; depth: those of them that go round."""
        self.number += 1
        label, counter, rotated = f"head{self.number}", COUNTERS[level], nest.shape == "while"
        turns, goes_round = nest.trips * times, rotated or nest.trips > 1
        if goes_round:  # a loop that is entered at its test is reached at its head from there alone
            self.expected[label] = (turns, 0 if rotated else times, depth)
        self.text += [f"movs {counter}, #{nest.trips}", *([f"b {label}_test"] if rotated else []), f"{label}: nop"]
        if nest.shape == "calls":
            self.text.append("bl leaf")
            self.calls += turns
        if nest.shape == "cold":
            self.text += [f"cmp {counter}, #1", f"beq.w {label}_cold", f"{label}_back: nop"]
            self.cold += [f"{label}_cold: nop", f"b.w {label}_back"]
        for inner in nest.inside:
            self.write(inner, level + 1, depth + goes_round, turns)
        self.text += [f"{label}_test: subs {counter}, #1", f"bge.w {label}"] if rotated else [f"subs {counter}, #1", f"bne.w {label}"]


def found(assembler: Assembler, source: str) -> dict[str, Loop]:
    """By the label that stands at their head."""
    image = assembler.image(source)
    numbering = Numbering(image)
    machine = Machine(image, marks=numbering.marks())
    machine.call("snippet")
    labels = {symbol.address: name for name, symbol in image.symbols.items() if symbol.kind == "notype"}
    return {labels[loop.head]: loop for loop in loops(machine.counts(), machine.instructions, numbering)}


def figures(got: dict[str, Loop]) -> dict[str, tuple[int, int, int]]:
    return {label: (loop.iterations, loop.entries, loop.depth) for label, loop in got.items()}


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(nests=st.lists(NESTS, min_size=1, max_size=2))
def test_nested_loops(assembler, nests):
    writer = Writer()
    for nest in nests:
        writer.write(nest, 0, 0, 1)
    body = "\n".join(["push {r4-r7, lr}", *writer.text, "pop {r4-r7, pc}", *writer.cold])
    leaf = {"leaf_loop": (3 * writer.calls, writer.calls, 0)} if writer.calls else {}
    assert figures(found(assembler, function("snippet", body) + LEAF)) == writer.expected | leaf


def test_what_lies_in_a_loop(assembler):
    """Code behind the return belongs to it; a callee, and a path that was not taken, do not."""
    got = found(assembler, function("snippet", """push {r4, lr}
        movs r4, #5
        head: cmp r4, #3
        beq cold
        cmp r4, #9
        bne back
        nop
        back: bl leaf
        subs r4, #1
        bne head
        pop {r4, pc}
        cold: b back""") + LEAF)["head"]
    assert len(got.addresses) == 8
    assert got.addresses[0] == got.head
    assert got.end == got.addresses[-1] == got.head + 20


def test_a_switch_in_a_loop(assembler):
    """Where TBB led is known from where execution arrived."""
    got = found(assembler, function("snippet", """movs r0, #6
        head: and r1, r0, #1
        tbb [pc, r1]
        table: .byte (even - table) / 2, (odd - table) / 2
        even: nop
        b next
        odd: nop
        next: subs r0, #1
        bne head
        bx lr"""))
    assert figures(got) == {"head": (6, 1, 0)}
    assert len(got["head"].addresses) == 7


def test_recursion_is_no_loop(assembler):
    source = function("snippet", "push {r4, lr}\nmovs r0, #4\nbl again\npop {r4, pc}")
    assert not found(assembler, source + function("again", "push {r4, lr}\nsubs r0, #1\nbeq out\nbl again\nout: pop {r4, pc}"))
