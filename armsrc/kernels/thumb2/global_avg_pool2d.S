@ global_avg_pool2d_s8: y[c] = clamp(round_half_away(sum over the pixels of x[c] / pixels), qmin, qmax)
@
@ Loop structure
@   3 to 256 pixels, in_c >= 4 (.Lsixteen, .Lfour): blocks of 16 channels, the first pixel, then the others, unrolled by eight and entered
@     where their number says; up to eight channels at the end are blocks of four (the last block is moved back so that it ends at in_c:
@     some are computed twice); a sum is an int16 lane, and the mean SMLAWB / SMLAWT by a reciprocal; then, where [qmin, qmax] is not
@     [-128, 127], clamp_output goes over y
@   one pixel, in_c >= 4: copied, 16 channels a turn; then clamp_output
@   every other: for c in blocks of four channels
@     for pixels in runs of at most 256: two pixels a turn, two channels a register as int16 lanes
@     spread the lanes into four int32 sums
@     divide, round, clamp, store each
@   in_c < 4: one channel at a time, bytes
@
@ Registers, sixteen:     r0 x  r1 in_c  r2-r9 lanes (c0, c2), (c1, c3) of four words  r10-r12, lr words
@ Registers, inner loop:  r0 x  r1 in_c  r2, r3 lanes (c0, c2), (c1, c3)  r4 pairs left  r5, r6 pixel words  r12 2 * in_c
@ Registers, outside:     r7 pixels (.Lfour: reciprocal)  r8-r11 sums  lr pixels left         stack: see FRAME
@
@ Cycles: sixteen: 117 for eight pixels of 16 channels (8 * (4 loads 5, 8 SXTAB16, 1 add), loop 5), 0.91 an input byte, and 78 a block. Else 11
@ for two pixels of four channels (2 loads 3, 4 SXTAB16, 1 add, loop 3), 1.4 an input byte; 43 a block, or 18 a run and 79 a block with
@ its four divisions (more by up to 8 each: UDIV by its operands). Of one pixel: 13 for 16 channels.
@
@ Bit-exact: a lane adds at most 256 values in [-128, 127], so it stays in [-32768, 32512]; sums are |s| <= 2^24 * 128 =
@ 2^31, exact in int32 (s = +2^31 cannot occur). Rounded quotient = sign(s) * floor((|s| + floor(n / 2)) / n), unsigned:
@ for even n that is the definition; for odd n no fraction is a half, and floor(n / 2) rounds the same way.
@
@ By a reciprocal: M = floor((2^32 - 1) / n) + 2, so 2^32 < M n <= 2^32 + 2 n. SMLAWx(M, s, 2^15) >> 16 is floor(s M / 2^32 + 1/2), as
@ floors nest. s M / 2^32 = (s / n)(1 + d) with 0 < d <= 2 n / 2^32 is a little further from 0 than s / n: where s / n is a half, the
@ result is the one away from 0, of both signs. Every other s / n is 1 / (2 n) or more from a half, and |s / n| d <= 2^8 n / 2^32 is
@ less than that while n < 2^11. n >= 3 because M must be below 2^31.

#include "macros.inc"
#include "requantize.inc"
#include "average_sixteen.inc"

    .equ FRAME_QMIN, 0
    .equ FRAME_QMAX, 4
    .equ FRAME_X, 8
    .equ FRAME_Y, 12
    .equ FRAME_LEFT, 16         @ channels left
    .equ FRAME_P, 20
    .equ FRAME_OUT, 24          @ y of the first block
    .equ FRAME_RECIPROCAL, 28
    .equ FRAME_PIXELS, 32
    .equ FRAME_END, 36          @ of the last pixel of a block of 16
    .equ FRAME_ENTRY, 40        @ code of its second pixel
    .equ FRAME_SIZE, 44

    .equ MOST_LANES, 256        @ pixels that an int16 lane adds

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

@ r4 pixels of four channels from r0: lanes r2, r3. r0 moves behind them; clobbers r4-r6.
    .macro add_pixels
    movs    r2, #0
    movs    r3, #0
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
3:
    .endm

