"""The native call tree by itself: exceptions, threads that a handler switches between, and programs that want to exhaust it."""

from __future__ import annotations

import ctypes as c
import random
import resource
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from emu.probe import build, layout

TOP = 0x20010000
MEGABYTE = 1 << 20


class Branch(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("pc", "origin", "target", "to", "flags", "begins", "behind", "sp", "layer")]


class Exception_(c.Structure):
    _fields_ = [(name, c.c_uint32) for name in ("pc", "handler", "return_pc", "sp", "handler_sp", "layer")]


class Tree:
    """emu/probe/calls.c, driven. Function n begins at n << 12; `here` is the path and the function that runs."""

    def __init__(self) -> None:
        self.library = c.CDLL(str(build.library()))
        for name in ("new", "contexts", "paths", "edges"):
            getattr(self.library, f"calls_{name}").restype = c.c_void_p
        self.tree = c.c_void_p(self.library.calls_new())

    def __del__(self) -> None:
        self.library.calls_free(self.tree)

    def start(self, function: int, sp: int) -> None:
        self.library.calls_start(self.tree, function << 12, function, sp, 0)

    def call(self, pc: int, function: int, sp: int) -> None:
        branch = Branch(pc, pc >> 12, function << 12, function, layout.LINKS_FLAG, 1, pc + 4, sp, 0)
        self.library.calls_branch(self.tree, c.byref(branch))

    def back(self, function: int, target: int, sp: int) -> None:
        branch = Branch(function << 12, function, target, target >> 12, layout.RETURNS_FLAG | layout.INDIRECT_FLAG, 0, 0, sp, 0)
        self.library.calls_branch(self.tree, c.byref(branch))

    def stack(self, sp: int, switched: bool = False) -> None:
        self.library.calls_stack(self.tree, sp, layout.SETS_SP_FLAG if switched else 0)

    def strike(self, pc: int, handler: int, sp: int, handler_sp: int) -> None:
        exception = Exception_(pc, handler, pc, sp, handler_sp, 0)
        self.library.calls_exception(self.tree, c.byref(exception))

    def leave(self, pc: int, sp: int) -> None:
        self.library.calls_exception_return(self.tree, pc, pc >> 12, not pc & 0xFFF, sp, 0)

    def chain(self, handler: int) -> None:
        self.library.calls_tail_chain(self.tree, handler, 0)

    def rows(self, what: str, dtype: np.dtype) -> np.ndarray:
        number = c.c_uint32()
        address = getattr(self.library, f"calls_{what}")(self.tree, c.byref(number))
        return np.frombuffer(c.string_at(address, number.value * dtype.itemsize), dtype)

    @property
    def here(self) -> tuple[tuple[int, ...], int]:
        context = self.rows("contexts", layout.CONTEXT)[self.library.calls_here(self.tree)]
        paths, at, found = self.rows("paths", layout.PATH), int(context["path"]), []
        while at:
            found.append(int(paths[at]["function"]))
            at = int(paths[at]["parent"])
        return tuple(reversed(found)), int(context["function"])

    def stacks(self) -> dict[int, tuple[int, int]]:
        """By function: own, with its callees."""
        found: dict[int, tuple[int, int]] = {}
        for row in self.rows("contexts", layout.CONTEXT)[1:]:
            own, most = found.get(int(row["function"]), (0, 0))
            found[int(row["function"])] = max(own, int(row["own_stack"])), max(most, int(row["stack"]))
        return found

    def edges(self, kind: str) -> dict[tuple[int, int], int]:
        """(pc, function) -> times."""
        rows = self.rows("edges", layout.EDGE)
        return {
            (int(row["pc"]), int(row["function"])): int(row["count"])
            for row in rows[(rows["count"] > 0) & (rows["kind"] == layout.CALL_KINDS.index(kind))]
        }


MAIN, TASK_A, TASK_B, WORK, PENDSV, SYSTICK, HELPER = range(1, 8)
MAIN_STACK, A_STACK, B_STACK = TOP, TOP - 0x1000, TOP - 0x2000


@pytest.fixture
def tree() -> Tree:
    made = Tree()
    made.start(MAIN, MAIN_STACK)
    return made


def test_a_handler_stands_on_a_path_of_its_own_and_returns_to_where_it_struck(tree):
    tree.call(0x1010, WORK, MAIN_STACK - 16)
    tree.strike(0x4020, SYSTICK, MAIN_STACK - 32, MAIN_STACK - 64)
    assert tree.here == ((SYSTICK,), SYSTICK)
    tree.call(0x6010, HELPER, MAIN_STACK - 72)
    assert tree.here == ((SYSTICK, HELPER), HELPER)
    tree.back(HELPER, 0x6014, MAIN_STACK - 72)
    tree.leave(0x4020, MAIN_STACK - 32)
    assert tree.here == ((MAIN, WORK), WORK)
    assert tree.edges("handler") == {(0x4020, SYSTICK): 1}


