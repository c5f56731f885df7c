/* Exceptions: stacking, EXC_RETURN, priorities, masks, tail-chaining, process stack, floating point. The exit code is the line that failed. */
#include "firmware.h"

#define ICSR REG(0xE000ED04)
#define PENDSV (1u << 28)
#define STIR REG(0xE000EF00)

static volatile uint32_t order[16], steps;
static volatile uint32_t frame_pc, frame_xpsr, exc_return, ipsr_seen, sp_seen;

static void step(uint32_t what) { order[steps++] = what; }

static uint32_t ipsr(void) {
    uint32_t value;
    __asm volatile("mrs %0, ipsr" : "=r"(value));
    return value;
}

/* SVC n: adds n to the caller's r0. */
__attribute__((used)) void svc(uint32_t *frame, uint32_t link) {
    exc_return = link;
    ipsr_seen = ipsr();
    frame_pc = frame[6];
    frame_xpsr = frame[7];
    frame[0] += ((uint8_t *)frame[6])[-2];
    step(11);
}

__attribute__((naked)) void SVC_Handler(void) {
    __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n mov r1, lr\n push {r4, lr}\n bl svc\n pop {r4, pc}");
}

void PendSV_Handler(void) {
    step(14);
}

void IRQ0_Handler(void) {
    step(16);
    ICSR = PENDSV;
    STIR = 1; /* more urgent: preempts */
    step(116);
}

void IRQ1_Handler(void) {
    step(17);
}

static volatile float in_handler;
void IRQ2_Handler(void) {
    step(18);
#ifdef __ARM_FP
    in_handler = in_handler * 2.0f + 1.0f;
#endif
}

static uint32_t call_svc(uint32_t value) {
    register uint32_t r0 __asm("r0") = value;
    __asm volatile("svc 5" : "+r"(r0) : : "memory");
    return r0;
}

static void priorities(void) {
    REG(0xE000E100) = 7;
    REG8(0xE000E400) = 0x80;
    REG8(0xE000E401) = 0x40;
    REG8(0xE000E402) = 0x80;
    REG8(0xE000ED22) = 0xF0; /* PendSV: least urgent */
    CHECK(REG(0xE000E400) == 0x804080);
    steps = 0;
    STIR = 0;
    __asm volatile("dsb; isb");
    CHECK(steps == 4);
    CHECK(order[0] == 16 && order[1] == 17 && order[2] == 116 && order[3] == 14);
}

static void masks(void) {
    steps = 0;
    __asm volatile("cpsid i");
    STIR = 1;
    CHECK(steps == 0 && REG(0xE000E200) == 2);
    CHECK((ICSR >> 12 & 0x1FF) == 17 && ICSR & 1u << 22);
    __asm volatile("cpsie i\n isb");
    CHECK(steps == 1 && order[0] == 17);
    uint32_t mask = 0x40;
    __asm volatile("msr basepri, %0" : : "r"(mask));
    STIR = 1;
    CHECK(steps == 1);
    mask = 0;
    __asm volatile("msr basepri, %0\n isb" : : "r"(mask));
    CHECK(steps == 2 && order[1] == 17);
    mask = 0x80;
    __asm volatile("msr basepri, %0" : : "r"(mask));
    STIR = 1; /* 0x40 is more urgent than the mask */
    CHECK(steps == 3);
    STIR = 2;
    CHECK(steps == 3);
    REG(0xE000E280) = 4; /* not pending any more */
    mask = 0;
    __asm volatile("msr basepri, %0\n isb" : : "r"(mask));
    CHECK(steps == 3);
    __asm volatile("cpsid f");
    STIR = 1;
    CHECK(steps == 3);
    __asm volatile("cpsie f\n isb");
    CHECK(steps == 4);
    REG(0xE000E180) = 2; /* disabled */
    STIR = 1;
    CHECK(steps == 4 && REG(0xE000E200) == 2);
    REG(0xE000E100) = 2;
    CHECK(steps == 5);
}

