@ global_avg_pool2d_dense_s8: the mean of 3 to 256 pixels of 16, 32, .. channels, and a dense layer behind it
@ (packing/average_dense.py: what is taken, and the packed layers).
@
@ Loop structure
@   for blocks of 16 channels: pixels are added in int16 lanes, (c0, c2) and (c1, c3) of four channels, unrolled by eight and entered
@     where their number says; their means go to scratch
@   then what packed tables of thumb2's dense_s8 name goes on from there, as if it had been called: dense_few.inc and its like
@
@ Registers: r0 x  r1 in_c  r2-r9 lanes of four words  r10-r12, lr words
@
@ Cycles: 117 for eight pixels of 16 channels, and 80 a block of them with its first pixel; the dense layer as thumb2's, without its call.
@
@ Bit-exact: a mean as in thumb2's global_avg_pool2d.S, the dense layer as in the file that has its code.

#include "macros.inc"
#include "average_sixteen.inc"

@ The packed layers; then the dense layer's, from the address of its code on.
    .equ GH_IN_C, 0
    .equ GH_PIXELS, 4                   @ bytes of all pixels
    .equ GH_SKIPPED, 8                  @ pixels of the first pass that are left out
    .equ GH_RECIPROCAL, 12
    .equ GH_DENSE, 16

    .equ GD_Y, 0
    .equ GD_SCRATCH, 4
    .equ GD_PACKED, 8
    .equ GD_END, 12                     @ of a block's last pixel
    .equ GD_ENTRY, 16                   @ code of its second pixel
    .equ GD_X, 20
    .equ GD_TO, 24
    .equ GD_LEFT, 28                    @ channels
    .equ GD_SIZE, 36

    kernel  global_avg_pool2d_dense_s8
    push    {r4-r11, lr}
    sub     sp, sp, #GD_SIZE
    ldr     r4, [r0]
    str     r2, [sp, #GD_Y]
    str     r3, [sp, #GD_SCRATCH]
    str     r4, [sp, #GD_PACKED]
    str     r3, [sp, #GD_TO]
    mov     r0, r1
    ldm     r4, {r1, r2, r3}
    ldr     r5, =.Lpass + 1
    movs    r6, #SIXTEEN_CODE
    add     r2, r2, r0
    mla     r5, r3, r6, r5
    str     r2, [sp, #GD_END]
    str     r5, [sp, #GD_ENTRY]
    str     r1, [sp, #GD_LEFT]
.Lsixteen:
    str     r0, [sp, #GD_X]
    load_sixteen
    widen_sixteen
    ldr.w   pc, [sp, #GD_ENTRY]
    .balign 4
.Lpass:
    .rept   SIXTEEN_PASS
    load_sixteen
    add_sixteen
    .endr
    code_bytes .Lpass, SIXTEEN_PASS * SIXTEEN_CODE
    ldr.w   r10, [sp, #GD_END]
    cmp.w   r0, r10
    bne.w   .Lpass
    ldr.w   r12, [sp, #GD_PACKED]
    mov.w   r11, #0x8000
    ldr.w   r10, [r12, #GH_RECIPROCAL]
    means   r2, r3, r10, r11, lr
    means   r4, r5, r10, r11, lr
    means   r6, r7, r10, r11, lr
    means   r8, r9, r10, r11, lr
    ldr     r0, [sp, #GD_TO]
    ldr.w   r10, [sp, #GD_LEFT]
    ldr.w   r11, [sp, #GD_END]
    stm     r0!, {r2, r4, r6, r8}
    str     r0, [sp, #GD_TO]
    add     r11, r11, #16
    ldr     r0, [sp, #GD_X]
    str     r11, [sp, #GD_END]
    subs    r10, r10, #16
    str     r10, [sp, #GD_LEFT]
    add     r0, r0, #16
    bne     .Lsixteen

    ldr     r4, [sp, #GD_PACKED]
    ldr     r3, [sp, #GD_TO]
    ldr     r2, [sp, #GD_Y]
    ldr     r1, [sp, #GD_SCRATCH]
    ldr     r5, [r4, #GH_DENSE]!
    add     sp, sp, #GD_SIZE
    adds    r4, r4, #4
    bx      r5                          @ r1 x  r2 y  r3 scratch  r4 behind the address of the code: as the kernel's push left it
    .ltorg
    end     global_avg_pool2d_dense_s8
