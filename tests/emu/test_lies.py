"""What Unicorn lets pass and silicon does not: each test shows the naive behaviour first, then what the machine does instead."""

from __future__ import annotations

import pytest
import unicorn
from unicorn import arm_const as arm

from emu.errors import TargetFault
from emu.machine import Machine
from tests.emu.target import array, function
from tests.emu.tracer import MODELS

BUFFER = array("buffer", 64)
LOAD_ADDRESS = "ldr r4, =buffer+{offset}\n"


class Naive:
    """Unicorn as its tutorial opens it; interrupts that nobody handles are noted and end the run."""

    def __init__(self, image, core: str, mode: int = unicorn.UC_MODE_THUMB) -> None:
        self.engine = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
        self.engine.ctl_set_cpu_model(MODELS[core])
        for start, size in ((0x08000000, 0x10000), (0x20000000, 0x10000), (0xE000E000, 0x1000)):
            self.engine.mem_map(start, size)
        for segment in image.segments:
            self.engine.mem_write(segment.address, segment.data)
        self.start, self.interrupts = image.symbols["snippet"].address, []
        self.engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)

    def _on_interrupt(self, uc, number, _):
        self.interrupts.append(number)
        uc.emu_stop()

    def runs(self, count: int = 0) -> bool:
        """True when the program comes to its end as if nothing were wrong."""
        self.engine.reg_write(arm.UC_ARM_REG_SP, 0x20004000)
        self.engine.reg_write(arm.UC_ARM_REG_LR, 0x0800FFF1)
        try:
            self.engine.emu_start(self.start | 1, 0x0800FFF0, count=count)
        except unicorn.UcError:
            return False
        return not self.interrupts and self.engine.reg_read(arm.UC_ARM_REG_PC) == 0x0800FFF0


def naive_runs(assembler, body: str, core: str = "cortex-m4", mode: int = unicorn.UC_MODE_THUMB) -> bool:
    return Naive(assembler.image(function("snippet", body + "\nbx lr") + BUFFER), core, mode).runs()


def refuses(assembler, body: str, message: str, core: str = "cortex-m4") -> None:
    machine = assembler.machine(body + "\nbx lr", core, BUFFER, limit=1000)
    with pytest.raises(TargetFault, match=message) as caught:
        machine.call("snippet")
    assert "\n" not in str(caught.value)


def passes(assembler, body: str, core: str = "cortex-m4") -> Machine:
    machine = assembler.machine(body + "\nbx lr", core, BUFFER, limit=1000)
    machine.call("snippet")
    return machine


MCLASS = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3"])
@pytest.mark.parametrize("body", ["smlad r0, r1, r2, r3", "sadd16 r0, r1, r2", "vadd.f32 s0, s1, s2", "vldr s0, [sp]"])
def test_mclass_ignores_the_model(assembler, core, body):
    assert naive_runs(assembler, body, core, MCLASS)
    refuses(assembler, body, f"an instruction that {core} does not have; '{body.split()[0]}", core)
    passes(assembler, body)


@pytest.mark.parametrize(
    "body",
    [
        "smlad r0, r1, r2, r3",
        "smuadx r0, r1, r2",
        "smlsd r0, r1, r2, r3",
        "smlald r0, r1, r2, r3",
        "smlawb r0, r1, r2, r3",
        "smulwt r0, r1, r2",
        "ssat16 r0, #3, r1",
        "usat16 r0, #3, r1",
        "sxtab r0, r1, r2",
        "uxtah r0, r1, r2",
        "usad8 r0, r1, r2",
    ],
)
def test_the_m3_model_has_half_of_the_dsp_extension(assembler, body):
    """Even with the model set: DESIGN.md's first fix is not enough."""
    assert naive_runs(assembler, body, "cortex-m3")
    refuses(assembler, body, "an instruction that cortex-m3 does not have", "cortex-m3")
    passes(assembler, body)


