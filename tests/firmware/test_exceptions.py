"""Exceptions and time as programs see them; the programs check themselves, and exit with the line that failed."""

from __future__ import annotations

import pytest

from tests.firmware.conftest import FPU, PROGRAMS

CORES = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


@pytest.mark.parametrize("cpu", CORES)
def test_exceptions(start, cpu):
    """Stacking, EXC_RETURN, priorities, masks, tail-chaining, IT blocks, the process stack, unprivileged code."""
    done = start(PROGRAMS / "exceptions.c", cpu=cpu)
    assert done.code == 0, f"exceptions.c:{done.code}"
    assert done.result.totals.exceptions == 15


def test_exceptions_with_floating_point(start):
    done = start(PROGRAMS / "exceptions.c", *FPU)
    assert done.code == 0, f"exceptions.c:{done.code}"


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m33"])
def test_time(start, cpu):
    """SysTick, WFI, WFE, CYCCNT and the profiling counters."""
    done = start(PROGRAMS / "time.c", cpu=cpu)
    assert done.code == 0, f"time.c:{done.code}"
    assert done.result.reads_time == ("DWT", "SysTick")
    assert 5000 < done.result.totals.sleep_cycles < 7000


def test_time_is_the_report_s_time(start):
    """The counter's end and the report's total are the same clock: what is between reset and the first read, and behind the last, is little."""
    text = """#include "firmware.h"
    int main(void) {
        REG(0xE000EDFC) |= 1 << 24;
        REG(0xE0001000) |= 1;
        for (volatile int n = 1000; n; n--)
            ;
        print_hex(REG(0xE0001004));
        return 0;
    }"""
    done = start(text)
    read = int(done.out, 16)
    assert read < done.cycles < read + 400


def test_a_longer_run_reads_a_later_time(start):
    text = """#include "firmware.h"
    int main(void) {{
        for (volatile int n = {rounds}; n; n--)
            ;
        semihosting(0x10, 0);
        print_hex(semihosting(0x10, 0));
        return 0;
    }}"""
    clocks = [int(start(text.format(rounds=rounds), mhz=0.1).out, 16) for rounds in (1000, 10000)]
    assert 5 < clocks[0] < 15
    assert 9.5 < clocks[1] / clocks[0] < 10.5


def test_exceptions_cost_what_the_core_s_table_says(start):
    """Pending PendSV a hundred times: entry and return on top of the instructions."""
    text = """#include "firmware.h"
    {attribute}void PendSV_Handler(void) {{ }}
    int main(void) {{
        REG(0xE000EDFC) |= 1 << 24;
        REG(0xE0001000) |= 1;
        uint32_t before = REG(0xE0001004);
        for (int n = 0; n < 100; n++)
            REG(0xE000ED04) = {value};
        print_hex(REG(0xE0001004) - before);
        return 0;
    }}"""
    without = int(start(text.format(attribute="", value="0")).out, 16)
    taken = start(text.format(attribute="", value="1 << 28"))
    assert taken.result.totals.exceptions == 100
    from emu.timing.core import load

    exception = load("cortex-m4").exception
    entry_and_return = exception["entry"] + exception["return"]
    handler = 3  # BX LR without the refill of its target, which the exception's cost has
    assert abs((int(taken.out, 16) - without) / 100 - entry_and_return - 1) <= handler


def test_tail_chaining(start):
    text = """#include "firmware.h"
    static int order;
    void IRQ0_Handler(void) { REG(0xE000EF00) = 1; order = order * 10 + 1; }
    void IRQ1_Handler(void) { order = order * 10 + 2; }
    int main(void) {
        REG(0xE000E100) = 3;
        REG(0xE000EF00) = 0;
        __asm volatile("isb");
        return order;
    }"""
    done = start(text)
    assert done.code == 12
    kinds = [site.kind for site in done.system.counts().sites]
    assert kinds.count(5) == 1  # TAIL_CHAIN


def test_sleep_on_exit(start):
    text = """#include "firmware.h"
    static volatile int ticks;
    void SysTick_Handler(void) {
        if (++ticks == 5)
            leave(7);
    }
    int main(void) {
        REG(0xE000E014) = 9999;
        REG(0xE000E018) = 0;
        REG(0xE000ED10) = 2;
        REG(0xE000E010) = 7;
        __asm volatile("wfi");
        leave(1);
    }"""
    done = start(text)
    assert done.code == 7
    assert done.result.totals.sleep_cycles > 45_000
    assert done.result.totals.instructions < 500


def test_an_idle_loop_waits_for_the_timer(start):
    """`b .` is no end while SysTick will interrupt; its rounds are counted."""
    text = """#include "firmware.h"
    void SysTick_Handler(void) { leave(9); }
    int main(void) {
        REG(0xE000E014) = 9999;
        REG(0xE000E018) = 0;
        REG(0xE000E010) = 7;
        for (;;)
            ;
    }"""
    done = start(text)
    assert done.code == 9
    assert 10_000 < done.cycles < 10_300
    assert 2_000 < done.result.totals.instructions < 10_000