/* In an IT block: what is skipped before and behind the exception stays skipped. */
static void predicated(void) {
    uint32_t one = 1, two = 2, flags = 0;
    steps = 0;
    __asm volatile("cmp %2, #0\n"
                   "itttt eq\n"
                   "streq %3, [%4]\n" /* STIR = 1 */
                   "moveq %0, #7\n"
                   "moveq %1, #8\n"
                   "moveq %2, #9\n"
                   : "+r"(one), "+r"(two), "+r"(flags)
                   : "r"(1), "r"(0xE000EF00)
                   : "cc", "memory");
    CHECK(one == 7 && two == 8 && flags == 9 && steps == 1);
    __asm volatile("cmp %2, #9\n"
                   "itete eq\n"
                   "streq %3, [%4]\n"
                   "movne %0, #70\n"
                   "moveq %1, #80\n"
                   "movne %2, #90\n"
                   : "+r"(one), "+r"(two), "+r"(flags)
                   : "r"(1), "r"(0xE000EF00)
                   : "cc", "memory");
    CHECK(one == 7 && two == 80 && flags == 9 && steps == 2);
}

static uint32_t process_stack[64] __attribute__((aligned(8)));

static void process(void) {
    uint32_t msp, psp, control;
    __asm volatile("mrs %0, msp" : "=r"(msp));
    __asm volatile("msr psp, %0\n movs r2, #2\n msr control, r2\n isb" : : "r"(process_stack + 64) : "r2", "memory");
    uint32_t r = call_svc(10);
    __asm volatile("mrs %0, control\n mrs %1, psp" : "=r"(control), "=r"(psp));
    __asm volatile("movs r2, #0\n msr control, r2\n isb" : : : "r2", "memory");
    uint32_t now;
    __asm volatile("mrs %0, msp" : "=r"(now));
    CHECK(r == 15 && control == 2);
    CHECK((exc_return | 0x10) == 0xFFFFFFFD);
    CHECK(psp == (uint32_t)(process_stack + 64) && now == msp);
    CHECK(process_stack[56] == 15); /* r0 of the frame, changed by the handler */
}

static void unprivileged(void) {
    uint32_t control;
    __asm volatile("msr psp, %0\n movs r2, #3\n msr control, r2\n isb" : : "r"(process_stack + 64) : "r2", "memory");
    uint32_t r = call_svc(20);
    __asm volatile("mrs %0, control" : "=r"(control));
    CHECK(r == 25 && control == 3);
    /* Privilege comes back through a handler alone: SVC 6 would, here the test just ends in this mode. */
}

static void alignment(void) {
    uint32_t before, after;
    __asm volatile("sub sp, #4\n mov %0, sp\n movs r0, #0\n svc 5\n mov %1, sp\n add sp, #4" : "=&r"(before), "=&r"(after) : : "r0", "memory");
    CHECK(before == after);
    __asm volatile("mov %0, sp\n movs r0, #0\n svc 5\n mov %1, sp" : "=&r"(before), "=&r"(after) : : "r0", "memory");
    CHECK(before == after);
}

#ifdef __ARM_FP
static void floating(void) {
    register float a __asm("s0") = 1.5f;
    register float b __asm("s20") = 2.5f;
    uint32_t control, saved;
    in_handler = 3.0f;
    steps = 0;
    __asm volatile("vmov.f32 s0, #1.5\n vmov.f32 s20, #2.5\n str %2, [%3]\n mrs %4, control" : "=t"(a), "=t"(b) : "r"(2), "r"(0xE000EF00), "r"(0) : "memory");
    __asm volatile("mrs %0, control" : "=r"(control));
    CHECK(steps == 1 && order[0] == 18 && in_handler == 7.0f);
    CHECK(a == 1.5f && b == 2.5f);
    CHECK(control & 4);
    call_svc(0);
    CHECK(exc_return == 0xFFFFFFE9); /* extended frame, main stack */
    saved = REG(0xE000EF34);
    CHECK(saved >> 30 == 3 && !(saved & 1));
    __asm volatile("mrs r0, control\n bic r0, #4\n msr control, r0\n isb" : : : "r0");
    call_svc(0);
    CHECK(exc_return == 0xFFFFFFF9);
}
#endif

int main(void) {
    CHECK(call_svc(3) == 8);
    CHECK(ipsr_seen == 11 && ipsr() == 0);
    CHECK((exc_return | 0x10) == 0xFFFFFFF9);
    CHECK((frame_xpsr & 0x1FF) == 0 && frame_xpsr & 1u << 24);
    CHECK(((uint16_t *)frame_pc)[-1] == 0xDF05);
    priorities();
    masks();
    predicated();
    alignment();
    process();
#ifdef __ARM_FP
    floating();
#endif
    unprivileged();
    leave(0);
}