_PARALLEL = "add8 add16 sub8 sub16 asx sax"
_THREE = (
    "pkhbt pkhtb qadd qsub qdadd qdsub sel smmul smmulr smuad smuadx smusd smusdx smulbb smulbt smultb smultt smulwb smulwt "
    "sxtab sxtab16 sxtah uxtab uxtab16 uxtah usad8"
)
_FOUR = (
    "smlabb smlabt smlatb smlatt smlad smladx smlalbb smlalbt smlaltb smlaltt smlald smlaldx smlawb smlawt smlsd smlsdx smlsld smlsldx "
    "smmla smmlar smmls smmlsr umaal usada8"
)
DSP = [
    *(f"{prefix}{name} r0, r1, r2" for prefix in ("s", "u", "q", "sh", "uh", "uq") for name in _PARALLEL.split()),
    *(f"{name} r0, r1, r2" for name in _THREE.split()),
    *(f"{name} r0, r1, r2, r3" for name in _FOUR.split()),
    *("ssat16 r0, #3, r1", "usat16 r0, #3, r1", "sxtb16 r0, r1", "uxtb16 r0, r1"),
]
NOT_DSP = [
    "mul r0, r1, r2",
    "mla r0, r1, r2, r3",
    "mls r0, r1, r2, r3",
    "smull r0, r1, r2, r3",
    "umlal r0, r1, r2, r3",
    "smlal r0, r1, r2, r3",
    "ssat r0, #3, r1",
    "usat r0, #3, r1",
    "sdiv r0, r1, r2",
    "sxtb r0, r1",
    "uxth.w r0, r1, ror #8",
    "rbit r0, r1",
    "ubfx r0, r1, #1, #2",
    "bfi r0, r1, #1, #2",
    "subs.w r0, r1, r2",
    "sbc.w r0, r1, r2",
    "clz r0, r1",
]


def test_the_dsp_extension_whole(assembler):
    """All that Armv7E-M adds is refused on the M3, nothing else. One image holds it all."""
    bodies = dict(enumerate([*DSP, *NOT_DSP]))
    image = assembler.image("".join(function(f"snippet{number}", f"{body}\nbx lr") for number, body in bodies.items()))
    for number, body in bodies.items():
        machine = Machine(image, "cortex-m3", limit=1000)
        if body in NOT_DSP:
            machine.call(f"snippet{number}")
            continue
        with pytest.raises(TargetFault, match=rf"an instruction that cortex-m3 does not have; .* in snippet{number}\+0x0 "):
            machine.call(f"snippet{number}")


@pytest.mark.parametrize("body", ["it eq\nmoveq r0, #1", "cbz r0, 1f\nnop\n1:", "cbnz r0, 1f\nnop\n1:"])
def test_the_m0_model_has_it_and_cbz(assembler, body):
    assert naive_runs(assembler, body, "cortex-m0plus")
    refuses(assembler, body, "an instruction that cortex-m0plus does not have", "cortex-m0plus")
    passes(assembler, body, "cortex-m3")


def test_the_m0_keeps_what_it_has(assembler):
    for body in (
        "dmb",
        "dsb",
        "isb",
        "mrs r0, primask",
        "msr primask, r0",
        "nop",
        "rev r0, r1",
        "sxtb r0, r1",
        "muls r0, r1",
        "push {r0}\npop {r0}",
    ):
        passes(assembler, body, "cortex-m0plus")
    refuses(assembler, "b.w 1f\n1:", "cortex-m0plus does not have; 'b.w", "cortex-m0plus")  # and not: jumped to nowhere


@pytest.mark.parametrize("body", [".inst.w 0xf9240a0f", ".inst.w 0xf904070f", ".inst.w 0xf88f3460", ".inst.w 0xe8842002"])
def test_the_m4_model_has_vector_loads_and_more(assembler, body):
    """VLD1 and VST1 of NEON, STRB to a PC-relative address, STM of SP: no Cortex-M4 runs them, and nobody could count them."""
    body = LOAD_ADDRESS.format(offset=16) + body
    assert naive_runs(assembler, body) or "f88f" in body
    refuses(assembler, body, "an instruction that cortex-m4 does not have")


