"""Call trees: what they add up to, of programs that call each other at random, recur, jump and are interrupted."""

from __future__ import annotations

from collections import defaultdict

import pytest

from emu import functions
from emu.functions.costs import Cost, summed
from emu.functions.tree import Tree, tree
from emu.machine import Machine
from emu.timing import core, pricing
from tests.emu.c_programs import SOURCES, Compiler, call_graph
from tests.emu.target import function

PROGRAMS = {**SOURCES, **{f"graph {seed}": call_graph(seed, 6) for seed in range(6)}}


@pytest.fixture(scope="module")
def compiler(tmp_path_factory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("c"))


def grown(image) -> tuple[Tree, functions.FunctionProfile]:
    numbering = functions.Numbering(image)
    machine = Machine(image, marks=numbering.marks())
    machine.call("snippet")
    counts = machine.counts()
    prices = pricing.prices(counts, machine.instructions, core.load("cortex-m4"))
    return (tree(counts, machine.instructions, numbering, prices),
            functions.profile(counts, image, machine.instructions, numbering, prices, "cortex-m4"))


def walked(found: Tree) -> tuple[dict[str, list[Cost]], dict[str, list[Cost]]]:
    """By function: own costs of its nodes, and totals of those that are in no other of its nodes. A node is as wide as its total says."""
    own, inclusive = defaultdict(list), defaultdict(list)
    stack: list[tuple[str, Cost]] = []
    at = Cost()
    for visit in found.walk(0):
        name = found.names[visit.function]
        assert visit.at == at
        if not visit.enters:
            entered, start = stack.pop()
            assert entered == name and summed([start, visit.total]) == at
            continue
        if name not in [function for function, _ in stack]:
            inclusive[name].append(visit.total)
        stack.append((name, at))
        own[name].append(visit.own)
        at = summed([at, visit.own])
    assert not stack and at == found.totals
    return own, inclusive


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_adds_up(compiler, name) -> None:
    """Own costs, a walk and places to the run; the outermost nodes of a function to its inclusive figures, and so do calls of it."""
    found, profile = grown(compiler.image(PROGRAMS[name], "-O2"))
    assert found.totals == found.total(0) == profile.totals == summed(found.places.values()) and found.complete
    own, inclusive = walked(found)
    rows = {f.name: f for f in profile.functions}
    assert {name: (summed(own[name]), summed(inclusive[name])) for name in own} == {name: (f.own, f.inclusive) for name, f in rows.items()}
    for number, called in enumerate(found.names):
        if called in rows and called != "snippet":
            assert summed(call.inclusive for call in found.calls if call.callee == number) == rows[called].inclusive
    assert {(found.names[call.caller], found.names[call.callee], call.kind, call.pc): call.count for call in found.calls} == {
        (site.caller, site.callee, site.kind, site.pc): site.count for site in profile.calls if site.kind != "start"}


def test_a_shared_part_is_split_by_counts(compiler) -> None:
    """One and two calls of the same function: a third and the rest, whole."""
    found, profile = grown(compiler.image("""
    #define NOINLINE __attribute__((noinline, noclone, noipa))
    volatile int sink;
    NOINLINE void leaf(int n) { if (n) sink = n; else sink++; }
    int snippet(void) { leaf(1); for (int i = sink + 1; i; i--) leaf(0); return 0; }
    """, "-O1"))
    whole = next(f.inclusive for f in profile.functions if f.name == "leaf")
    parts = {call.count: call.inclusive for call in found.calls if found.names[call.callee] == "leaf"}
    assert parts == {1: Cost(*(figure // 3 for figure in whole)), 2: Cost(*(figure - figure // 3 for figure in whole))}


def test_what_execution_runs_on_into_is_called(assembler) -> None:
    """first runs on into second, which calls leaf: all of it is first's."""
    source = (function("snippet", "push {r4, lr}\nbl first\nbl first\npop {r4, pc}") + function("first", "push {r4, lr}\nnop")
              + function("second", "bl leaf\npop {r4, pc}") + function("leaf", "nop\nbx lr"))
    found, profile = grown(assembler.image(source))
    calls = {(found.names[call.caller], found.names[call.callee]): call for call in found.calls}
    own = {f.name: f.own for f in profile.functions}
    fall = calls["first", "second"]
    assert (fall.kind, fall.count, fall.inclusive) == ("fall", 2, summed([own["second"], own["leaf"]]))
    assert calls["second", "leaf"].inclusive == own["leaf"]
    entered = summed(call.inclusive for call in found.calls if found.names[call.callee] == "first")
    assert entered == summed([own["first"], own["second"], own["leaf"]])


def test_without_symbols_there_is_one_node(assembler) -> None:
    source = ".global snippet\nsnippet: push {r4, lr}\nbl .Lother\npop {r4, pc}\n.Lother: bx lr\n"
    found, profile = grown(assembler.image(source + function("unused", "bx lr")))
    assert [(found.names[visit.function], visit.total) for visit in found.walk(0) if visit.enters] == [("(no symbol)", profile.totals)]
