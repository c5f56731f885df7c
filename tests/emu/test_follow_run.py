"""What the probe tells followers while a program runs, against slow models that a Python hook on every instruction tells the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import unicorn
from unicorn import arm_const

from emu.isa.instruction import Flag, Instruction
from emu.machine import Machine, machine
from emu.probe import Probe, follow
from emu.probe.follow import Cache, Predictor
from tests.emu.target import Assembler, array, function
from tests.emu.test_follow import CALL, CONDITIONAL, INDIRECT, RETURN, SlowCache, SlowPredictor

FLASH, RAM = (0x08000000, 0x100000), (0x20000000, 0x20000)
FOLLOWERS = (
    Cache(follow.FETCH, (FLASH,), line=16, sets=1, ways=4, prefetch=True),
    Cache(follow.LOAD | follow.STORE, (FLASH, RAM), line=16, sets=2, ways=1, write_back=True, store_allocates=True),
    Predictor(btb_sets=2, btb_ways=1, return_stack=1),
    Cache(follow.FETCH, (FLASH,), line=8, sets=4, ways=0),
)
CODE = function("snippet", """push {r4-r6, lr}
    ldr r4, =buf
    movs r5, #6
again:
    mov r0, r5
    bl leaf
    add r1, r4, r5, lsl #3
    ldr r2, [r1]
    str r2, [r1, #40]
    ldrh r2, [r4, r5]
    lsls r2, r5, #31
    itt mi
    ldrmi r2, [r4, #60]
    addmi r2, #1
    ldm r4, {r0-r3}
    and r0, r5, #1
    tbb [pc, r0]
    .byte 1
    .byte 2
    nop
    b further
further:
    ldr r6, =leaf2 + 1
    blx r6
    subs r5, #1
    bne again
    ldr r2, [r4, #61]
    pop {r4-r6, pc}""") + function("leaf", "cmp r0, #3\n it lt\n bxlt lr\n nop.w\n nop.w\n nop.w\n bx lr") + function(
        "leaf2", "push {r4, lr}\n ldr r4, [sp]\n pop {r4, pc}") + array("buf", 256)


class Watch:
    """Follows a run by itself. Streams end at branches that were taken; an IT block's members that did not run left no trace."""

    def __init__(self, target: Machine) -> None:
        self.target = target
        self.models = [SlowCache(f) if isinstance(f, Cache) else SlowPredictor(f) for f in FOLLOWERS]
        self.trace: list[int] = []
        target.engine.hook_add(unicorn.UC_HOOK_CODE, self.step)

    def step(self, engine: unicorn.Uc, address: int, size: int, user: object) -> None:
        self.trace.append(address)
        instruction = self.target.instructions[address]
        if not instruction.accesses:
            return
        value = {n: engine.reg_read(getattr(arm_const, f"UC_ARM_REG_R{n}")) for n in range(13)}
        value |= {13: engine.reg_read(arm_const.UC_ARM_REG_SP), 15: (address + 4) & ~3 if instruction.index < 0 else address + 4, -1: 0}
        at = value[instruction.base] + (value[instruction.index] << instruction.scale) + instruction.offset
        size, store = instruction.access_size, bool(instruction.flags & Flag.STORE)
        for number in range(instruction.accesses):
            for model in self.models:
                if isinstance(model, SlowCache):
                    model.access(address, at + number * size, size, store)

    def finish(self, home: int) -> None:
        """Tell the models of all streams and branches, in order."""
        stream: list[Instruction] = []
        for address, after in zip(self.trace, [*self.trace[1:], home], strict=True):
            instruction = self.target.instructions[address]
            stream.append(instruction)
            behind = address + instruction.size
            if not instruction.flags & Flag.BRANCH:
                while behind != after:  # skipped
                    stream.append(self.target.instructions[behind])
                    behind += stream[-1].size
                continue
            what = self.what(instruction)
            taken = after != behind or not what & CONDITIONAL
            if after != home:
                self.models[2].branch(address, behind, after, what, taken)
            if taken:
                self.end(stream)
                stream = []

    @staticmethod
    def what(instruction: Instruction) -> int:
        stem = instruction.text.split()[0]
        conditional = instruction.kind in ("branch", "compare_branch") and stem not in ("b", "b.w") or instruction.flags & Flag.IN_IT
        return (CONDITIONAL * bool(conditional) | CALL * (stem in ("bl", "blx")) | RETURN * (stem in ("pop", "bx", "bxlt"))
                | INDIRECT * (stem in ("blx", "bx", "bxlt", "pop", "tbb")))

    def end(self, stream: list[Instruction]) -> None:
        skipped = {i.address for i in stream} - set(self.trace)
        loaded = sum(i.accesses for i in stream if not i.flags & Flag.STORE and i.address not in skipped)
        for model in (self.models[0], self.models[3]):
            model.fetch(stream[0].address, stream[-1].address + stream[-1].size, len(stream) + loaded)


def _lines(machine_: Machine) -> Iterator[tuple[int, bytes]]:
    for stream in machine_.counts().streams:
        late = next((n for n, event in enumerate(stream.events) if event >= follow.FETCHED), len(stream.events))
        yield from [(stream.start, stream.events[late:])] * stream.count


def test_a_run_tells_its_followers_all(assembler: Assembler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "Probe", lambda *args, **options: Probe(*args, **options | {"followers": FOLLOWERS}))
    target = Machine(assembler.image(CODE), "cortex-m4")
    watch = Watch(target)
    target.call("snippet")
    watch.finish(target.flash[0] + target.flash[1] - 4)
    sites = [(s.pc, s.kind - follow.FOLLOWED, s.bucket) for s in target.counts().sites if s.kind >= follow.FOLLOWED for _ in range(s.count)]
    for number, model in ((1, watch.models[1]), (2, watch.models[2])):
        assert sorted((pc, event) for pc, n, event in sites if n == number) == sorted(model.events)
        assert len(set(model.events)) > 3
    found = sorted(lines for _, lines in _lines(target))
    fetched = [b"".join(bytes([follow.FETCHED + n]) + watch.models[n].lines[i] for n in (0, 3) if watch.models[n].lines[i])
               for i in range(len(watch.models[0].lines))]
    assert found == sorted(fetched)
    assert any(found)
