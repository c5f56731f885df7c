/* Start-up of a board without a C library; handlers are weak, so that a program can have its own. */
#include <stdint.h>

extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[], __stack_top[];
extern void (*__init_array_start[])(void), (*__init_array_end[])(void);
int main(void);

void Reset_Handler(void) {
    for (uint32_t *from = __data_load, *to = __data_start; to < __data_end;)
        *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;)
        *to++ = 0;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;
    __asm volatile("dsb; isb");
#endif
    for (void (**each)(void) = __init_array_start; each < __init_array_end; each++)
        (*each)();
    main();
    for (;;)
        ;
}

void Default_Handler(void) {
    for (;;)
        ;
}

#define WEAK __attribute__((weak, alias("Default_Handler")))
WEAK void NMI_Handler(void);
WEAK void HardFault_Handler(void);
WEAK void MemManage_Handler(void);
WEAK void BusFault_Handler(void);
WEAK void UsageFault_Handler(void);
WEAK void SVC_Handler(void);
WEAK void PendSV_Handler(void);
WEAK void SysTick_Handler(void);
WEAK void IRQ0_Handler(void);
WEAK void IRQ1_Handler(void);
WEAK void IRQ2_Handler(void);

__attribute__((section(".isr_vector"), used)) void (*const vectors[])(void) = {
    (void (*)(void))__stack_top, Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler, UsageFault_Handler, 0, 0, 0, 0,
    SVC_Handler, 0, 0, PendSV_Handler, SysTick_Handler, IRQ0_Handler, IRQ1_Handler, IRQ2_Handler,
};

void *memset(void *to, int value, unsigned size) {
    for (unsigned char *each = to; size--;)
        *each++ = (unsigned char)value;
    return to;
}

void *memcpy(void *to, const void *from, unsigned size) {
    unsigned char *t = to;
    for (const unsigned char *f = from; size--;)
        *t++ = *f++;
    return to;
}
