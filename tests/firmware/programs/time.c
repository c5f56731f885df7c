/* SysTick and the DWT: the exit code is the line that failed. */
#include "firmware.h"

#define CSR REG(0xE000E010)
#define RVR REG(0xE000E014)
#define CVR REG(0xE000E018)
#define ICSR REG(0xE000ED04)
#define DEMCR REG(0xE000EDFC)
#define DWT(offset) REG(0xE0001000 + (offset))

static volatile uint32_t ticks, last, nested;

void SysTick_Handler(void) {
    ticks++;
    last = CVR;
}

static uint32_t busy(uint32_t rounds) {
    uint32_t before = DWT(4);
    for (volatile uint32_t n = rounds; n; n--)
        ;
    return DWT(4) - before;
}

static void cycle_counter(void) {
    CHECK(DWT(0) >> 28 == 4);
    CHECK(DWT(4) == 0 && busy(10) == 0); /* not counting */
    DEMCR |= 1 << 24;
    DWT(0) |= 1;
    uint32_t ten = busy(10), thousand = busy(1000);
    CHECK(ten > 20 && thousand > 90 * ten / 2 && thousand < 110 * ten);
    DWT(4) = 0xFFFFFFF0;
    busy(10);
    CHECK(DWT(4) < 0xFFFFFFF0); /* it wrapped */
    DWT(4) = 5;
    DWT(0) &= ~1u;
    uint32_t held = DWT(4);
    busy(10);
    CHECK(held > 5 && held < 30 && DWT(4) == held);
    DWT(0) |= 1;
    uint32_t a, b;
    __asm volatile("ldr %0, [%2]\n ldr %1, [%2]" : "=&r"(a), "=&r"(b) : "r"(0xE0001004)); /* two loads pipeline: 1 */
    CHECK(b - a == 1 || b - a == 2);
}

static void other_counters(void) {
    DWT(0) |= 0x1F << 17;
    CHECK(DWT(0x08) < 40 && DWT(0x0C) == 0 && DWT(0x10) == 0 && DWT(0x14) == 0 && DWT(0x18) == 0);
    uint32_t cpi = DWT(0x08);
    busy(3);
    CHECK(DWT(0x08) != cpi);
    DWT(0x08) = 0;
    CHECK(DWT(0x08) < 40);
    ICSR = 1 << 26;
    __asm volatile("dsb; isb");
    CHECK(DWT(0x0C) != 0 && ticks == 1);
}

static void counting(void) {
    ticks = 0;
    CHECK(RVR == 0 && CVR == 0 && (CSR & ~4u) == 0);
    RVR = 999;
    CVR = 123; /* any value clears it */
    CSR = 5;
    uint32_t first = CVR;
    CHECK(first < 1000 && first > 970);
    uint32_t before = CVR, cycles = busy(20), after = CVR;
    CHECK(before - after >= cycles && before - after < cycles + 40);
    CHECK(!(CSR & 1 << 16));
    while (!(CSR & 1 << 16))
        ;
    CHECK(!(CSR & 1 << 16)); /* reading it has cleared it */
    CHECK(ticks == 0);
    CSR = 0;
    uint32_t held = CVR;
    busy(10);
    CHECK(CVR == held);
}

static void interrupting(void) {
    ticks = 0;
    RVR = 999;
    CVR = 0;
    CSR = 7;
    uint32_t before = DWT(4);
    while (ticks < 10)
        ;
    uint32_t took = DWT(4) - before;
    CHECK(took > 9500 && took < 10600);
    CHECK(last > 900); /* the handler ran soon after the counter had reached 0 */
    before = DWT(4);
    ticks = 0;
    for (int n = 0; n < 5; n++)
        __asm volatile("wfi");
    took = DWT(4) - before;
    CHECK(ticks == 5 && took > 4000 && took < 5100);
    __asm volatile("cpsid i");
    ticks = 0;
    busy(2000);
    CHECK(ticks == 0 && ICSR & 1 << 26);
    __asm volatile("cpsie i\n isb");
    CHECK(ticks == 1); /* once, however often it was due */
    __asm volatile("cpsid i\n wfi"); /* wakes, is not taken */
    uint32_t pending = ICSR & 1 << 26;
    CHECK(ticks == 1 && pending);
    CSR = 0;
    ICSR = 1 << 25;
    __asm volatile("cpsie i\n isb");
    CHECK(ticks == 1);
}

static void waiting_for_events(void) {
    __asm volatile("sev\n wfe"); /* the event is there */
    RVR = 500;
    CVR = 0;
    CSR = 7;
    ticks = 0;
    __asm volatile("wfe\n wfe");
    CHECK(ticks >= 1);
    CSR = 0;
}

int main(void) {
    cycle_counter();
    other_counters();
    counting();
    interrupting();
    waiting_for_events();
    leave(0);
}
