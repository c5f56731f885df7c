/* The vector table and what runs before main. Works on any Armv6-M, Armv7-M or Armv8-M part that boots
 * from FLASH, as STM32F4 and L4 do; nothing here needs more than Armv6-M.
 *
 * Interrupts of the device stay disabled (as after reset), so the table holds the 16 core entries only. Every exception
 * ends in default_handler, which loops: a debugger finds the core there, with the exception's number in IPSR and the
 * stacked registers above SP. To handle one, define a function with its CMSIS name; the names here are weak. */
    .syntax unified
    .thumb

    .section .vectors, "a", %progbits
    .global vector_table
    .type vector_table, %object
vector_table:
    .word   __stack_top
    .word   Reset_Handler
    .word   NMI_Handler
    .word   HardFault_Handler
    .word   MemManage_Handler
    .word   BusFault_Handler
    .word   UsageFault_Handler
    .word   0, 0, 0, 0
    .word   SVC_Handler
    .word   DebugMon_Handler
    .word   0
    .word   PendSV_Handler
    .word   SysTick_Handler
    .size vector_table, . - vector_table

/* .data from flash to RAM, .bss to zero, both a word at a time (firmware.ld aligns them), the FPU where the core may have one:
 * kernels in assembly may use it, whatever C is compiled for. */
    .section .text.Reset_Handler, "ax", %progbits
    .global Reset_Handler
    .type Reset_Handler, %function
    .thumb_func
Reset_Handler:
    ldr     r0, =__data_start
    ldr     r1, =__data_end
    ldr     r2, =__data_load
    b       2f
1:  ldmia   r2!, {r3}
    stmia   r0!, {r3}
2:  cmp     r0, r1
    blo     1b

    ldr     r0, =__bss_start
    ldr     r1, =__bss_end
    movs    r2, #0
    b       4f
3:  stmia   r0!, {r2}
4:  cmp     r0, r1
    blo     3b

#if defined(__ARM_FP) || defined(__ARM_FEATURE_DSP)
    ldr     r0, =0xE000ED88         /* CPACR, which ignores this without an FPU */
    ldr     r1, [r0]
    orr     r1, r1, #(0xF << 20)    /* full access to CP10 and CP11 */
    str     r1, [r0]
    dsb
    isb                             /* no float instruction is fetched before this */
#endif

    bl      main
    bl      firmware_done           /* not B, which reaches 2 KiB on Armv6-M */
    .size Reset_Handler, . - Reset_Handler
    .ltorg

    .section .text.default_handler, "ax", %progbits
    .global default_handler
    .type default_handler, %function
    .thumb_func
default_handler:
    b       default_handler
    .size default_handler, . - default_handler

    .macro weak_handler name
    .weak   \name
    .thumb_set \name, default_handler
    .endm
    weak_handler NMI_Handler
    weak_handler HardFault_Handler
    weak_handler MemManage_Handler
    weak_handler BusFault_Handler
    weak_handler UsageFault_Handler
    weak_handler SVC_Handler
    weak_handler DebugMon_Handler
    weak_handler PendSV_Handler
    weak_handler SysTick_Handler