@ r0 x and r2 y of a block of four channels: on by four, or by what is left, so that the last one ends at in_c; then to \done. Clobbers r3, r4.
    .macro next_block done
    ldr     r3, [sp, #FRAME_LEFT]
    subs    r3, r3, #4
    beq.w   \done
    cmp     r3, #4
    ite     ge
    movge   r4, #4
    movlt   r4, r3
    add     r0, r0, r4
    add     r2, r2, r4
    strd    r0, r2, [sp, #FRAME_X]
    it      lt
    movlt   r3, #4
    str     r3, [sp, #FRAME_LEFT]
    .endm

    kernel  global_avg_pool2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME_SIZE
    ldm     r0, {r3-r7}                 @ in_h, in_w, in_c, qmin, qmax
    str     r1, [sp, #FRAME_X]
    str     r2, [sp, #FRAME_Y]
    str     r0, [sp, #FRAME_P]
    str     r2, [sp, #FRAME_OUT]
    str     r6, [sp, #FRAME_QMIN]
    str     r7, [sp, #FRAME_QMAX]
    mul     r7, r3, r4
    str     r5, [sp, #FRAME_LEFT]
    mov     r0, r1
    str     r7, [sp, #FRAME_PIXELS]
    mov     r1, r5
    lsl     r12, r1, #1
    cmp     r1, #4
    blt.w   .Lfew
    sub     r2, r7, #3
    cmp     r2, #MOST_LANES - 3
    bhi.w   .Lany                       @ unsigned: fewer than 3, or too many

    mvn     r3, #0
    udiv    r3, r3, r7
    adds    r3, r3, #2
    str     r3, [sp, #FRAME_RECIPROCAL]
    cmp     r1, #16
    blt.w   .Lfour
    rsb     r4, r7, #1
    ldr     r3, =.Lpass + 1
    and     r4, r4, #SIXTEEN_PASS - 1   @ pixels of the first pass to leave out
    movs    r5, #SIXTEEN_CODE
    mla     r2, r7, r1, r0
    mla     r3, r4, r5, r3
    str     r2, [sp, #FRAME_END]
    str     r3, [sp, #FRAME_ENTRY]
    .balign 4
.Lsixteen:                              @ r0 x, r1 = in_c
    load_sixteen
    widen_sixteen
    ldr.w   pc, [sp, #FRAME_ENTRY]
    .balign 4
.Lpass:
    .rept   SIXTEEN_PASS
@ search: begin average_pixel noalias
    load_sixteen
    add_sixteen
@ search: end
    .endr
    code_bytes .Lpass, SIXTEEN_PASS * SIXTEEN_CODE
    ldr.w   r10, [sp, #FRAME_END]
    cmp.w   r0, r10
    bne.w   .Lpass
    ldr.w   r10, [sp, #FRAME_RECIPROCAL]
    ldr.w   r12, [sp, #FRAME_Y]
    mov.w   r11, #0x8000
    means   r2, r3, r10, r11, lr
    means   r4, r5, r10, r11, lr
    means   r6, r7, r10, r11, lr
    means   r8, r9, r10, r11, lr
    ldr     r3, [sp, #FRAME_LEFT]
    str.w   r2, [r12]
    str.w   r4, [r12, #4]
    str.w   r6, [r12, #8]
    str.w   r8, [r12, #12]
    subs    r3, r3, #16
    beq     .Lclamp
    movs    r4, #16                     @ on to the next block: more than eight channels are one of 16, fewer of four; the last one ends
    cmp     r3, #8                      @ at in_c
    ble     1f
    cmp     r3, #16
    itt     lt
    movlt   r4, r3
    movlt   r3, #16
1:  cmp     r3, #4
    itt     lt
    addlt   r4, r3, #12
    movlt   r3, #4
    ldrd    r0, r2, [sp, #FRAME_X]
    ldr     r5, [sp, #FRAME_END]
    add     r0, r0, r4
    add     r2, r2, r4
    add     r5, r5, r4
    strd    r0, r2, [sp, #FRAME_X]
    str     r3, [sp, #FRAME_LEFT]
    str     r5, [sp, #FRAME_END]
    cmp     r3, #16
    bge     .Lsixteen
    lsl     r12, r1, #1
.Lfour:                                 @ r0 x, r1 = in_c, r12 = 2 * in_c
    ldr     r4, [sp, #FRAME_PIXELS]
    add_pixels
    ldr     r7, [sp, #FRAME_RECIPROCAL]
    mov     r6, #0x8000
    means   r2, r3, r7, r6, r5
    mov     r5, r2
    ldrd    r0, r2, [sp, #FRAME_X]
    str     r5, [r2]
    next_block .Lclamp
    b       .Lfour

.Lclamp:
    ldrd    r0, r1, [sp, #FRAME_QMIN]
    subs    r1, r1, r0
    cmp     r1, #255
    beq.w   .Lreturn
    ldr     r3, [sp, #FRAME_P]          @ qmin, qmax stand in it where a requantizer has them
    ldr     r0, [sp, #FRAME_OUT]
    movs    r1, #1
    ldr     r2, [r3, #GA_IN_C]
    add     r3, r3, #GA_QMIN - RQ_QMIN
    mov     r12, #FLAG_CLAMP
    bl      clamp_output
    b       .Lreturn

    .balign 4
.Lany:
    ldr     r0, [sp, #FRAME_X]
    cmp     r7, #1
    beq.w   .Lcopy
.Lblock:                                @ r0 x, r1 = in_c, r12 = 2 * in_c, r7 = pixels
    movs    r8, #0
    mov     r9, r8
    mov     r10, r8
    mov     r11, r8
    mov     lr, r7
.Lrun:
    cmp     lr, #MOST_LANES
    ite     gt
    movgt   r4, #MOST_LANES
    movle   r4, lr
    sub     lr, lr, r4
    add_pixels
    sxtah   r8, r8, r2
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
    strb    r8, [r2]
    strb    r9, [r2, #1]
    strb    r10, [r2, #2]
    strb    r11, [r2, #3]
    next_block .Lreturn
    b       .Lblock

.Lcopy:                                 @ one pixel: r0 x, r1 = in_c
    ldr     r2, [sp, #FRAME_Y]
    subs    r3, r1, #16
    blt     2f
    .balign 4
1:  ldr.w   r4, [r0]
    ldr.w   r5, [r0, #4]
    ldr.w   r6, [r0, #8]
    ldr.w   r8, [r0, #12]
    str.w   r4, [r2]
    str.w   r5, [r2, #4]
    str.w   r6, [r2, #8]
    str.w   r8, [r2, #12]
    adds    r0, r0, #16
    adds    r2, r2, #16
    subs    r3, r3, #16
    bge     1b
2:  adds    r3, r3, #16
    beq.w   .Lclamp
3:  cmp     r3, #4                      @ words; the last one ends at in_c
    itt     lt
    sublt   r0, r0, #4
    sublt   r2, r2, #4
    itt     lt
    addlt   r0, r0, r3
    addlt   r2, r2, r3
    ldr     r4, [r0], #4
    str     r4, [r2], #4
    subs    r3, r3, #4
    bgt     3b
    b.w     .Lclamp

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
    add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    .ltorg
    end     global_avg_pool2d_s8

    requantize_helpers
