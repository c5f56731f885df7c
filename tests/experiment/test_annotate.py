"""Listings: exact against the profile's totals and against the tracer; firmware with exceptions; what is asked for by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from emu import firmware, functions, kws
from emu.errors import NotBitExact, UsageError
from emu.experiment import annotate, target
from emu.experiment.listing import Listing, Row
from emu.experiment.target import Ran
from emu.profile import PARTS, Traffic
from emu.timing.explain import sentence
from tests.emu.tracer import Tracer
from tests.firmware.conftest import PROGRAMS, Builder

JOBS = (
    kws.Job(kernels="thumb2"),
    kws.Job(kernels="c", memory="stm32l4r5"),
    kws.Job(kernels="c", memory="stm32f407-168mhz"),
    kws.Job(kernels="thumb2", core="cortex-m7"),
    kws.Job(kernels="c", core="cortex-m7", memory="stm32h743-400mhz"),
    kws.Job(kernels="c", core="cortex-m0plus"),
)


@pytest.fixture(scope="module")
def of() -> object:
    """of(job): its run, made once."""
    made: dict[kws.Job, Ran] = {}

    def make(job: kws.Job = JOBS[0]) -> Ran:
        if job not in made:
            made[job] = target.of_kws(job, touches=True)
        return made[job]

    return make


@pytest.fixture(scope="module")
def listed(of) -> object:
    """listed(job): the listing of all that ran, made once."""
    made: dict[kws.Job, Listing] = {}

    def make(job: kws.Job = JOBS[0]) -> Listing:
        if job not in made:
            made[job] = annotate.annotate(of(job))
        return made[job]

    return make


def rows(listing: Listing) -> list[Row]:
    return [row for function in listing.functions for row in function.rows]


def by_tensor(listing: Listing) -> dict[str, Traffic]:
    """Of all rows; what is no part of a layer is "other", as profiles have it."""
    found: dict[str, Traffic] = {}
    for row in rows(listing):
        for name, traffic in row.tensors.items():
            part = name if name in PARTS else "other"
            found[part] = found.get(part, Traffic()) + traffic
    return found


# --- exact ---


@pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.kernels}-{job.core}-{job.memory}")
class TestAddsUp:
    def test_by_layer(self, of, job: kws.Job) -> None:
        """Against the profile of another run, which counts no touches."""
        ran, profile = of(job), kws.judged(job)[0]
        for number, row in enumerate((profile.outside, *profile.layers)):
            listing = annotate.annotate(ran, annotate.Scope(layer=number))
            assert (listing.instructions, listing.cycles) == (row.instructions, row.cycles), row.name
            assert sum(one.skipped for one in rows(listing)) == row.skipped
            assert {function.layers for function in listing.functions} == {(row.name,)}
            if number:
                assert by_tensor(listing) == row.traffic, row.name
        assert listing.total == profile.totals.cycles

    def test_by_function(self, of, listed, job: kws.Job) -> None:
        ran, listing = of(job), listed(job)
        profile = functions.profile(ran.counts, ran.image, ran.instructions, ran.numbering, ran.prices, ran.core.name, lines=False)
        found = {f.name: (f.calls, f.instructions, f.cycles, *moved(f.rows)) for f in listing.functions}
        falls = Counter(site.callee for site in profile.calls if site.kind == "fall")
        assert not falls
        assert found == {f.name: (f.calls, f.own.instructions, f.own.cycles, f.own.bytes_read, f.own.bytes_written) for f in profile.functions}
        assert listing.cycles == listing.total == int(ran.prices.price(ran.counts).sum())
        assert [f.cycles for f in listing.functions] == sorted((f.cycles for f in listing.functions), reverse=True)

    def test_of_a_function_alone(self, of, listed, job: kws.Job) -> None:
        for whole in listed(job).functions[::3]:
            (alone,) = annotate.annotate(of(job), annotate.scope(of(job), whole.name)).functions
            assert (alone.rows, alone.cycles, alone.layers, alone.calls) == (whole.rows, whole.cycles, whole.layers, whole.calls)

    def test_within_itself(self, listed, job: kws.Job) -> None:
        listing = listed(job)
        for row in rows(listing):
            assert row.minimum + sum(row.reasons.values()) == row.cycles and row.stalls == row.cycles - row.minimum
            assert 0 <= row.skipped <= row.executed
            assert all(sentence(reason) and cycles for reason, cycles in row.reasons.items())
        for function in listing.functions:
            assert function.cycles == sum(row.cycles for row in function.rows)
            assert function.minimum + sum(function.reasons.values()) == function.cycles
            for loop in function.loops:
                assert 0 < loop.cycles <= function.cycles and loop.share == loop.cycles / function.cycles
                assert loop.start <= loop.end and {loop.start, loop.end} <= {row.address for row in function.rows if row.executed}
        assert listing.minimum + sum(listing.reasons.values()) == listing.cycles


def moved(of_rows: tuple[Row, ...]) -> tuple[int, int]:
    traffic = sum((traffic for row in of_rows for traffic in row.tensors.values()), Traffic())
    return traffic.bytes_read, traffic.bytes_written


class RowTracer(Tracer):
    """Also keeps times executed and skipped by (layer, address)."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.executed, self.skipped = Counter(), Counter()

    def _count(self, address: int) -> None:
        super()._count(address)
        self.executed[self.layer, address] += 1

    def _skip_to(self, address: int) -> None:
        before = [at for at, _, _ in self.pending]
        super()._skip_to(address)
        after = {at for at, _, _ in self.pending} | {address}
        self.skipped.update((self.layer, at) for at in before if at not in after)


