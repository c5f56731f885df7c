"""How a firmware ends: its own exit code, or one line that says what no core would go on from."""

from __future__ import annotations

import pytest

from emu.machine import peripherals
from tests.firmware.conftest import FPU, HOSTED


def ends(start, body: str, *flags: str, head: str = "", **options: object):
    done = start(f'#include "firmware.h"\n{head}\nint main(void) {{\n{body}\n}}\n', *flags, **options)
    assert "\n" not in done.result.ending.text
    return done


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (255, 255), (256, 0), (-1, 255)])
def test_what_main_returns_is_the_exit_status(start, code, status):
    done = ends(start, f"return {code};")
    assert (done.result.ending.how, done.code, done.result.ending.status) == ("returned", code, status)


def test_semihosting_exit(start):
    assert ends(start, "leave(42);").result.ending.status == 42
    assert ends(start, "semihosting(0x18, 0x20026);").result.ending.status == 0
    assert ends(start, "semihosting(0x18, 0x20023);").result.ending.status == 1
    assert ends(start, "CALL(0x20, 0x20023, 9);").result.ending.status == 1


def test_exit_of_a_library_without_semihosting(start):
    done = start("#include <stdlib.h>\nint main(void) { exit(6); }", base=("--specs=nosys.specs", "-Wl,--no-warnings"))
    assert (done.result.ending.how, done.code) == ("exit", 6)


def test_firmware_done(start):
    head = "void firmware_done(void) { for (;;) ; }"
    done = ends(start, "firmware_done(); return 1;", head=f"__attribute__((noinline)) {head}")
    assert (done.result.ending.how, done.result.ending.status) == ("done", 0)


def test_reset(start):
    done = ends(start, "REG(0xE000ED0C) = 0x05FA0004; return 1;")
    assert (done.result.ending.how, done.result.ending.status) == ("reset", 0)
    assert "SYSRESETREQ" in done.result.ending.text
    assert ends(start, "REG(0xE000ED0C) = 0x12340004; return 1;").code == 1  # without the key


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("for (;;) ;", r"no end in sight: an endless loop, and no interrupt can come; 'b.* in main"),
        ('__asm volatile("wfi");', r"the core sleeps \(WFI\), and nothing is there to wake it; 'wfi' at 0x.* in main"),
        ('__asm volatile("wfe");', r"the core sleeps \(WFE\)"),
        ('REG(0xE000E014) = 99; REG(0xE000E010) = 5; __asm volatile("wfi");', r"the core sleeps"),
    ],
)
def test_idle_for_ever(start, body, line):
    import re

    done = ends(start, body)
    assert (done.result.ending.how, done.result.ending.status) == ("idle", 5)
    assert re.search(line, done.result.ending.text)


def test_limit(start):
    done = ends(start, "for (volatile int n = 0;; n++) ;", limit=100_000)
    assert done.result.ending.status == 5
    assert "no end in sight after 100,000 instructions; " in done.result.ending.text
    assert 100_000 <= done.result.totals.instructions < 100_100


FAULTS = [
    ("REG(0x70000000) = 1;", "write of 4 bytes outside memory, at 0x70000000"),
    ("return REG(0x30000000);", "read of 4 bytes outside memory, at 0x30000000"),
    ("REG(0x08000000) = 1;", "write of 4 bytes into flash, at 0x08000000"),
    ('__asm volatile("ldrd r0, r1, [%0]" : : "r"(0x20000001) : "r0", "r1");', "unaligned address 0x20000001, where cortex-m4 faults"),
    ('__asm volatile("udf #1");', "an instruction that cortex-m4 does not have; 'udf #1'"),
    ('__asm volatile("bkpt #3");', "BKPT, and no debugger is there; 'bkpt #3'"),
    ("((void (*)(void))0x70000101)();", "jumped to 0x70000100, where no Thumb code is"),
    ("((void (*)(void))0x08000050)();", "jumped to 0x08000050, where no Thumb code is"),
    ('__asm volatile("mov lr, #0\\n bx lr");', "jumped to 0x00000000, where no Thumb code is"),
]


@pytest.mark.parametrize(("body", "line"), FAULTS)
def test_a_fault_without_a_handler_of_its_own(start, body, line):
    """The default handler loops: what is told is the fault."""
    done = ends(start, body + "\nreturn 0;")
    assert (done.result.ending.how, done.result.ending.status) == ("fault", 5)
    assert done.result.ending.text.startswith(line)
    assert " in main+0x" in done.result.ending.text
    assert "program.c" not in done.result.ending.text or ":" in done.result.ending.text
    assert done.result.notes == (f"HardFault: {done.result.ending.text}",)