def test_threads_keep_their_calls(tree):
    tree.call(0x1010, WORK, MAIN_STACK - 16)
    tree.strike(0x4020, PENDSV, MAIN_STACK - 32, MAIN_STACK - 64)
    tree.leave(TASK_A << 12, A_STACK)
    assert tree.here == ((TASK_A,), TASK_A)
    tree.call(0x2010, WORK, A_STACK - 8)
    tree.call(0x4010, HELPER, A_STACK - 24)
    tree.strike(0x7020, PENDSV, A_STACK - 40, MAIN_STACK - 64)
    tree.leave(0x4020, MAIN_STACK - 32)
    assert tree.here == ((MAIN, WORK), WORK)
    tree.strike(0x4024, PENDSV, MAIN_STACK - 32, MAIN_STACK - 64)
    tree.leave(0x7020, A_STACK - 40)
    assert tree.here == ((TASK_A, WORK, HELPER), HELPER)
    tree.back(HELPER, 0x4014, A_STACK - 24)
    assert tree.here == ((TASK_A, WORK), WORK)
    assert tree.edges("start") == {(MAIN << 12, MAIN): 1, (TASK_A << 12, TASK_A): 1}


def test_nested_and_chained_handlers(tree):
    tree.strike(0x1020, PENDSV, MAIN_STACK - 8, MAIN_STACK - 40)
    tree.strike(0x5020, SYSTICK, MAIN_STACK - 48, MAIN_STACK - 80)
    tree.chain(HELPER)
    assert tree.here == ((HELPER,), HELPER)
    tree.leave(0x5020, MAIN_STACK - 48)
    assert tree.here == ((PENDSV,), PENDSV)
    tree.leave(0x1020, MAIN_STACK - 8)
    assert tree.here == ((MAIN,), MAIN)
    assert tree.edges("handler") == {(0x1020, PENDSV): 1, (0x5020, SYSTICK): 1, (0x5020, HELPER): 1}


def test_a_handler_may_return_from_what_it_called(tree):
    tree.call(0x1010, WORK, MAIN_STACK - 16)
    tree.strike(0x4020, SYSTICK, MAIN_STACK - 32, MAIN_STACK - 64)
    tree.call(0x6010, HELPER, MAIN_STACK - 72)
    tree.leave(0x4020, MAIN_STACK - 32)
    assert tree.here == ((MAIN, WORK), WORK)


def test_a_handler_that_moves_the_program_counter_stays_in_the_thread(tree):
    tree.call(0x1010, WORK, MAIN_STACK - 16)
    tree.strike(0x4020, SYSTICK, MAIN_STACK - 32, MAIN_STACK - 64)
    tree.leave(0x4022, MAIN_STACK - 32)
    assert tree.here == ((MAIN, WORK), WORK)
    tree.back(WORK, 0x1014, MAIN_STACK - 16)
    assert tree.here == ((MAIN,), MAIN)


def test_a_new_thread_on_the_stack_of_one_that_ended(tree):
    for _ in range(3):
        tree.strike(0x1020, PENDSV, MAIN_STACK - 8, MAIN_STACK - 40)
        tree.leave(TASK_A << 12, A_STACK)
        tree.call(0x2010, WORK, A_STACK - 8)
        tree.strike(0x4000, PENDSV, A_STACK, MAIN_STACK - 40)
        tree.leave(TASK_B << 12, A_STACK)
        assert tree.here == ((TASK_B,), TASK_B)
        tree.strike(0x3020, PENDSV, A_STACK - 8, MAIN_STACK - 40)
        tree.leave(0x1020, MAIN_STACK - 8)
        assert tree.here == ((MAIN,), MAIN)


def test_a_function_that_leaves_something_on_the_stack_has_returned(tree):
    """Prologues that are functions do: they push what their caller pops."""
    tree.call(0x1010, WORK, MAIN_STACK)
    tree.call(0x4010, HELPER, MAIN_STACK)
    tree.back(HELPER, 0x4014, MAIN_STACK - 16)
    assert tree.here == ((MAIN, WORK), WORK)


def test_a_handlers_stack_is_not_that_of_what_it_interrupts(tree):
    tree.stack(MAIN_STACK - 24)
    tree.strike(0x1010, SYSTICK, MAIN_STACK - 24, MAIN_STACK - 56)
    tree.stack(MAIN_STACK - 96)
    tree.leave(0x1010, MAIN_STACK - 24)
    tree.library.calls_finish(tree.tree)
    assert tree.stacks() == {MAIN: (24, 24), SYSTICK: (40, 40)}


