"""Who called whom, found out again from the tracer's steps: return addresses that LR held, stack pointers, and what setjmp was called with.

It shares nothing with emu/probe/calls.c but the definitions: a call is BL or BLX to where a function begins; a tail call a jump to where
another begins; a function is on the stack from its call to its return, and one that left the rest to a tail call stays on it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.emu.tracer import Decoded, Tracer

_CALL = re.compile(r"(bl|blx)([a-z]{2})?(\.w|\.n)? ")
NOBODY = ""
_UNWINDERS = ("__restore_core_regs", "restore_core_regs")  # where C++ exceptions jump from


@dataclass
class Activation:
    """One call: the functions that ran in it (a tail call adds one), the stack pointer at its begin, where it returns to."""

    functions: list[str]
    base: int
    home: int | None


class Shadow(Tracer):
    """own, inclusive: function -> instructions; sites: (caller, callee, kind, pc) -> times; moved: (function, "read" or "write") -> bytes;
    own_stack, stack: function -> bytes below the stack pointer at its call, the most, without and with its callees."""

    def __init__(self, elf: Path, core: str = "cortex-m4") -> None:
        super().__init__(elf, core)
        with elf.open("rb") as file:
            symbols = list(ELFFile(file).get_section_by_name(".symtab").iter_symbols())
        functions = [s for s in symbols if s["st_info"]["type"] == "STT_FUNC"]
        best = {"STB_GLOBAL": 0, "STB_WEAK": 1, "STB_LOCAL": 2}
        functions.sort(key=lambda s: (best[s["st_info"]["bind"]], not s["st_size"], s.name), reverse=True)
        named = {s["st_value"] & ~1: s for s in functions}  # of several names for one function the last of these: the best
        self.begin = sorted(named)
        self.function = [
            (named[address].name, address + named[address]["st_size"] if named[address]["st_size"] else following)
            for address, following in zip(self.begin, [*self.begin[1:], 0xFFFFFFFF], strict=True)
        ]
        self.own, self.inclusive, self.sites, self.moved = Counter(), Counter(), Counter(), Counter()
        self.own_stack, self.stack_of = defaultdict(int), defaultdict(int)
        self.frames: list[Activation] = []
        self.last: int | None = None
        self.jump_buffers: dict[tuple[int, int], int] = {}  # (where setjmp returns, stack pointer) -> frames that are left then

    def at(self, address: int) -> str:
        """The function there; a cold part is its function. Code without a name is the function's that runs."""
        name, end = self.function[bisect_right(self.begin, address) - 1]
        if address >= end:
            return self.frames[-1].functions[-1]
        return re.sub(r"\.cold(\.\d+)?$", "", name)

    def begins(self, address: int) -> bool:
        """A function begins there, and not a cold part."""
        return address in self.begin and not self.function[self.begin.index(address)][0].endswith(".cold")

    def _count(self, address: int) -> None:
        before = self.tallies[self.layer].instructions
        stale = self.stale_sp
        if self.last is None:
            self._call(NOBODY, address, "start", address, None)
        elif self.known[self.last].jumps and (self.expected is None or _CALL.match(self.known[self.last].text)):
            self._arrived(address)
        elif self.at(self.last) != self.at(address):
            assert self.begins(address)
            self.sites[self.at(self.last), self.at(address), "fall", self.last] += 1
        self.current = self.at(address)
        super()._count(address)
        self.last = address
        issued = self.tallies[self.layer].instructions - before
        self.own[self.current] += issued
        for function in {name for frame in self.frames for name in frame.functions} | {self.current}:
            self.inclusive[function] += issued
        if stale:
            self._measure()

    def _traffic(self, tally, instruction: Decoded) -> None:
        super()._traffic(tally, instruction)
        self.moved[self.current, "write" if instruction.write else "read"] += sum(size for _, size in instruction.accesses(self._read))

    def _measure(self) -> None:
        sp = self._read("sp")
        running = self.frames[-1]
        self.own_stack[running.functions[-1]] = max(self.own_stack[running.functions[-1]], running.base - sp)
        for frame in self.frames:
            for function in frame.functions:
                self.stack_of[function] = max(self.stack_of[function], frame.base - sp)

    def _arrived(self, address: int) -> None:
        sp, site, behind = self._read("sp"), self.last, self.last + self.known[self.last].size
        here, there = self.at(site), self.at(address)
        if _CALL.match(self.known[site].text) and self._read("lr") & ~1 == behind:
            if self.begins(address) or here != there:
                if there == "setjmp":
                    self.jump_buffers[behind, sp] = len(self.frames)
                self._call(here, address, "call", site, behind)
            return
        for depth in range(len(self.frames) - 1, -1, -1):
            if self.frames[depth].home == address and self.frames[depth].base == sp:
                del self.frames[depth:]
                return
        if here == "longjmp" and (address, sp) in self.jump_buffers:
            del self.frames[self.jump_buffers[address, sp] :]
        elif here in _UNWINDERS and not self.begins(address):  # into the innermost call of that function which keeps its stack
            depth = max(n for n, frame in enumerate(self.frames) if there in frame.functions and frame.base >= sp)
            del self.frames[depth + 1 :]
        elif here != there and self.begins(address):
            self.sites[here, there, "tail", site] += 1
            self.frames[-1].functions.append(there)

    def _call(self, caller: str, address: int, kind: str, site: int, home: int | None) -> None:
        self.sites[caller, self.at(address), kind, site] += 1
        self.frames.append(Activation([self.at(address)], self._read("sp"), home))