def test_data_as_code(start):
    """A core would run it; nobody could count it."""
    done = ends(start, "((void (*)(void))0x20000101)(); return 0;")
    assert done.result.ending.text.startswith("executed what is no instruction of the image, at 0x20000100; 'blx r")


def test_floating_point_that_is_off(start):
    off = "REG(0xE000ED88) = 0; __asm volatile(\"dsb; isb; vmov.f32 s0, #1.0\");"
    assert "CPACR has the FPU off" in ends(start, off + "return 0;", *FPU).result.ending.text


HANDLER = """
__attribute__((naked)) void {name}_Handler(void) {{ __asm volatile("mrs r0, msp\\n b handle"); }}
__attribute__((used)) void handle(uint32_t *frame) {{
    print_hex(REG(0xE000ED28)); print_hex(REG(0xE000ED2C)); print_hex(REG(0xE000ED38));
    print_hex(frame[6] & 1); print_hex(REG(0xE000ED04) & 0x1FF);
    frame[6] += {skip};
}}
"""


@pytest.mark.parametrize(
    ("body", "skip", "enable", "registers"),
    [
        ("REG(0x70000000) = 1;", 2, 0, "8200 40000000 70000000 0 3 "),
        ("REG(0x70000000) = 1;", 2, 17, "8200 0 70000000 0 5 "),
        ('__asm volatile("udf #1");', 2, 0, "10000 40000000 0 0 3 "),
        ('__asm volatile("udf #1");', 2, 18, "10000 0 0 0 6 "),
        ('__asm volatile("ldrd r0, r1, [%0]" : : "r"(0x20000001) : "r0", "r1");', 4, 18, "1000000 0 0 0 6 "),
        ('__asm volatile("bkpt #3");', 2, 0, "0 80000000 0 0 3 "),
        ('__asm volatile("cpsid i\\n svc #3");', 0, 0, "0 0 0 0 3 "),
    ],
)
def test_a_handler_that_goes_on(start, body, skip, enable, registers):
    """CFSR, HFSR, BFAR and the frame; a handler that moves the PC behind the instruction returns, and the program ends well."""
    name = {0: "HardFault", 17: "BusFault", 18: "UsageFault"}[enable]
    done = ends(start, f"REG(0xE000ED24) = {1 << enable if enable else 0};\n{body}\nREG(0xE000ED28) = ~0u; leave(REG(0xE000ED28) ? 1 : 0);",
                head=HANDLER.format(name=name, skip=skip))
    assert done.code == 0
    if "svc" not in body:
        assert done.out == registers
    assert len(done.result.notes) == 1
    assert done.result.notes[0].startswith(f"{name}: ")


def test_a_fault_inside_a_fault_handler_locks_up(start):
    head = "void HardFault_Handler(void) { REG(0x70000004) = 2; }"
    done = ends(start, "REG(0x70000000) = 1; return 0;", head=head)
    assert done.result.ending.status == 5
    assert done.result.ending.text.startswith("lock-up: a fault inside HardFault: write of 4 bytes outside memory, at 0x70000004; ")
    assert "in HardFault_Handler+0x" in done.result.ending.text
    assert "; the first was: write of 4 bytes outside memory, at 0x70000000; " in done.result.ending.text


def test_a_usage_fault_handler_that_faults_escalates(start):
    head = """void UsageFault_Handler(void) { REG(0x70000004) = 2; }
    void HardFault_Handler(void) { leave(REG(0xE000ED2C) == 1u << 30 ? 4 : 5); }"""
    done = ends(start, 'REG(0xE000ED24) = 1 << 18; __asm volatile("udf #1"); return 0;', head=head)
    assert done.code == 4
    assert [note.partition(":")[0] for note in done.result.notes] == ["UsageFault", "HardFault"]


def test_a_stack_that_is_no_memory_locks_up(start):
    done = ends(start, '__asm volatile("movs r0, #8\\n msr msp, r0\\n svc #1");')
    assert done.result.ending.status == 5
    assert done.result.ending.text.startswith("lock-up on the way into SVCall: an exception's frame at 0xffffffe8 lies in no RAM")


