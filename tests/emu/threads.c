/* Three threads that PendSV switches between, SysTick preempts, and SVC lets yield; ends through semihosting. */
#include <stdint.h>
#define NOINLINE __attribute__((noinline, noclone, noipa))
#define REG(a) (*(volatile uint32_t *)(a))
extern uint32_t __stack_top[];
volatile uint32_t ticks, work, done, sink;
uint32_t *current, *stacks[3];
static uint32_t memory[3][256];
static int running;
NOINLINE void tick_hook(void) { sink ^= ticks; }
void SysTick_Handler(void) { ticks++; tick_hook(); if (ticks % 2 == 0) REG(0xE000ED04) = 1u << 28; }
__attribute__((used)) uint32_t *pick(uint32_t *sp) { stacks[running] = sp; running = (running + 1) % 3; return stacks[running]; }
__attribute__((naked)) void PendSV_Handler(void) {
    __asm__ volatile("mrs r0, psp\n stmdb r0!, {r4-r11}\n push {r4, lr}\n bl pick\n pop {r4, lr}\n ldmia r0!, {r4-r11}\n msr psp, r0\n bx lr");
}
NOINLINE uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
NOINLINE void busy_a(void) { sink += fib(7); }
NOINLINE void busy_b(void) { for (int i = 0; i < 50; i++) sink += i; fib(4); }
NOINLINE void task_a(void) { for (int i = 0; i < 40; i++) { busy_a(); work++; } done |= 1; for (;;) __asm__ volatile("svc 3"); }
NOINLINE void task_b(void) { for (int i = 0; i < 60; i++) busy_b(); done |= 2; for (;;) __asm__ volatile("svc 4"); }
NOINLINE void idle_work(void) { sink++; }
NOINLINE void task_idle(void) { while (done != 3) idle_work(); __asm__ volatile("ldr r0, =0x18\n ldr r1, =0x20026\n bkpt 0xab"); }
__attribute__((used)) void served(uint32_t *frame) { sink += frame[6]; REG(0xE000ED04) = 1u << 28; }
__attribute__((naked)) void SVC_Handler(void) { __asm__ volatile("mrs r0, psp\n b served"); }
static void make(int n, void (*entry)(void)) {
    uint32_t *sp = &memory[n][256];
    *--sp = 0x01000000; *--sp = (uint32_t)entry & ~1u; *--sp = 0xFFFFFFFF; sp -= 5; sp -= 8; stacks[n] = sp;
}
__attribute__((naked, noreturn)) void go(uint32_t *top, void (*entry)(void)) {
    __asm__ volatile("msr psp, r0\n movs r2, #2\n msr control, r2\n isb\n cpsie i\n bx r1");
}
extern uint32_t __bss_start[], __bss_end[];
void Reset_Handler(void) {
    for (uint32_t *p = __bss_start; p < __bss_end; p++) *p = 0;
    make(1, task_b); make(2, task_idle); running = 0;
    REG(0xE000ED20) = 0xFFu << 16;
    REG(0xE000E014) = 1999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    go(&memory[0][256], task_a);
}
void Hard(void) { __asm__ volatile("ldr r0, =0x18\n ldr r1, =0x20023\n bkpt 0xab"); for (;;) {} }
__attribute__((section(".vectors"), used)) void *const vectors[16] = {__stack_top, Reset_Handler, Hard, Hard, Hard, Hard, Hard, 0,0,0,0, SVC_Handler, Hard, 0, PendSV_Handler, SysTick_Handler};
