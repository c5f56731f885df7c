@ global_avg_pool2d_s8: y[c] = clamp(round_half_away(sum over the pixels of x[c] / pixels), qmin, qmax)
@
@ Loop structure
@   for c in blocks of four channels (the last block is moved back so that it ends at in_c: some are computed twice)
@     for pixels in runs of at most 256: two pixels a turn, two channels a register as int16 lanes
@     spread the lanes into four int32 sums
@     divide, round, clamp, store each
@   in_c < 4: one channel at a time, bytes
@
@ Registers, inner loop:  r0 x  r1 in_c  r2, r3 lanes (c0, c2), (c1, c3)  r4 pairs left  r5, r6 pixel words  r12 2 * in_c
@ Registers, outside:     r7 pixels  r8-r11 sums  lr pixels left         stack: see FRAME
@
@ Cycles: 11 for two pixels of four channels (2 loads 3, 4 SXTAB16, 1 add, loop 3), 1.4 an input byte; 18 a run and 79 a block
@ with its four divisions (more by up to 8 each: UDIV by its operands).
@
@ Bit-exact: a lane adds at most 256 values in [-128, 127], so it stays in [-32768, 32512]; sums are |s| <= 2^24 * 128 =
@ 2^31, exact in int32 (s = +2^31 cannot occur). Rounded quotient = sign(s) * floor((|s| + floor(n / 2)) / n), unsigned:
@ for even n that is the definition; for odd n no fraction is a half, and floor(n / 2) rounds the same way.

#include "macros.inc"

    .equ FRAME_QMIN, 0
    .equ FRAME_QMAX, 4
    .equ FRAME_X, 8
    .equ FRAME_Y, 12
    .equ FRAME_LEFT, 16        @ channels left
    .equ FRAME_SIZE, 24

@ \sum -> rounded, clamped quotient. r7 = n; r2 = n / 2, r3 = qmin, r4 = qmax; clobbers r5.
    .macro quotient sum
    eor     r5, \sum, \sum, asr #31
    sub     r5, r5, \sum, asr #31       @ |sum|
    add     r5, r5, r2
    udiv    r5, r5, r7
    eor     r5, r5, \sum, asr #31
    sub     \sum, r5, \sum, asr #31     @ the sign again
    cmp     \sum, r3
    it      lt
    movlt   \sum, r3
    cmp     \sum, r4
    it      gt
    movgt   \sum, r4
    .endm

    kernel  global_avg_pool2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME_SIZE + 4
    ldr     r3, [r0, #GA_IN_H]
    ldr     r4, [r0, #GA_IN_W]
    ldr     r5, [r0, #GA_QMIN]
    ldr     r6, [r0, #GA_QMAX]
    ldr     r0, [r0, #GA_IN_C]
    mul     r7, r3, r4
    strd    r5, r6, [sp, #FRAME_QMIN]
    strd    r1, r2, [sp, #FRAME_X]
    str     r0, [sp, #FRAME_LEFT]
    mov     r1, r0
    lsl     r12, r1, #1
    cmp     r1, #4
    blt     .Lfew

.Lblock:                                @ r1 = in_c, r12 = 2 * in_c, r7 = pixels
    ldr     r0, [sp, #FRAME_X]
    movs    r8, #0
    mov     r9, r8
    mov     r10, r8
    mov     r11, r8
    mov     lr, r7
.Lrun:
    movs    r2, #0
    movs    r3, #0
    cmp     lr, #256
    ite     gt
    movgt   r4, #256
    movle   r4, lr
    sub     lr, lr, r4
    lsrs    r4, r4, #1
    bcc     1f
    ldr     r5, [r0]
    add     r0, r0, r1
    sxtb16  r2, r5
    sxtb16  r3, r5, ror #8
1:  cbz     r4, 3f
    .balign 4
2:  ldr.w   r5, [r0]
    ldr.w   r6, [r0, r1]
    add.w   r0, r0, r12
    sxtab16 r2, r2, r5
    sxtab16 r3, r3, r5, ror #8
    sxtab16 r2, r2, r6
    sxtab16 r3, r3, r6, ror #8
    subs    r4, r4, #1
    bne     2b
3:  sxtah   r8, r8, r2
    sxtah   r9, r9, r3
    add     r10, r10, r2, asr #16
    add     r11, r11, r3, asr #16
    cmp     lr, #0
    bne     .Lrun

    ldrd    r3, r4, [sp, #FRAME_QMIN]
    lsr     r2, r7, #1
    quotient r8
    quotient r9
    quotient r10
    quotient r11
    ldrd    r0, r2, [sp, #FRAME_X]
    ldr     r3, [sp, #FRAME_LEFT]
    strb    r8, [r2]
    strb    r9, [r2, #1]
    strb    r10, [r2, #2]
    strb    r11, [r2, #3]
    subs    r3, r3, #4
    beq     .Lreturn
    cmp     r3, #4                      @ the next block: four on, or what is left, so that it ends at in_c
    ite     ge
    movge   r4, #4
    movlt   r4, r3
    add     r0, r0, r4
    add     r2, r2, r4
    strd    r0, r2, [sp, #FRAME_X]
    it      lt
    movlt   r3, #4
    str     r3, [sp, #FRAME_LEFT]
    b       .Lblock

.Lfew:                                  @ one channel at a time
    ldr     r0, [sp, #FRAME_X]
    movs    r8, #0
    mov     lr, r7
1:  ldrsb   r5, [r0]
    add     r0, r0, r1
    add     r8, r8, r5
    subs    lr, lr, #1
    bne     1b
    ldrd    r3, r4, [sp, #FRAME_QMIN]
    lsr     r2, r7, #1
    quotient r8
    ldrd    r0, r2, [sp, #FRAME_X]
    strb    r8, [r2], #1
    adds    r0, r0, #1
    strd    r0, r2, [sp, #FRAME_X]
    ldr     r3, [sp, #FRAME_LEFT]
    subs    r3, r3, #1
    str     r3, [sp, #FRAME_LEFT]
    bne     .Lfew

.Lreturn:
    add     sp, sp, #FRAME_SIZE + 4
    pop     {r4-r11, pc}
    end     global_avg_pool2d_s8