def test_a_vector_that_is_no_code_locks_up(start):
    done = ends(start, "static uint32_t table[64] __attribute__((aligned(256))); REG(0xE000ED08) = (uint32_t)table; REG(0x70000000) = 1; return 0;")
    assert done.result.ending.status == 5
    assert done.result.ending.text.startswith("write of 4 bytes outside memory, at 0x70000000")


def test_a_reset_inside_a_fault_handler_is_the_fault(start):
    head = "void HardFault_Handler(void) { REG(0xE000ED0C) = 0x05FA0004; }"
    done = ends(start, "REG(0x70000000) = 1; return 0;", head=head)
    assert (done.result.ending.how, done.result.ending.status) == ("fault", 5)


def test_an_instruction_of_another_core(start):
    """Built for a Cortex-M4, run as a Cortex-M3."""
    done = ends(start, '__asm volatile("smlad r0, r1, r2, r3" : : : "r0"); return 0;', core="cortex-m3")
    assert done.result.ending.text.startswith("an instruction that cortex-m3 does not have; 'smlad r0, r1, r2, r3' at 0x")
    assert done.result.ending.text.endswith("; cortex-m4 has it")


def test_a_peripheral_that_is_not_there(start):
    text = ends(start, "return REG(0x40023800);").result.ending.text
    assert text.startswith("read of 4 bytes at 0x40023800: no peripheral is there; ")
    text = ends(start, "REG(0x50060808) = 1; return 0;", board="stm32f407").result.ending.text
    assert text.startswith("write of 4 bytes at 0x50060808 (RNG_DR): no peripheral is there; 'str")
    text = ends(start, "REG8(0xE000ED40) = 1; return 0;").result.ending.text
    assert "at 0xe000ed40" in text


IGNORED = """static uint32_t *volatile places[] = {{(uint32_t *){0}, (uint32_t *){1}, (uint32_t *){2}, (uint32_t *){3}}};"""


def test_ignored_peripherals_read_zero_and_are_told_once(start):
    body = """uint32_t sum = 0;
    for (int n = 0; n < 10; n++) {
        volatile uint32_t *at = places[0];
        sum += at[0] + ((volatile uint8_t *)at)[7] + *(volatile uint32_t *)places[1] + *(volatile uint32_t *)places[2];
        at[0] = 0;
    }
    uint32_t a = 1, b = 1;
    __asm volatile("cmp r0, r0\\n ite eq\\n ldreq %0, [%2]\\n ldrne %1, [%2]" : "+r"(a), "+r"(b) : "r"(places[3]) : "cc");
    return sum || a || b != 1 ? 1 : 0;"""
    done = ends(start, body, head=IGNORED.format("0x40023800", "0xE000ED40", "0x52001234", "0x53000000"), ignore_peripherals=True)
    assert done.code == 0
    assert len(done.result.notes) == 5
    assert done.result.notes[0].startswith("read of a peripheral at 0x40023800 ignored: no peripheral is there, in main+0x")
    memory = ends(start, "for (int n = 0; n < 4; n++) *places[n] = places[n][1] = 0;" + body,
                  head=IGNORED.format(*("0x20000800", "0x20000900", "0x20000A00", "0x20000B00")))
    none = ends(start, "for (int n = 0; n < 4; n++) *places[n] = places[n][1] = 0; return 0;",
                head=IGNORED.format(*("0x20000800", "0x20000900", "0x20000A00", "0x20000B00")))
    assert memory.code == 0  # an instruction that was stopped and tried again counts once
    assert abs(done.result.totals.instructions - (memory.result.totals.instructions - none.result.totals.instructions)) < 70


def test_ignoring_is_bounded(start, monkeypatch):
    monkeypatch.setattr(peripherals, "MOST_IGNORED", 16)
    done = ends(start, "for (uint32_t at = 0x40000000; ; at += 4096) REG(at) = 1;", ignore_peripherals=True)
    assert done.result.ending.status == 5
    assert "no peripheral is there" in done.result.ending.text


@pytest.mark.parametrize("access", ["ldr r0, [%0]", "str r0, [%0]"])
def test_an_ignored_access_that_crosses_pages_ends(start, access):
    done = ends(start, f'__asm volatile("{access}" :: "r"(0x40000FFD) : "r0"); return 0;', ignore_peripherals=True)
    assert done.result.ending.status == 5
    assert "at 0x40000ffd: no peripheral is there" in done.result.ending.text


def test_abort_of_newlib(start):
    done = start("#include <stdlib.h>\nint main(void) { abort(); }", base=HOSTED)
    assert done.result.ending.status == 1
