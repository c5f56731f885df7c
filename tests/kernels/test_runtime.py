"""The compiler's helpers of armsrc/runtime against Python, on random and extreme operands, on the emulated Cortex-M0+."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unicorn import arm_const

from emu.build import compile as images
from emu.build import toolchain
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.machine import Machine
from emu.timing import core, pricing

CORE = "cortex-m0plus"
RESULTS = [arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2, arm_const.UC_ARM_REG_R3]
SAVED = [getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(4, 12)]
RUN = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
EDGES = sorted({sign * ((1 << n) + d) for n in range(64) for d in (-1, 0, 1) for sign in (1, -1)})


def words(bits: int) -> st.SearchStrategy[int]:
    """Unsigned words of every length, and the edges of the type."""
    mask = (1 << bits) - 1
    short = st.integers(0, bits).flatmap(lambda n: st.integers(0, (1 << n) - 1))
    return st.one_of(short, short.map(lambda n: -n & mask), st.sampled_from(EDGES).map(lambda n: n & mask))


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def towards_zero(n: int, d: int) -> tuple[int, int]:
    """Quotient and remainder as C divides."""
    quotient = abs(n) // abs(d) * (1 if (n < 0) == (d < 0) else -1)
    return quotient, n - quotient * d


@functools.cache
def machine(extra: str = "") -> Machine:
    """The run-time on the M0+, and functions in assembly beside it."""
    generated = {"extra.S": extra} if extra else {}
    path = images.build("c", generated=generated, float_abi=False, toolchain=toolchain.find(), script="library", cpu=CORE)
    return Machine(Image.load(path), CORE)


def call(function: str, *arguments: int, extra: str = "") -> list[int]:
    """r0 to r3 behind the call; the registers that AAPCS keeps are as before, and so is the stack pointer."""
    engine = machine(extra).engine
    for number, register in enumerate(SAVED):
        engine.reg_write(register, 0xC0DE0000 + number)
    machine(extra).call(function, *arguments)
    assert [engine.reg_read(register) for register in SAVED] == [0xC0DE0000 + number for number in range(len(SAVED))]
    assert engine.reg_read(arm_const.UC_ARM_REG_SP) == machine(extra).stack[1]
    return [engine.reg_read(register) for register in RESULTS]


def halves(value: int) -> tuple[int, int]:
    """(lower, upper) word, as register pairs hold 64 bits."""
    return value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF


def function(name: str, body: str) -> str:
    """A global Thumb function in assembly."""
    return f".syntax unified\n.thumb\n.text\n.balign 4\n.global {name}\n.type {name}, %function\n{name}:\n{body}\n.size {name}, . - {name}\n"


def joined(lower: int, upper: int) -> int:
    return lower | upper << 32


@RUN
@given(words(64), words(64))
def test_multiplication(a: int, b: int) -> None:
    r0, r1, *_ = call("__aeabi_lmul", *halves(a), *halves(b))
    assert joined(r0, r1) == a * b & (1 << 64) - 1


DIVISIONS = {  # name -> bits, signed
    "__aeabi_uidiv": (32, False), "__aeabi_uidivmod": (32, False), "__aeabi_idiv": (32, True), "__aeabi_idivmod": (32, True),
    "__aeabi_uldivmod": (64, False), "__aeabi_ldivmod": (64, True)}


HANDLERS = function("__aeabi_idiv0", "bx lr") + function("__aeabi_ldiv0", "bx lr")


def divided(name: str, n: int, d: int, extra: str = "") -> tuple[int, int]:
    """(quotient, remainder), unsigned, as the function left them."""
    if DIVISIONS[name][0] == 32:
        r0, r1, *_ = call(name, n, d, extra=extra)
        return r0, r1
    r0, r1, r2, r3 = call(name, *halves(n), *halves(d), extra=extra)
    return joined(r0, r1), joined(r2, r3)


@pytest.mark.parametrize("name", DIVISIONS)
def test_division(name: str) -> None:
    bits, is_signed = DIVISIONS[name]
    mask = (1 << bits) - 1

    @RUN
    @given(words(bits), words(bits).filter(bool))
    def check(n: int, d: int) -> None:
        expected = towards_zero(signed(n, bits), signed(d, bits)) if is_signed else divmod(n, d)
        assert divided(name, n, d) == tuple(value & mask for value in expected)

    check()


@pytest.mark.parametrize("name", DIVISIONS)
def test_division_by_zero_is_what_udiv_and_sdiv_give(name: str) -> None:
    """Quotient 0, and so the dividend as the remainder."""
    bits = DIVISIONS[name][0]
    for n in (0, 1, 5, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 1):
        assert divided(name, n, 0) == (0, n)


@pytest.mark.parametrize("name", DIVISIONS)
def test_division_by_zero_asks_the_programs_own_handler(name: str) -> None:
    """With one that returns what it is given, the quotient is what the Run-time ABI (4.3.2) hands to it."""
    bits, is_signed = DIVISIONS[name]
    largest = (1 << bits - is_signed) - 1
    for n in (0, 7, 1 << bits - 1, (1 << bits) - 1):
        expected = 0 if n == 0 else largest if not is_signed or signed(n, bits) > 0 else 1 << bits - 1
        assert divided(name, n, 0, HANDLERS) == (expected, n)


SHIFTS = {"__aeabi_llsl": lambda a, n: a << n, "__aeabi_llsr": lambda a, n: a >> n, "__aeabi_lasr": lambda a, n: signed(a, 64) >> n}


@pytest.mark.parametrize("name", SHIFTS)
def test_shifts(name: str) -> None:
    @RUN
    @given(words(64), st.integers(0, 63))
    def check(a: int, n: int) -> None:
        r0, r1, *_ = call(name, *halves(a), n)
        assert joined(r0, r1) == SHIFTS[name](a, n) & (1 << 64) - 1

    check()
    for n in range(64):
        for a in (1, 1 << 63, (1 << 64) - 1):
            r0, r1, *_ = call(name, *halves(a), n)
            assert joined(r0, r1) == SHIFTS[name](a, n) & (1 << 64) - 1


@RUN
@given(words(32))
def test_leading_zeros(a: int) -> None:
    assert call("__clzsi2", a)[0] == 32 - a.bit_length()


# Switch helper -> directive of an entry, what it counts, and where targets lie, in bytes from the table: the ends of its range.
SWITCHES = {"uqi": (".byte", 2, (4, 200, 510)), "sqi": (".byte", 2, (-256, -60, 254)), "uhi": (".hword", 2, (8, 0x8000, 0x1FFFE)),
            "shi": (".hword", 2, (-0x10000, -60, 0xFFFE)), "si": (".word", 1, (-0x10002, -60, 0x10002))}


def switch(name: str, odd: bool) -> str:
    """A function that jumps by the table to code that adds 16 * index to r0 and returns; odd: its BL ends at 2 mod 4."""
    directive, unit, targets = SWITCHES[name]
    table = 0x10100  # bytes from the section's begin
    code = [(table + at, f"adds r0, #{16 * n}\nbx r2\n") for n, at in enumerate(targets)]
    entry = table - 6 - 2 * odd
    code.append((entry, f".global enter\n.type enter, %function\nenter:\nmov r2, lr\nbl __gnu_thumb1_case_{name}\n.balign 4\n"
                 + "".join(f"{directive} {at // unit}\n" for at in targets) + ".balign 2\n.size enter, . - enter\n"))
    return '.syntax unified\n.section .text.enter, "ax", %progbits\n.balign 4\n.thumb\n' + "".join(
        f".org {at}\n{text}" for at, text in sorted(code))


@pytest.mark.parametrize(("name", "odd"), [*((name, False) for name in SWITCHES), ("si", True)])
def test_switches(name: str, odd: bool) -> None:
    """Each entry leads to its own code, before and behind the table, and all registers but ip and lr are as they were."""
    for index in range(len(SWITCHES[name][2])):
        r0, r1, _, r3 = call("enter", index, 0x11111111, 0, 0x33333333, extra=switch(name, odd))
        assert (r0, r1, r3) == (17 * index, 0x11111111, 0x33333333)


def test_gcc_makes_and_reads_such_tables() -> None:
    """A switch as gcc -Os compiles it for the M0+, through __gnu_thumb1_case_*."""
    cases = "".join(f"case {n}: return x * {2 * n + 3} - {n};" for n in range(12))
    text = f"int choose(int n, int x);\nint choose(int n, int x)\n{{ switch (n) {{ {cases} }} return -1; }}\n"
    path = images.build("c", generated={"choose.c": text}, float_abi=False, toolchain=toolchain.find(), script="library", cpu=CORE, opt="Os")
    built = Machine(Image.load(path), CORE)
    for n in range(14):
        assert built.call("choose", n, 100) == (100 * (2 * n + 3) - n if n < 12 else 0xFFFFFFFF)
    called = built.image.symbols["__gnu_thumb1_case_uqi"].address
    assert any(stream.start == called for stream in built.counts().streams)


# --- what the heads say of cycles ---

# (file, what its head says with {} for figures, the calls that cost them: one, or one less another)
CLAIMS = [
    ("multiply.S", "Cycles: {}.", [("__aeabi_lmul", 3, 4, 5, 6)]),
    ("divide.S", "Cycles: {} to {} for a quotient of one byte", [("__aeabi_uidiv", 5, 9), ("__aeabi_uidiv", 255, 1)]),
    ("divide.S", "{} to {} more for each further byte", [
        (("__aeabi_uidiv", 0xFF00, 1), ("__aeabi_uidiv", 0xFF, 1)), (("__aeabi_uidiv", 0xFFFF, 1), ("__aeabi_uidiv", 0xFF, 1))]),
    ("divide.S", "signed {} more. By zero {}, signed {}.", [
        (("__aeabi_idiv", 100, 7), ("__aeabi_uidiv", 100, 7)), ("__aeabi_uidiv", 5, 0), ("__aeabi_idiv", 5, 0)]),
    ("divide64.S", "of words {} more than their division", [(("__aeabi_uldivmod", 100, 0, 7, 0), ("__aeabi_uidivmod", 100, 7))]),
    ("divide64.S", "else from {} (a quotient of 2 bits) to {} (of 64); signed {} more.", [
        ("__aeabi_uldivmod", 0, 1 << 8, 0, 1 << 7), ("__aeabi_uldivmod", 0, 1 << 31, 1, 0),
        (("__aeabi_ldivmod", 0, 1 << 8, 1000, 0), ("__aeabi_uldivmod", 0, 1 << 8, 1000, 0))]),
    ("shift.S", "Cycles: {}; __aeabi_lasr by 32 and more {}.", [("__aeabi_llsl", 1, 2, 3), ("__aeabi_lasr", 1, 2, 32)]),
    ("clz.S", "Cycles: {} to {}.", [("__clzsi2", 0xFFFFFFFF), ("__clzsi2", 0)]),
    ("switch.S", "Cycles: {} of bytes; of halfwords {}, signed {}; {} of words.", [(name,) for name in ("uqi", "uhi", "shi", "si")]),
]


def cycles(name: str, *arguments: int) -> int:
    """Of one call, without the BL; of a switch helper, of its own instructions."""
    fresh = Machine(machine(switch(name, False) if name in SWITCHES else "").image, CORE)
    fresh.call("enter" if name in SWITCHES else name, *arguments)
    counts = fresh.counts()
    if name in SWITCHES:
        begin = fresh.image.symbols[f"__gnu_thumb1_case_{name}"].address
        counts = replace(counts, streams=[stream for stream in counts.streams if stream.start == begin])
    return int(pricing.price(counts, fresh.instructions, core.load(CORE))[0])


@pytest.mark.parametrize(("file", "phrase", "calls"), CLAIMS)
def test_cycles_that_the_heads_say(file: str, phrase: str, calls: list) -> None:
    figures = [cycles(*call) if isinstance(call[0], str) else cycles(*call[0]) - cycles(*call[1]) for call in calls]
    assert phrase.format(*figures) in (REPOSITORY / "armsrc" / "runtime" / file).read_text(), f"{file}: the model says {figures}"
