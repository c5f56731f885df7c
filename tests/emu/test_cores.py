"""The five cores: their tables are read strictly, and each executes what it has, refuses what it lacks, whatever Unicorn's model does."""

from __future__ import annotations

import copy
import tomllib

import pytest

from emu.errors import TargetFault, UsageError
from emu.isa import cpu
from emu.isa.decode import decode
from emu.isa.instruction import Flag, Instruction
from emu.machine import Machine
from tests.emu.target import array, function

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
M3_UP, M4_UP, M7_UP = CORES[1:], CORES[2:], CORES[3:]
WIDEST = ".arch armv8-m.main\n.arch_extension dsp\n.fpu fpv5-d16\nldr r4, =buffer\n"
# instruction -> the cores that have it
HAVE = {
    "adds r0, r1, r2": CORES, "muls r0, r1": CORES, "rev r0, r1": CORES, "dmb": CORES, "mrs r0, primask": CORES, "push {r0}\npop {r0}": CORES,
    "ldmia r4!, {r0}\nsubs r4, #4\nstmia r4!, {r0}": CORES,
    "movw r0, #1": M3_UP, "udiv r0, r1, r4": M3_UP, "sdiv r0, r1, r4": M3_UP, "cbz r4, 1f\nnop\n1:": M3_UP, "it eq\nmoveq r0, #1": M3_UP,
    "ldrex r0, [r4]\nclrex": M3_UP, "mrs r0, basepri": M3_UP, "umull r0, r1, r2, r3": M3_UP, "ldr r0, [r4], #4": M3_UP,
    "smlad r0, r1, r2, r3": M4_UP, "ssub8 r0, r1, r2": M4_UP, "pkhbt r0, r1, r2": M4_UP, "umaal r0, r1, r2, r3": M4_UP,
    "vadd.f32 s0, s1, s2": M4_UP, "vfma.f32 s0, s1, s2": M4_UP, "vldr d0, [r4]": M4_UP, "vmov d0, r0, r1": M4_UP, "vcvtb.f32.f16 s0, s1": M4_UP,
    "vselgt.f32 s0, s1, s2": M7_UP, "vmaxnm.f32 s0, s1, s2": M7_UP, "vminnm.f32 s0, s1, s2": M7_UP, "vrinta.f32 s0, s1": M7_UP,
    "vrintz.f32 s0, s1": M7_UP, "vcvta.s32.f32 s0, s1": M7_UP, "vcvtm.u32.f32 s0, s1": M7_UP,
    **dict.fromkeys(("vadd.f64 d0, d1, d2", "vfma.f64 d0, d1, d2", "vdiv.f64 d0, d1, d2", "vsqrt.f64 d0, d1", "vcmp.f64 d0, d1", "vmov.f64 d0, d1",
                     "vcvt.f64.f32 d0, s2", "vcvt.s32.f64 s0, d1", "vseleq.f64 d0, d1, d2", "vrintx.f64 d0, d1"), ("cortex-m7",)),
    **dict.fromkeys(("lda r0, [r4]", "ldab r0, [r4]", "ldaexh r0, [r4]", "stl r0, [r4]", "stlh r0, [r4]", "stlex r1, r0, [r4]", "tt r0, r1", "sg",
                     "mrs r0, msplim", "mov r2, lr\nadr r0, 1f\nadds r0, #1\nbxns r0\n.balign 4\n1: mov lr, r2"), ("cortex-m33",)),
}


@pytest.mark.parametrize("core", CORES)
def test_a_core_executes_what_it_has_and_refuses_what_it_lacks(assembler, core):
    """One image holds it all."""
    image = assembler.image("".join(function(f"snippet{number}", f"{WIDEST}{body}\nbx lr") for number, body in enumerate(HAVE)) + array("buffer", 64))
    for number, have in enumerate(HAVE.values()):
        machine = Machine(image, core, limit=1000)
        if core in have:
            machine.call(f"snippet{number}")
            continue
        with pytest.raises(TargetFault, match=rf"an instruction that {core} does not have; .* in snippet{number}\+"):
            machine.call(f"snippet{number}")


def test_blxns_and_lazy_fpu_state_are_no_cores(assembler):
    """They need the other security state, which the machine has not: nobody could count what follows."""
    for body in ("movs r0, #1\nblxns r0", "vlstm r4", "vlldm r4"):
        with pytest.raises(TargetFault, match="an instruction that cortex-m33 does not have"):
            assembler.machine(f"{WIDEST}{body}\nbx lr", "cortex-m33", array("buffer", 64), limit=1000).call("snippet")