def test_stack_of_threads_that_are_put_aside_and_of_chosen_stacks(tree):
    tree.stack(MAIN_STACK - 24)
    tree.call(0x1010, WORK, MAIN_STACK - 24)
    tree.stack(A_STACK, switched=True)  # MSR CONTROL, in WORK
    tree.call(0x4010, HELPER, A_STACK)
    tree.stack(A_STACK - 40)
    tree.strike(0x7010, PENDSV, A_STACK - 40, MAIN_STACK - 24)
    tree.stack(MAIN_STACK - 24 - 8)
    tree.leave(TASK_B << 12, B_STACK)
    tree.stack(B_STACK - 100)
    tree.call(0x3010, WORK, B_STACK - 100)
    tree.stack(B_STACK - 128)
    tree.strike(0x4010, PENDSV, B_STACK - 128, MAIN_STACK - 24)
    tree.leave(0x7010, A_STACK - 40)
    tree.library.calls_finish(tree.tree)
    assert tree.stacks() == {MAIN: (24, 40), WORK: (28, 40), HELPER: (40, 40), PENDSV: (8, 8), TASK_B: (100, 128)}


@dataclass
class Model:
    """A thread as the test knows it: calls that have not returned, (function, return address, stack pointer at the call)."""

    calls: list[tuple[int, int, int]] = field(default_factory=list)
    sp: int = 0

    @property
    def here(self) -> tuple[tuple[int, ...], int]:
        functions = [function for function, _, _ in self.calls]
        return tuple(dict.fromkeys(functions)), functions[-1]


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_calls_returns_and_switches(seed):
    chance, tree = random.Random(seed), Tree()
    threads = [Model([(TASK_A, 0, TOP)], TOP)]
    tree.start(TASK_A, TOP)
    running = 0
    for _ in range(2000):
        thread = threads[running]
        what = chance.choice(("call", "call", "return", "switch"))
        if what == "call" and len(thread.calls) < 12:
            pc, function = (thread.calls[-1][0] << 12) + 4 * chance.randrange(1, 6), chance.randrange(1, 12)
            thread.sp -= 8 * chance.randrange(4)
            thread.calls.append((function, pc + 4, thread.sp))
            tree.call(pc, function, thread.sp)
        elif what == "return" and len(thread.calls) > 1:
            function, target, thread.sp = thread.calls.pop()
            tree.back(function, target, thread.sp)
        elif what == "switch":
            tree.strike((thread.calls[-1][0] << 12) + 0x800, PENDSV, thread.sp, TOP + 0x800)
            running = chance.randrange(len(threads) + (len(threads) < 6))
            if running == len(threads):
                threads.append(Model([(TASK_B, 0, TOP - 0x1000 * running)], TOP - 0x1000 * running))
                tree.leave(TASK_B << 12, threads[-1].sp)
            else:
                tree.leave((threads[running].calls[-1][0] << 12) + 0x800, threads[running].sp)
        assert tree.here == threads[running].here


def _resident() -> int:
    """Bytes of this process in memory."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("no /proc to measure memory with")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


def test_calls_that_never_return_exhaust_nothing(tree):
    before, branch = _resident(), c.byref(Branch(0x1010, MAIN, WORK << 12, WORK, layout.LINKS_FLAG, 1, 0x1014, TOP, 0))
    for _ in range(3_000_000):
        tree.library.calls_branch(tree.tree, branch)
    assert _resident() - before < 60 * MEGABYTE


def test_threads_without_number_exhaust_nothing(tree):
    before, branch = _resident(), c.byref(Branch(0x1010, MAIN, WORK << 12, WORK, layout.LINKS_FLAG, 1, 0x1014, TOP, 0))
    for thread in range(40):
        for _ in range(100_000):
            tree.library.calls_branch(tree.tree, branch)
        tree.strike(0x4020, PENDSV, TOP - 8 * thread - 8, TOP)
        tree.leave(TASK_B << 12, TOP + 8 * thread + 8)
    assert _resident() - before < 60 * MEGABYTE
    for thread in range(2000):
        tree.strike(0x1020, PENDSV, 8 * thread, TOP)
        tree.leave(TASK_A << 12, 0x80000000 + 8 * thread)
    assert _resident() - before < 60 * MEGABYTE
    assert tree.here == ((TASK_A,), TASK_A)


def test_functions_in_every_order_exhaust_nothing(tree):
    before, chance = _resident(), random.Random(1)
    for _ in range(300_000):
        tree.call(chance.randrange(1, 30) << 12 | 0x10, chance.randrange(1, 30), TOP)
        if chance.random() < 0.05:
            tree.library.calls_finish(tree.tree)
    assert tree.library.calls_folded(tree.tree)
    assert len(tree.rows("paths", layout.PATH)) == 1 << 15
    assert _resident() - before < 100 * MEGABYTE