def test_times_equal_the_tracer(of) -> None:
    ran = of()
    tracer = RowTracer(ran.image.path, kernels=tuple(layer.kernel for layer in ran.layers), layers=len(ran.layers))
    tracer.engine.mem_write(tracer.symbols[ran.layers[0].tensors["input"]], np.ascontiguousarray(kws.read("yes").features).tobytes())
    tracer.reset_and_run()
    for layer in range(len(ran.layers) + 1):
        listed = rows(annotate.annotate(ran, annotate.Scope(layer=layer)))
        for row in listed:
            assert (row.executed, row.skipped) == (tracer.executed[layer, row.address] + tracer.skipped[layer, row.address],
                                                   tracer.skipped[layer, row.address]), hex(row.address)
        assert {row.address for row in listed if row.executed} == {at for of_layer, at in (tracer.executed | tracer.skipped) if of_layer == layer}


# --- a firmware ---

ASSEMBLY = """
    .syntax unified
    .thumb
    .section .isr_vector, "a"
    .word 0x20001000, reset + 1
    .bss
    .type buffer, %object
buffer: .space 16
    .size buffer, 16
    .text
    .type reset, %function
    .thumb_func
reset:
    ldr r0, =buffer
    movs r1, #6
again:
    tst r1, #1
    it ne
    strne r1, [r0, #4]
    subs r1, r1, #1
    bne again
    bl leaf
    b firmware_done
    .size reset, . - reset
    .type leaf, %function
    .thumb_func
leaf:
    cbz r1, out
    nop
out:
    bx lr
    .size leaf, . - leaf
    .global firmware_done
    .thumb_func
firmware_done:
    b firmware_done
    .ltorg
"""
SCRIPT = """MEMORY { FLASH : ORIGIN = 0x08000000, LENGTH = 64K RAM : ORIGIN = 0x20000000, LENGTH = 8K }
SECTIONS { .text : { KEEP(*(.isr_vector)) *(.text) } > FLASH .bss (NOLOAD) : { *(.bss) } > RAM }"""


@pytest.fixture(scope="module")
def small(builder: Builder) -> Ran:
    """A run whose every count is known."""
    (builder.folder / "small.ld").write_text(SCRIPT)
    return of_elf(builder.elf(ASSEMBLY, name="small.S", base=("-nostdlib", "-nostartfiles", "-T", str(builder.folder / "small.ld"))))


def of_elf(path: object, **options: object) -> Ran:
    return target.of_firmware(firmware.Job(path, **options), touches=True)


def test_every_figure_of_a_small_program(small: Ran) -> None:
    reset, leaf = sorted(annotate.annotate(small).functions, key=lambda function: function.address)
    assert [(row.text.split()[0].removesuffix(".w"), row.executed, row.skipped, dict(row.tensors)) for row in reset.rows] == [
        ("ldr", 1, 0, {"literals": Traffic(1, 0, 4, 0)}), ("movs", 1, 0, {}), ("tst", 6, 0, {}), ("it", 6, 0, {}),
        ("strne", 6, 3, {"buffer": Traffic(0, 3, 0, 12)}), ("subs", 6, 0, {}), ("bne", 6, 0, {}), ("bl", 1, 0, {}), ("b", 1, 0, {})]
    assert [(row.executed, row.note) for row in leaf.rows] == [(1, ""), (0, ""), (1, "")]
    assert [(reset.rows[at].note) for at in (0, -2, -1)] == ["= 0x20000000 buffer", "leaf", "firmware_done"]
    assert [row.line for row in reset.rows] == [row.line for row in sorted(reset.rows, key=lambda row: row.line)]
    assert all(row.file.endswith(".S") for row in reset.rows)
    (loop,) = reset.loops
    assert (loop.start, loop.end, loop.depth, loop.iterations) == (reset.rows[2].address, reset.rows[6].address, 0, 6)
    assert loop.cycles == sum(row.cycles for row in reset.rows[2:7])
    assert [row.raw.hex() for row in leaf.rows] == ["01b1", "00bf", "7047"]
    assert (reset.calls, leaf.calls, reset.layers) == (1, 1, ())