def test_context_switch(start):
    """Two tasks that PendSV switches between, each with a stack, a counter and registers of its own, with and without the FPU."""
    text = """#include "firmware.h"
    static uint32_t stacks[2][128] __attribute__((aligned(8)));
    static uint32_t *saved[2];
    static volatile uint32_t counts[2], task, switches;
    #ifdef __ARM_FP
    #define SAVE "tst lr, #16\\n it eq\\n vstmdbeq r0!, {s16-s31}\\n"
    #define RESTORE "tst lr, #16\\n it eq\\n vldmiaeq r0!, {s16-s31}\\n"
    #else
    #define SAVE
    #define RESTORE
    #endif
    __attribute__((used)) uint32_t *next(uint32_t *sp) {
        saved[task] = sp;
        task ^= 1;
        switches++;
        return saved[task];
    }
    __attribute__((naked)) void PendSV_Handler(void) {
        __asm volatile("mrs r0, psp\\n" SAVE "stmdb r0!, {r4-r11, lr}\\n bl next\\n ldmia r0!, {r4-r11, lr}\\n" RESTORE "msr psp, r0\\n bx lr");
    }
    void SysTick_Handler(void) { REG(0xE000ED04) = 1 << 28; }
    static void work(uint32_t which) {
        float half = 0.5f + which;
        for (;;) {
            counts[which]++;
            half = half * 1.0f;
            if (half != 0.5f + which)
                leave(2);
            if (counts[0] > 2000 && counts[1] > 2000)
                leave(switches > 10 ? 0 : 3);
        }
    }
    static void first(void) { work(0); }
    static void second(void) { work(1); }
    int main(void) {
        uint32_t *sp = stacks[1] + 128 - 8 - 9;
        sp[9 + 6] = (uint32_t)second;
        sp[9 + 7] = 1 << 24;
        sp[8] = 0xFFFFFFFD;
        saved[1] = sp;
        REG8(0xE000ED22) = 0xF0;
        REG(0xE000E014) = 2999;
        REG(0xE000E018) = 0;
        REG(0xE000E010) = 7;
        __asm volatile("msr psp, %0\\n movs r0, #2\\n msr control, r0\\n isb" : : "r"(stacks[0] + 128) : "r0");
        first();
        return 1;
    }"""
    for flags in ((), FPU):
        done = start(text, *flags)
        assert done.code == 0
        assert done.result.totals.exceptions > 20


V6M = """#include "firmware.h"
static volatile uint32_t ticks, order;
void SysTick_Handler(void) { ticks++; }
void PendSV_Handler(void) { order = order * 10 + 4; }
void SVC_Handler(void) { order = order * 10 + 1; REG(0xE000ED04) = 1 << 28; order = order * 10 + 2; }
void IRQ1_Handler(void) { order = order * 10 + 7; }
int main(void) {
    __asm volatile("svc 1");
    CHECK(order == 124);
    REG(0xE000E100) = 2;
    CHECK(REG(0xE000E100) == 2);
    __asm volatile("cpsid i");
    REG(0xE000E200) = 2;
    CHECK(order == 124);
    __asm volatile("cpsie i\\n isb");
    CHECK(order == 1247);
    REG(0xE000E400) = 0xFFFFFFFF;
    CHECK(REG(0xE000E400) == 0xC0C0C0C0);
    REG(0xE000E014) = 999;
    REG(0xE000E018) = 0;
    REG(0xE000E010) = 7;
    while (ticks < 3)
        __asm volatile("wfi");
    CHECK(REG(0xE000ED00) >> 4 == 0x410CC60);
    return ticks;
}"""


def test_armv6m(start):
    """A Cortex-M0+: two bits of priority, no DWT."""
    done = start(V6M, cpu="cortex-m0plus")
    assert done.code == 3
    assert 2500 < done.result.totals.sleep_cycles < 3100
    done = start('#include "firmware.h"\nint main(void) { return REG(0xE0001004); }', cpu="cortex-m0plus")
    assert done.result.ending.text.startswith("read of 4 bytes at 0xe0001004 (DWT_CYCCNT): no peripheral is there; ")


def test_armv6m_faults_are_hard_faults(start):
    text = """#include "firmware.h"
    __attribute__((used)) void handle(uint32_t *frame) { frame[6] += 2; }
    __attribute__((naked)) void HardFault_Handler(void) { __asm volatile("mrs r0, msp\\n push {r4, lr}\\n bl handle\\n pop {r4, pc}"); }
    int main(void) { __asm volatile("str %0, [%0]" : : "l"(0x20000001)); return 8; }"""
    done = start(text, cpu="cortex-m0plus")
    assert done.code == 8
    assert done.result.notes[0].startswith("HardFault: unaligned address 0x20000001, where cortex-m0plus faults")


def test_the_main_stack_alone_is_the_runs(start):
    """A thread's own stack lies elsewhere: its distance from the first stack pointer is no use of stack."""
    body = """static uint32_t own[64];
static void thread(void) { volatile uint32_t used[16]; for (int i = 0; i < 16; i++) used[i] = i; }
int main(void) {
    __asm volatile("msr psp, %0\\n msr control, %1\\n isb" : : "r"(own + 64), "r"(2) : "memory");
    thread();
    __asm volatile("msr control, %0\\n isb" : : "r"(0) : "memory");
    return 0;
}"""
    done = start(f'#include "firmware.h"\n{body}\n')
    assert done.result.ending.status == 0
    assert done.result.totals.stack_bytes < 256


def test_a_run_that_read_time_is_no_other_cores(start):
    done = start('#include "firmware.h"\nint main(void) { REG(0xE000EDFC) |= 1 << 24; REG(0xE0001000) |= 1; return (int)REG(0xE0001004) * 0; }\n',
                 others=("cortex-m33",))
    [other] = done.result.others
    assert other.cycles is None
    assert other.problem == "the program read DWT, so its run is cortex-m4's alone: run it with --core cortex-m33"