MISALIGNED = [
    "ldrd r0, r1, [r4]",
    "strd r0, r1, [r4]",
    "ldm r4, {r0, r1}",
    "stm r4, {r0, r1}",
    "vldr s0, [r4]",
    "vldr d0, [r4]",
    "vstr s0, [r4]",
    "vldmia r4, {s0-s1}",
    "vstmia r4!, {d0}",
    "ldrd r0, r1, [r4], #8",
    "stmdb r4!, {r0, r1}",
]


@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("body", MISALIGNED)
def test_unaligned_multiples_fault(assembler, body, offset):
    body = LOAD_ADDRESS.format(offset=offset + 16) + body
    assert naive_runs(assembler, body)
    refuses(assembler, body, f"unaligned address 0x.{{8}}, where cortex-m4 faults, in buffer\\+{offset + 16 - 8 * ('db' in body)}; ")
    passes(assembler, body.replace(f"buffer+{offset + 16}", "buffer+16"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ldrex r0, [r4]", "unaligned"),
        ("strex r0, r1, [r4]", "unaligned"),
        ("ldrexh r0, [r4]", "unaligned"),
        ("strexh r0, r1, [r4]", "unaligned"),
    ],
)
def test_unaligned_exclusives_fault(assembler, body, message):
    refuses(assembler, LOAD_ADDRESS.format(offset=1) + body, message)
    passes(assembler, LOAD_ADDRESS.format(offset=4) + body)


@pytest.mark.parametrize("body", ["ldr r0, [r4]", "str r0, [r4]", "ldrh r0, [r4]", "strh r0, [r4]", "ldrsh r0, [r4, r5]"])
def test_unaligned_words_pass_but_on_the_m0(assembler, body):
    body = "movs r5, #0\n" + LOAD_ADDRESS.format(offset=1) + body
    assert naive_runs(assembler, body, "cortex-m0plus") or naive_runs(assembler, body, "cortex-m4")
    passes(assembler, body)
    passes(assembler, body, "cortex-m3")
    refuses(assembler, body, "unaligned address 0x.{8}, where cortex-m0plus faults, in buffer\\+1; ", "cortex-m0plus")
    passes(assembler, body.replace("buffer+1", "buffer+4"), "cortex-m0plus")


ENABLE = "ldr r1, =0xE000ED88\nldr r0, [r1]\norr r0, #(0xF << 20)\nstr r0, [r1]\ndsb\nisb\n"


@pytest.mark.parametrize("body", ["vadd.f32 s0, s1, s2", "vldr s0, [sp]", "vmov s0, r0", "vpush {s0}", "vmrs r0, fpscr"])
def test_float_before_cpacr(assembler, body):
    """From reset, as start-up code finds the core."""
    vectors = (
        '.section .text.a, "ax", %progbits\n.word __stack_top, snippet, 0, 0\n.global firmware_done\n.thumb_func\nfirmware_done: b .\n'
    )
    ends = "\nldr r0, =firmware_done\nbx r0"
    bare = "sub sp, #8\n" + body + ends
    image = assembler.image(_at_start(vectors) + function("snippet", bare))
    machine = Machine(image, limit=1000)
    with pytest.raises(TargetFault, match="floating-point instruction while CPACR has the FPU off .*0xE000ED88.*; 'v"):
        machine.reset_and_run()
    naive = Machine(image, counting=False)
    naive.reset_and_run()  # Unicorn alone: on from reset
    Machine(assembler.image(_at_start(vectors) + function("snippet", ENABLE + bare)), limit=1000).reset_and_run()


def _at_start(vectors: str) -> str:
    """The vector table in front of everything: it begins .text, which the linker script puts first."""
    return vectors.replace('.section .text.a, "ax", %progbits\n', ".text\n.balign 4\n")


def test_one_of_two_coprocessors_is_not_the_fpu(assembler):
    half = ENABLE.replace("0xF << 20", "0x3 << 20")
    vectors = _at_start(".text\n.balign 4\n.word __stack_top, snippet, 0, 0\n.global firmware_done\n.thumb_func\nfirmware_done: b .\n")
    with pytest.raises(TargetFault, match="CPACR"):
        Machine(assembler.image(vectors + function("snippet", half + "vmov s0, r0"))).reset_and_run()


