"""Random but valid Thumb-2 programs, made of blocks that leave the stack and the base registers as they found them.

r4 points into `buf`, r10 at `area`, r5 at the constants `table`, lr is saved; r0-r3, r6-r9, r11, r12 and s0-s15 are anybody's.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

from tests.emu.target import array, function

CONDITIONS = {"eq": "ne", "hs": "lo", "mi": "pl", "vs": "vc", "hi": "ls", "ge": "lt", "gt": "le"}
CONDITIONS |= {b: a for a, b in CONDITIONS.items()}
DATA = (
    array("buf", 512)
    + array("area", 64, ".data")
    + array("unused", 24)
    + """    .section .rodata.table, "a", %progbits
    .balign 8
    .global table
    .type table, %object
table:
    .word 0x00010203, 0x7fffffff, 0x80000001, 0xdeadbeef, 1, 2, 3, 4, 5, 6, 7, 8
    .size table, . - table
    .text
"""
)
PROLOGUE = """push {r4-r11, lr}
ldr r4, =buf+256
ldr r5, =table
ldr r10, =area
mov r6, r0
mov r7, r1
mov r8, r2
mov r9, r3
mov r11, r4
mov r12, r5"""
EPILOGUE = "pop {r4-r11, pc}"


class Maker:
    """What a block needs to write itself: chance, and labels that are its own."""

    def __init__(self, seed: int, label: str) -> None:
        self.chance = random.Random(seed)
        self.label = label
        self.number = 0

    def new(self) -> str:
        self.number += 1
        return f".L{self.label}_{self.number}"

    def one(self, *choices: object) -> str:
        return str(self.chance.choice(choices))

    def register(self) -> str:
        return f"r{self.chance.randrange(4)}"

    def condition(self) -> str:
        return self.one(*CONDITIONS)

    def number_below(self, limit: int, step: int = 1) -> int:
        return self.chance.randrange(0, limit, step)


def alu(m: Maker) -> str:
    """Flags of every sort; multiplies; the SIMD and saturating instructions."""
    return m.one(
        f"adds {m.register()}, #{m.number_below(256)}",
        f"subs {m.register()}, {m.register()}, {m.register()}",
        f"cmp {m.register()}, {m.register()}",
        f"cmp {m.register()}, #0",
        f"mvns {m.register()}, {m.register()}",
        f"lsls {m.register()}, {m.register()}, #{m.number_below(31)}",
        f"adc.w {m.register()}, {m.register()}, {m.register()}, asr #3",
        f"movw {m.register()}, #{m.number_below(65536)}",
        f"smlad {m.register()}, {m.register()}, {m.register()}, {m.register()}",
        f"usat {m.register()}, #8, {m.register()}",
        "smlal r0, r1, r2, r3",
        "umaal r2, r3, r0, r1",
        f"sxtb16 {m.register()}, {m.register()}, ror #8",
        "nop.w",
        "dsb",
        "mrs r0, apsr",
    )


def access(m: Maker) -> str:
    """One load or store, any width, any way to address, aligned or not."""
    register, odd = m.register(), m.number_below(8)
    return m.one(
        f"ldr {register}, [r4, #{m.number_below(64, 4)}]",
        f"str {register}, [r4, #{m.number_below(64, 4)}]",
        f"ldrb {register}, [r5, #{odd}]",
        f"strb {register}, [r4, #{odd}]",
        f"strh {register}, [r4, #{odd}]",
        f"ldrh {register}, [r10, #{odd}]",
        f"ldr {register}, [r4, #-{odd}]",
        f"str {register}, [r10, #{odd}]",
        f"ldrsb.w {register}, [r5, #{odd}]",
        f"ldrsh.w {register}, [r5, #{odd}]",
        f"ldrbt {register}, [r5, #{odd}]",
        f"strht {register}, [r4, #{odd}]",
        f"ldrt {register}, [r10, #4]",
        f"ldrd {register}, r12, [r4, #{m.number_below(64, 4)}]",
        f"strd {register}, r12, [r4, #-{m.number_below(64, 4)}]",
        f"ldm r5, {{{register}, r8, r9}}",
        f"stm r10, {{{register}, r6}}",
        f"ldrd {register}, r9, [r5, #8]",
        f"vldr s{odd}, [r5, #{m.number_below(32, 4)}]",
        f"vstr d{odd}, [r4, #{m.number_below(32, 4)}]",
        f"vldr d{odd}, [r4, #-8]",
        f"vldmia r5, {{s{odd}-s{odd + 3}}}",
        f"vstmia r10, {{d{odd}-d{odd + 1}}}",
    )


def indexed(m: Maker) -> str:
    """Register offsets."""
    kind, shift = m.one("ldr", "str", "ldrb", "strb", "ldrh", "strh", "ldrsb", "ldrsh"), m.number_below(4)
    index = f"mov r6, #{m.number_below(6)}"
    narrow = f"{kind} {m.register()}, [r4, r6]"
    return index + "\n" + m.one(narrow, f"{kind}.w {m.register()}, [r4, r6, lsl #{shift}]", f"{kind}.w r8, [r4, r6, lsl #{shift}]")


def write_back(m: Maker) -> str:
    """Pre- and post-index of every sort, from r11, which begins at r4."""
    step = m.number_below(64, 4)
    sign = m.one("", "-")
    register = m.register()
    return "mov r11, r4\n" + "\n".join(
        m.one(
            f"ldr {register}, [r11], #{sign}{step}",
            f"str {register}, [r11, #{sign}{step}]!",
            f"ldrb {register}, [r11, #{sign}{step}]!",
            f"strh {register}, [r11], #{sign}{step}",
            f"ldrd {register}, r12, [r11], #{sign}{step}",
            f"strd {register}, r12, [r11, #{sign}{step}]!",
            f"ldmia r11!, {{{register}, r12}}",
            f"stmdb r11!, {{{register}, r8, r12}}",
            "ldmdb r11!, {r8, r9}",
            f"stmia r11!, {{{register}, r6}}",
            f"ldmdb r11, {{{register}, r11}}\nmov r11, r4",
            "vldmia r11!, {s0-s4}",
            "vstmdb r11!, {d1-d2}",
            "vldmdb r11!, {d3}",
        )
        for _ in range(2)
    )


def it_block(m: Maker) -> str:
    """An IT block of any shape; members that change flags; a branch, sometimes, at its end."""
    condition, letters = m.condition(), "".join(m.one("t", "e") for _ in range(m.number_below(4)))
    conditions = [condition, *(condition if letter == "t" else CONDITIONS[condition] for letter in letters)]
    lines, end = [f"it{letters} {condition}"], m.new()
    for at, this in enumerate(conditions):
        if at == len(conditions) - 1 and m.chance.random() < 0.3:
            lines.append(m.one(f"b{this}.n {end}", f"b{this}.w {end}"))
        else:
            lines.append(_predicated(m, this))
    return "\n".join([*lines, *m.chance.sample([alu(m), f"{end}:"], 2)])  # half of the branches go to the next instruction


def _predicated(m: Maker, condition: str) -> str:
    """One instruction that may stand anywhere in an IT block, under that condition."""
    kind = m.one("alu", "access", "access", "flags", "write_back")
    if kind == "flags":
        return f"cmp{condition} {m.register()}, {m.register()}"
    if kind == "alu":
        return m.one(
            f"mov{condition} {m.register()}, #{m.number_below(256)}",
            f"add{condition}.w {m.register()}, {m.register()}, #1",
            f"mul{condition}.w {m.register()}, {m.register()}, {m.register()}",
            f"vadd{condition}.f32 s0, s1, s2",
        )
    if kind == "write_back":
        return m.one(f"ldr{condition} {m.register()}, [r11], #0", f"ldm{condition}ia r5, {{r0, r2}}", f"stm{condition}ia r10, {{r1, r3}}")
    text = access(m).split(" ", 1)
    name, _, suffix = text[0].partition(".")
    for ending in ("ia", "db"):
        if name.endswith(ending) and name.startswith("v"):
            return f"{name}{condition} {text[1]}"
    return f"{name}{condition}{'.' + suffix if suffix else ''} {text[1]}"


def loop(m: Maker) -> str:
    """A counted loop around accesses and an IT block."""
    top, body = m.new(), "\n".join(block(m) for block in m.chance.sample([alu, access, it_block, indexed], 2))
    return f"mov r7, #{1 + m.number_below(5)}\n{top}:\n{body}\nsubs r7, #1\nbne {top}"


def branches(m: Maker) -> str:
    """Conditional branches taken, not taken, and to the next instruction; CBZ and CBNZ."""
    label = m.new()
    return m.one(
        f"b{m.condition()}.n {label}\n{access(m)}\n{label}:",
        f"b{m.condition()}.w {label}\n{label}:",
        f"b{m.condition()}.n {label}\n{label}:",
        f"b.n {label}\n{label}:",
        f"{m.one('cbz', 'cbnz')} {m.register()}, {label}\nnop\n{alu(m)}\n{label}:",
        f"b{m.condition()} {label}\n{alu(m)}\n{access(m)}\n{label}: {access(m)}",
        f"bl {label}\n{label}:",
    )


def table_branch(m: Maker) -> str:
    """TBB and TBH, from the PC and from another register."""
    a, b, end, table, branch = m.new(), m.new(), m.new(), m.new(), m.new()
    wide, own = m.chance.random() < 0.5, m.chance.random() < 0.5
    base, unit = ("r8" if own else "pc"), (".short" if wide else ".byte")
    jump = f"tbh [{base}, r6, lsl #1]" if wide else f"tbb [{base}, r6]"
    before = f"adr.w r8, {table}\n" if own else ""
    entries = ", ".join(f"({target} - {branch} - 4) / 2" for target in (a, b, end, a))
    return (
        f"mov r6, #{m.number_below(4)}\n{before}{branch}: {jump}\n{table}: {unit} {entries}\n.balign 2\n{a}: {alu(m)}\n{access(m)}\n"
        f"{b}: {alu(m)}\n{end}:"
    )


def literals(m: Maker) -> str:
    """PC-relative loads of every width, of data that the code jumps over."""
    data, end = m.new(), m.new()
    loads = "\n".join(
        m.one(
            f"ldr.w {m.register()}, {data}",
            f"ldrh {m.register()}, {data}+{m.number_below(8)}",
            f"ldrsb {m.register()}, {data}+3",
            f"ldrd r0, r1, {data}",
            f"vldr s1, {data}+4",
            f"vldr d2, {data}",
            f"ldr {m.register()}, =0x{m.number_below(1 << 30):x}",
            f"ldrb {m.register()}, {data}+1",
            f"ldr.w {m.register()}, {data}+{m.one(0, 1, 2)}",
        )
        for _ in range(2)
    )
    return f"{loads}\nb {end}\n.balign 4\n{data}: .word 0x01828384, 0x3f800000\n{end}:\n{loads if m.chance.random() < 0.3 else ''}"


def calls(m: Maker) -> str:
    """Calls of a function that returns in any of the ways there are, conditional ones included."""
    callee, end, condition = m.new(), m.new(), m.condition()
    saved = m.chance.random() < 0.7
    back = (
        m.one(
            "pop {r6, pc}",
            "ldmia sp!, {r6, pc}",
            f"it {condition}\npop{condition} {{r6, pc}}\npop {{r6, pc}}",
            "pop {r6, lr}\nbx lr",
            "ldr r6, [sp], #4\nldr pc, [sp], #4",
            "add sp, #4\nldr lr, [sp], #4\nmov pc, lr",
            f"ite {condition}\nmov{condition} r0, #7\npop{CONDITIONS[condition]} {{r6, pc}}\npop {{r8, lr}}\nbx lr",
        )
        if saved
        else m.one(
            "bx lr",
            "mov pc, lr",
            f"it {condition}\nbx{condition} lr\nbx lr",
            f"itt {condition}\nldr{condition} r0, [r4]\nbx{condition} lr\nmov pc, lr",
        )
    )
    how = m.one(f"bl {callee}", f"adr.w r9, {callee}\nadd r9, #1\nblx r9", f"cmp r0, r1\nit {condition}\nbl{condition} {callee}")
    return f"{how}\nb {end}\n.balign 4\n{callee}:\n{'push {r6, lr}' if saved else 'nop'}\n{access(m)}\n{back}\n{end}:"


def jumps(m: Maker) -> str:
    """Computed jumps."""
    there = m.new()
    return (
        m.one(
            f"adr.w r9, {there}\nadd r9, #1\nbx r9",
            f"adr.w r9, {there}\nmov pc, r9",
            f"ldr.w pc, ={there}+1",
            f"ldr r9, ={there}+1\nbx r9",
            "mov r9, #0\nadd pc, r9\nnop",
        )
        + f"\n{alu(m)}\n.balign 4\n{there}:"
    )


def stack(m: Maker) -> str:
    """PUSH and POP, space of one's own, one register at a time, floating-point registers."""
    return m.one(
        "push {r0-r2}\npop {r0, r6, r8}",
        "push {r3}\npop.w {r9}",
        "push.w {r0, r8, r12}\nldr r0, [sp, #8]\nadd sp, #12",
        "sub sp, #16\nstr r0, [sp, #4]\nldrh r1, [sp, #6]\nstrd r1, r2, [sp, #8]\nadd sp, #16",
        "vpush {s0-s2}\nvpop {s4-s6}",
        "vpush {d0-d1}\nadd sp, #16",
        "mov r9, sp\nsub.w sp, sp, #256\nstm sp, {r0, r1}\nmov sp, r9",
        "str r2, [sp, #-8]!\nldr r2, [sp], #8",
    )


