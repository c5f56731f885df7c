@ The dense layer in assembly, the plainest way, for Armv7-M and later (SMULL, IT): not for the Cortex-M0+.
@
@   r0 the accumulator          r5 input         r9  requantizer
@   r1, r2, r3, ip scratch      r6 output        r10 output channels left
@   r4 parameters               r7 weights       r11 input zero point
@                               r8 bias

    .syntax unified
    .thumb

    .equ    IN_C, 8                     @ offsets in pointwise_s8_params
    .equ    OUT_C, 12
    .equ    INPUT_ZERO_POINT, 16
    .equ    PER_CHANNEL, 20
    .equ    WEIGHTS, 24
    .equ    BIAS, 28
    .equ    REQUANT, 32
    .equ    QMIN, 12                    @ in requantizer, behind multiplier, shift and zero point
    .equ    QMAX, 16
    .equ    REQUANTIZER_SIZE, 20

    .section .text.dense_s8, "ax", %progbits
    .balign 4
    .global dense_s8
    .type dense_s8, %function
    .thumb_func
dense_s8:
    push    {r4-r11, lr}
    mov     r4, r0
    mov     r5, r1
    mov     r6, r2
    ldr     r7, [r4, #WEIGHTS]
    ldr     r8, [r4, #BIAS]
    ldr     r9, [r4, #REQUANT]
    ldr     r10, [r4, #OUT_C]
    ldr     r11, [r4, #INPUT_ZERO_POINT]

channel:
    ldr     r0, [r8], #4
    ldr     r1, [r4, #IN_C]
    mov     r2, r5
tap:
    ldrsb   r3, [r2], #1
    ldrsb   ip, [r7], #1
    sub     r3, r3, r11
    mla     r0, r3, ip, r0
    subs    r1, r1, #1
    bne     tap

    ldm     r9, {r1, r2, r3}            @ multiplier, shift, zero point
    cmp     r2, #0
    ittt    lt                          @ a shift to the left comes first
    rsblt   ip, r2, #0
    lsllt   r0, r0, ip
    movlt   r2, #0
    smull   r1, r0, r1, r0              @ (acc * multiplier + 2^30) >> 31
    adds    r1, r1, #0x40000000
    adc     r0, r0, #0
    lsl     r0, r0, #1
    orr     r0, r0, r1, lsr #31
    cbz     r2, 1f
    add     r0, r0, r0, asr #31         @ / 2^shift, half away from zero: the carry is the last bit that was shifted out
    asrs    r0, r0, r2
    adc     r0, r0, #0
1:  ldr     r1, [r9, #QMIN]             @ clamped before the zero point is added: r0 may stand near an end of int32
    ldr     r2, [r9, #QMAX]
    sub     r1, r1, r3
    sub     r2, r2, r3
    cmp     r0, r1
    it      lt
    movlt   r0, r1
    cmp     r0, r2
    it      gt
    movgt   r0, r2
    add     r0, r0, r3
    strb    r0, [r6], #1

    ldr     r1, [r4, #PER_CHANNEL]
    cmp     r1, #0
    it      ne
    addne   r9, r9, #REQUANTIZER_SIZE
    subs    r10, r10, #1
    bne     channel
    pop     {r4-r11, pc}
    .size dense_s8, . - dense_s8