PREDICATED = """ldr r4, =buffer
mov r1, #1
mov r2, #2
mov r7, #3
1: cmp r7, #2
ite eq
ldreq r1, [r4]
strne r2, [r4, #4]
subs r7, #1
bne 1b
mov r5, #5
cmp r7, #0
ite ne
ldrne r1, [r4]
strheq r5, [r4, #8]
mov r6, #6"""


def test_memory_hooks_spoil_predication_and_the_probe_does_not(assembler):
    """unicorn-engine/unicorn#2309: with memory hooks, a load or store inside an IT block leaves predication behind."""
    image = assembler.image(function("snippet", PREDICATED + "\nbx lr") + BUFFER)
    registers = [getattr(arm, f"UC_ARM_REG_R{n}") for n in (1, 2, 5, 6, 7)]

    def read(engine) -> list[int]:
        return [engine.reg_read(register) for register in registers]

    naive, hooked = Naive(image, "cortex-m4"), Naive(image, "cortex-m4")
    hooked.engine.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, lambda *_: None)
    assert naive.runs() and read(naive.engine) == [0, 2, 5, 6, 0]
    hooked.runs()
    assert read(hooked.engine) != read(naive.engine)
    machine = Machine(image, limit=1000)
    machine.call("snippet")
    assert read(machine.engine)[1:] == [2, 5, 6, 0]
    assert machine.read(image.symbols["buffer"].address, 12) == bytes([0xA5] * 4 + [2, 0, 0, 0, 5, 0, 0xA5, 0xA5])


@pytest.mark.parametrize(("body", "number", "message"), [("bkpt #1", 7, "BKPT"), ("svc #1", 2, "SVC"), ("bkpt #0xab", 7, "BKPT")])
def test_exceptions_end_the_run(assembler, body, number, message):
    """A handler that neither stops nor moves the PC would be called for ever."""
    naive = Naive(assembler.image(function("snippet", body + "\nbx lr") + BUFFER), "cortex-m4")
    assert not naive.runs() and naive.interrupts == [number]
    refuses(assembler, body, f"^{message}.*; '{body.split()[0]}")


@pytest.mark.parametrize("body", ["wfi", "wfe"])
def test_sleep_is_not_the_end(assembler, body):
    """WFI ends Unicorn's run in the middle, without an error."""
    if body == "wfi":
        naive = Naive(assembler.image(function("snippet", "movs r0, #1\nwfi\nmovs r0, #2\nbx lr") + BUFFER), "cortex-m4")
        naive.engine.emu_start(naive.start | 1, 0x0800FFF0)
        assert naive.engine.reg_read(arm.UC_ARM_REG_R0) == 1
    refuses(assembler, f"movs r0, #1\n{body}\nmovs r0, #2", f"^the core sleeps .*; '{body}' at 0x08000002")


def test_yield_is_a_nop(assembler):
    """Unicorn ends its run there; on a core alone YIELD does nothing."""
    machine = assembler.machine("movs r0, #1\nyield\nadds r0, #2\nyield\nadds r0, #4\nbx lr")
    assert machine.call("snippet") == 7
    assert machine.counts().instructions().sum() == 6


def test_a_fault_leaves_no_predication_behind(assembler):
    """The run after a fault inside an IT block begins clean: Unicorn keeps IT state when a hook stops it."""
    bad = "cmp r0, r0\nitttt eq\nldreq r1, [r2]\nmoveq r0, #1\nmoveq r0, #2\nmoveq r0, #3\nbx lr"
    good = "cmp r0, r1\nmov r0, #1\nmov r0, #2\nmov r0, #3\nmov r0, #4\nbx lr"
    machine = Machine(assembler.image(function("bad", bad) + function("good", good)), limit=1000)
    for _ in range(2):
        with pytest.raises(TargetFault, match="read of 4 bytes outside memory, at 0x00000010"):
            machine.call("bad", 0, 0, 0x10)
        before = int(machine.counts().instructions()[0])
        assert machine.call("good", 1, 2) == 4
        assert int(machine.counts().instructions()[0]) == before + 6