@pytest.mark.parametrize("options", [{}, {"core": "cortex-m33"}, {"memory": "stm32l4r5", "board": "stm32l4r5"}])
def test_exceptions_sleep_and_time(builder: Builder, options: dict[str, str]) -> None:
    """Handlers pay for their entry; the total is the run's."""
    path = builder.elf(PROGRAMS / "time.c")
    result, _ = firmware.run(firmware.Job(path, **options))
    ran = of_elf(path, **options)
    listing = annotate.annotate(ran)
    assert listing.cycles == listing.total == result.totals.cycles
    assert listing.instructions == result.totals.instructions
    assert listing.reasons["sleep"] == result.totals.sleep_cycles
    profile = functions.profile(ran.counts, ran.image, ran.instructions, ran.numbering, ran.prices, ran.core.name, lines=False)
    assert {f.name: (f.calls, f.cycles) for f in listing.functions} == {f.name: (f.calls, f.own.cycles) for f in profile.functions}
    (handler,) = (f for f in listing.functions if f.name == "SysTick_Handler")
    assert handler.rows[0].reasons["exception"] >= handler.calls * ran.core.exception["entry"] > 0


def test_a_stripped_program_is_one_function(small: Ran) -> None:
    image = replace(small.image, functions=(), symbols={}, objects=())
    bare = replace(small, image=image, numbering=functions.Numbering(image))
    (only,) = annotate.annotate(replace(bare, counts=replace(small.counts, contexts=(), edges=()))).functions
    assert (only.name, only.symbol, only.cycles) == ("(no symbol)", "", annotate.annotate(small).cycles)
    assert all(row.executed for row in only.rows)


def test_a_run_with_a_region(small: Ran) -> None:
    """Its layer is no network's; emu.run's forms look into such runs."""
    (leaf,) = (function for function in small.numbering.functions if function.name == "leaf")
    counts = replace(small.counts, layers=1, touches=tuple(touch._replace(layer=1) for touch in small.counts.touches))
    listing = annotate.annotate(replace(small, counts=counts))
    assert listing.cycles == annotate.annotate(small).cycles and leaf.name in {function.name for function in listing.functions}
    assert by_tensor(listing) == by_tensor(annotate.annotate(small))


# --- what is asked for ---


def test_scopes(of, small: Ran) -> None:
    ran = of()
    assert annotate.scope(ran) == annotate.Scope()
    assert annotate.scope(ran, "qdense_16x10") == annotate.scope(ran, None, "qdense_16x10") == annotate.Scope("layer qdense_16x10", 6)
    assert annotate.scope(ran, "outside").layer == 0
    one = annotate.annotate(ran, annotate.scope(ran, "dense_s8"))
    assert [f.name for f in one.functions] == ["dense_s8"] and one.scope == "function dense_s8" and one.cycles < one.total
    m0 = of(kws.Job(kernels="m0", core="cortex-m0plus"))
    several = annotate.annotate(m0, annotate.scope(m0, "matmul_plain"))
    assert len(several.functions) > 1 and all(f.symbol == "matmul_plain" and "@" in f.name for f in several.functions)
    within = annotate.annotate(m0, annotate.scope(m0, "matmul_plain", "qpwconv2d_8x16"))
    assert [f.layers for f in within.functions] == [("qpwconv2d_8x16",)]
    assert annotate.annotate(small, annotate.scope(small, "leaf")).instructions == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (("dense_s9",), "no layer or function 'dense_s9' (did you mean dense_s8?)"),
    (("qdense",), "no layer or function 'qdense' (did you mean qdense_16x10?)"),
    (("dense_s8", "qdense"), "--layer: no layer 'qdense' (did you mean qdense_16x10?)"),
    (("qdense_16x10", "outside"), "qdense_16x10 is a layer itself"),
    (("dense_s8", "outside"), "dense_s8 did not run in layer outside"),
    (("HardFault_Handler",), "HardFault_Handler did not run"),
])
def test_what_is_not_there(of, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        annotate.scope(of(), *arguments)
    assert message in str(caught.value)


def test_a_firmware_has_no_layers(small: Ran) -> None:
    with pytest.raises(UsageError, match="a firmware has no layers"):
        annotate.scope(small, "leaf", "outside")
    with pytest.raises(UsageError, match=r"no function 'reste' \(did you mean reset\?\)"):
        annotate.scope(small, "reste")


def test_a_wrong_byte_is_the_runs_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = kws.Prepared.reference
    monkeypatch.setattr(kws.Prepared, "reference", lambda self, x: [*reference(self, x)[:-1], reference(self, x)[-1] + 1])
    ran = target.of_kws(kws.Job(kernels="c"))
    assert isinstance(ran.problem, NotBitExact) and "qdense_16x10" in str(ran.problem)
    assert not ran.counts.touches
    assert not annotate.annotate(ran).tensors
