@ pointwise_conv2d_s8: out_c x in_c weights at every pixel.
@
@ Loop structure
@   in_c = 8, at least two pixels, no rare requantizer (FLAG_ANY, FLAG_FAR), |bias| < P8_BIAS_LIMIT: pointwise_8.inc
@   every other: for pixels in pairs, two int16 columns are filled (fill_column) and matmul_two walks the channels two at a
@     time; an odd last pixel goes through matmul_one
@   then, where some [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ Registers: in matmul.inc and pointwise_8.inc.
@
@ Cycles: in_c = 8: 14.9 an output with a ReLU, else 15.9 (out_c a multiple of 8). Every other: 1.5 a MAC and 20.25 an output, 12
@ for four inputs of a pixel (an odd last pixel: 2.1 a MAC and 32.5 an output); where a requantizer is rare 26.5 an output more.
@
@ Bit-exact: matmul.inc, pointwise_8.inc, requantize.inc.

#include "macros.inc"
#include "requantize.inc"
#include "matmul.inc"
#include "pointwise_8.inc"

    .equ FRAME_P, MM_SIZE
    .equ FRAME_X, MM_SIZE + 4
    .equ FRAME_Y, MM_SIZE + 8
    .equ FRAME_PIXELS, MM_SIZE + 12
    .equ FRAME_LEFT, MM_SIZE + 16
    .equ FRAME_SIZE, MM_SIZE + 20

    kernel  pointwise_conv2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME_SIZE
    str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    str     r2, [sp, #FRAME_Y]
    str     r3, [sp, #MM_COLUMN]
    mov     r11, r0
    ldr     r4, [r11, #PW_WEIGHTS]
    ldr     r5, [r11, #PW_BIAS]
    ldr     r6, [r11, #PW_REQUANT]
    ldr     r7, [r11, #PW_OUT_C]
    ldr     r8, [r11, #PW_PER_CHANNEL]
    ldr     r9, [r11, #PW_IN_C]
    ldr     r0, [r11, #PW_IN_H]
    ldr     r1, [r11, #PW_IN_W]
    stm     sp, {r4-r7}
    mul     r10, r0, r1
    str     r9, [sp, #MM_K]
    str     r10, [sp, #FRAME_PIXELS]
    look_at_requantizers MM_REQUANT_STEP, MM_FLAGS
    cmp     r9, #8
    bne     .Lgeneral
    cmp     r10, #2
    blt     .Lgeneral
    tst     r0, #FLAG_ANY | FLAG_FAR
    bne     .Lgeneral
    require_biases r5, r7, P8_BIAS_LIMIT, r1, r2, r3, .Lgeneral
    mov     r12, r0
    mov     r0, r11
    ldr     r1, [sp, #FRAME_X]
    ldr     r2, [sp, #FRAME_Y]
    mov     r3, r8
    bl      pointwise_eight_inputs
    b       .Lclamp

.Lgeneral:                              @ r10 = pixels
    ldr     r2, [sp, #FRAME_Y]
    str     r2, [sp, #MM_Y0]
    str     r10, [sp, #FRAME_LEFT]
.Lpixels:                               @ a pair of pixels, or the odd one
    ldr     r4, [sp, #FRAME_P]
    ldr     r1, [sp, #FRAME_X]
    ldr     r3, [r4, #PW_INPUT_ZP]
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r2, [sp, #MM_K]
    pkhbt   r3, r3, r3, lsl #16
    bl      fill_column
    ldr     r6, [sp, #FRAME_LEFT]
    subs    r6, r6, #2
    str     r6, [sp, #FRAME_LEFT]
    bmi     2f
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r2, [sp, #MM_K]
    adds    r0, r0, #8
    bl      fill_column
    str     r1, [sp, #FRAME_X]
    matmul_pair FRAME_LEFT, .Lpixels
    b       .Lclamp
2:  bl      matmul_one

.Lclamp:
    ldr     r12, [sp, #MM_FLAGS]
    tst     r12, #FLAG_CLAMP
    beq     1f
    ldr     r0, [sp, #FRAME_Y]
    ldr     r1, [sp, #FRAME_PIXELS]
    ldr     r2, [sp, #MM_OUT_C]
    ldr     r3, [sp, #MM_REQUANT]
    bl      clamp_output
1:  add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    .ltorg
    end     pointwise_conv2d_s8

    fill_pixel fill_column
    matmul  matmul_one, 1
    matmul  matmul_two, 2
    requantize_helpers