def floats(m: Maker) -> str:
    """Arithmetic, moves and compares."""
    return m.one(
        "vadd.f32 s0, s1, s2",
        "vmla.f32 s3, s0, s4",
        "vmul.f32 s1, s1, s5",
        "vmov r0, r1, s0, s1",
        "vmov s6, r3",
        "vcmp.f32 s0, s1\nvmrs apsr_nzcv, fpscr",
        "vmov d4, r0, r1",
        "vcvt.s32.f32 s7, s0",
        "vdiv.f32 s2, s3, s4",
        "vmov.f32 s1, #2.0",
        "vfma.f32 s0, s0, s0",
    )


def divides(m: Maker) -> str:
    """Quotients of any length, zero divisors too."""
    return f"{m.one('udiv', 'sdiv')} {m.register()}, {m.register()}, {m.register()}"


def exclusives(m: Maker) -> str:
    """LDREX and STREX, the store with and without the monitor."""
    width = m.one("", "b", "h")
    return f"ldrex{width} r0, [r4]\n{m.one('', 'clrex')}\nstrex{width} r6, r1, [r4]"


BLOCKS: dict[str, Callable[[Maker], str]] = {
    f.__name__: f
    for f in (
        alu,
        access,
        indexed,
        write_back,
        it_block,
        loop,
        branches,
        table_branch,
        literals,
        calls,
        jumps,
        stack,
        floats,
        divides,
        exclusives,
    )
}
WITHOUT_IT = ("alu", "access", "indexed", "write_back", "table_branch", "literals", "stack", "floats", "divides", "jumps")


def programs(names: tuple[str, ...] = tuple(BLOCKS), most: int = 30) -> st.SearchStrategy[str]:
    """Whole sources, the function `snippet` and its data. A failure shrinks block by block."""
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 1 << 30)), min_size=1, max_size=most).map(program)


def program(blocks: list[tuple[str, int]]) -> str:
    """The source of these blocks: (name, seed) each."""
    body = [PROLOGUE]
    for at, (name, seed) in enumerate(blocks):
        body.append(BLOCKS[name](Maker(seed, f"{at}")))
    return function("snippet", "\n".join([*body, EPILOGUE])) + DATA
