@ global_avg_pool2d_s8: y[c] = clamp(round_half_away(sum over the pixels of x[c] / pixels), qmin, qmax)
@
@ Loop structure
@   for channels: the pixels' sum, what is left of a four first, then four pixels a turn; then long division, eight steps, of
@     |sum| + floor(pixels / 2)
@
@ Registers, sum:      r0 x  r1 0  r2 in_c  r3 sum  r4 value  r5 fours left  r6 single pixels left  r8 pixels  r9 channels left  r10 y
@                      r11 x of the channel  r12 p
@ Registers, division: r0 what is left of the dividend  r1 pixels  r2 quotient  r4 what is compared  r5 sign of the sum  r6 in_c
@
@ Cycles on the M0+: 19 for four pixels of a channel (4.8 an input), 80 a channel.
@
@ Bit-exact: sums are |s| <= 2^24 * 128 = 2^31, exact in int32 (s = +2^31 cannot occur). Rounded quotient = sign(s) *
@ floor((|s| + floor(n / 2)) / n), unsigned: for even n that is the definition; for odd n no fraction is a half, and floor(n / 2) rounds
@ the same way. It is at most 128, so eight steps find it. In step k, dividend >> k >= n means dividend >= n << k, which fits: n <= 2^24.
@ CMP and SUBS leave the carry that ADCS takes in: set where they do not borrow, and the step's bit is 1.

#include "macros.inc"

    .macro  add_pixel
    ldrsb   r4, [r0, r1]
    adds    r3, r3, r4
    adds    r0, r0, r2
    .endm

    .macro  divide_step shift
    lsrs    r4, r0, #\shift
    cmp     r4, r1
    blo     .Lzero\@
    lsls    r4, r1, #\shift
    subs    r0, r0, r4
.Lzero\@:
    adcs    r2, r2
    .endm

    kernel  global_avg_pool2d_s8
    enter   4
    mov     r12, r0
    mov     r10, r2
    mov     r11, r1
    ldr     r3, [r0, #GA_IN_H]
    ldr     r4, [r0, #GA_IN_W]
    muls    r3, r4, r3
    mov     r8, r3
    ldr     r2, [r0, #GA_IN_C]
    mov     r9, r2
.Lchannel:
    mov     r0, r11
    adds    r4, r0, #1
    mov     r11, r4
    movs    r1, #0
    movs    r3, #0
    mov     r5, r8
    movs    r6, #3
    ands    r6, r5
    beq     2f
1:  add_pixel
    subs    r6, r6, #1
    bne     1b
2:  lsrs    r5, r5, #2
    beq     4f
3:  add_pixel
    add_pixel
    add_pixel
    add_pixel
    subs    r5, r5, #1
    bne     3b
4:  mov     r6, r2
    mov     r1, r8
    asrs    r5, r3, #31
    eors    r3, r5
    subs    r0, r3, r5                  @ |sum|
    lsrs    r4, r1, #1
    adds    r0, r0, r4
    movs    r2, #0
    divide_step 7
    divide_step 6
    divide_step 5
    divide_step 4
    divide_step 3
    divide_step 2
    divide_step 1
    cmp     r0, r1                      @ step 0; what is left is not needed
    adcs    r2, r2
    eors    r2, r5                      @ the sign again
    subs    r2, r2, r5
    mov     r0, r12
    ldr     r3, [r0, #GA_QMIN]
    ldr     r4, [r0, #GA_QMAX]
    cmp     r2, r3
    bge     5f
    movs    r2, r3
5:  cmp     r2, r4
    ble     6f
    movs    r2, r4
6:  mov     r0, r10
    strb    r2, [r0]
    adds    r0, r0, #1
    mov     r10, r0
    movs    r2, r6
    mov     r0, r9
    subs    r0, r0, #1
    mov     r9, r0
    bne     .Lchannel
    leave   4
    end     global_avg_pool2d_s8