@pytest.mark.parametrize(("body", "expected"), [
    ("vmov.f64 d1, #3.0\nvmov.f64 d2, #0.5\nvmla.f64 d1, d1, d2\nvcvt.s32.f64 s0, d1\nvmov r0, s0", 4),
    ("vmov.f64 d1, #-2.5\nvrinta.f64 d1, d1\nvcvt.s32.f64 s0, d1\nvmov r0, s0", -3),
    ("vmov.f32 s1, #2.0\nvmov.f32 s2, #3.0\nvmaxnm.f32 s0, s1, s2\nvcvt.s32.f32 s0, s0\nvmov r0, s0", 3),
    ("vmov.f32 s1, #2.0\nvmov.f32 s2, #3.0\nmovs r0, #1\nvselgt.f32 s0, s1, s2\nvcvt.s32.f32 s0, s0\nvmov r0, s0", 2),
    ("vmov.f32 s1, #2.5\nvcvta.s32.f32 s0, s1\nvmov r0, s0", 3),
    ("vmov.f32 s1, #2.5\nvcvtn.s32.f32 s0, s1\nvmov r0, s0", 2),
])
def test_unicorns_m7_computes_as_fpv5_does(assembler, body, expected):
    assert assembler.machine(f"{WIDEST}{body}\nbx lr", "cortex-m7", array("buffer", 64)).call("snippet") == expected & 0xFFFFFFFF


def test_acquire_and_release_access_memory(assembler):
    """LDA and STL are counted by their width, and must be aligned."""
    body = "movs r0, #7\nstlb r0, [r4]\nstlh r0, [r4]\nstl r0, [r4]\nldab r0, [r4]\nldah r0, [r4]\nlda r0, [r4]\n"
    machine = assembler.machine(f"{WIDEST}{body}bx lr", "cortex-m33", array("buffer", 64))
    assert machine.call("snippet") == 7
    counts = machine.counts()
    assert counts.traffic[0, counts.objects.index("buffer")].tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(TargetFault, match="unaligned address"):
        assembler.machine(f"{WIDEST}adds r4, #2\nlda r0, [r4]\nbx lr", "cortex-m33", array("buffer", 64)).call("snippet")


def test_registers_of_double_precision():
    vfma, vmov = (Instruction.from_record(decode(code, 0)[0].item()) for code in (b"\xa1\xee\x02\x0b", b"\xb0\xee\x41\x0b"))
    assert vfma.text == "vfma.f64 d0, d1, d2" and vfma.addend == vfma.writes == 3 << 32 and vfma.reads == 15 << 34
    assert vmov.text == "vmov.f64 d0, d1" and vmov.kind == "fp_move" and vmov.flags & Flag.FP64


# --- the tables ---

@pytest.fixture
def table() -> dict:
    return copy.deepcopy(tomllib.loads((cpu.CORES / "cortex-m4.toml").read_text()))


def test_five_cores_from_the_smallest():
    assert tuple(cpu.names()) == CORES
    for name in CORES:
        core = cpu.find(name)
        assert core.name == name and all(core.sources.values())
    assert cpu.that_have(int(Flag.DSP)) == list(M4_UP) and cpu.that_have(int(Flag.FP64)) == ["cortex-m7"]
    assert cpu.find("cortex-m4").lacked(int(Flag.DSP | Flag.FP)) == "" != cpu.find("cortex-m3").lacked(int(Flag.DSP | Flag.FP))


def test_a_name_that_is_none():
    with pytest.raises(UsageError, match="no core 'cortex-m33f' .did you mean cortex-m33..: there are cortex-m0plus, "):
        cpu.find("cortex-m33f")


@pytest.mark.parametrize(("row", "value", "message"), [
    ("model", "M5", "cpu.model must be one of M0, M3"),
    ("architecture", "armv9", "cpu.architecture must be one of armv6-m"),
    ("fpu", "vfpv3", "cpu.fpu must be one of none, fpv4"),
    ("fpu", "none", "cpu.lacks: fpu 'none' lacks FP, FPV5, FP64, but FPV5, FP64 is named"),
    ("cpuid", "0x41", "cpu.cpuid must be of type int"),
    ("cpuid", True, "cpu.cpuid must be of type int"),
    ("unaligned", 1, "cpu.unaligned must be of type bool"),
    ("lacks", "DSP", "cpu.lacks must be of type list"),
    ("lacks", ["MVE"], "cpu.lacks: no instruction set 'MVE'; there are V7M, "),
    ("lacks", ["BRANCH"], "no instruction set 'BRANCH'"),
    ("lacks", [1], "no instruction set 1"),
    ("lacks", ["FPV5", "V8M"], "cpu.lacks: fpu 'fpv4-sp-d16' lacks FPV5, FP64, but FPV5 is named"),
])
def test_a_value_that_means_nothing(table, row, value, message):
    table["cpu"][row]["value"] = value
    with pytest.raises(ValueError, match=message):
        cpu.from_table(table)


def test_rows_and_sources_are_wanted(table):
    for change, message in ((lambda rows: rows.pop("fpu"), r"\[cpu\]: missing row: fpu"),
                            (lambda rows: rows.update(cores={"value": 2, "source": "x"}), r"\[cpu\]: unknown row: cores"),
                            (lambda rows: rows["fpu"].pop("source"), "cpu.fpu: { value, source } is wanted"),
                            (lambda rows: rows["fpu"].update(source=1), "cpu.fpu: { value, source } is wanted"),
                            (lambda rows: rows.update(fpu="none"), "cpu.fpu: { value, source } is wanted")):
        changed = copy.deepcopy(table)
        change(changed["cpu"])
        with pytest.raises(ValueError, match=message):
            cpu.from_table(changed)
    for broken in ({"name": "x"}, {"cpu": table["cpu"]}, {"name": "x", "cpu": 1}):
        with pytest.raises(ValueError, match="section .cpu. are wanted"):
            cpu.from_table(broken)
