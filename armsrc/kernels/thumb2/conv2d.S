@ conv2d_s8: out_c filters of kernel_h x kernel_w x in_c weights.
@
@ Loop structure
@   packed: 3x3 on one channel conv2d_walk.inc, where a row is one block or two conv2d_rows.inc; where that is cheaper smaller windows there, too, 1x1 with few filters pointwise_narrow.inc,
@     with one or two pixels_one.inc, other windows on one channel conv2d_tall.inc, 3x3 on three channels conv2d_colours.inc, others
@     conv_chains.inc; all else conv_tiles.inc
@   else: for output pixels in pairs, row by row: two windows become int16 columns in scratch (gather.inc: gather_words
@     where in_c % 4 = 0, else gather_bytes), matmul_two walks the filters two at a time; an odd last pixel goes through matmul_one
@     (matmul.inc)
@   then, where some [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ Registers: in the .inc files. Here r11 -> p, r4-r7 weights, bias, requant, out_c while the path is chosen.
@
@ Cycles, not packed: 1.5 a MAC and 20.25 an output, 12 for four taps of a pixel (in_c % 4 = 0) or 9 a tap, 14 a kernel row and 74.5 a
@ pixel; where a requantizer is rare 26.5 an output more.
@
@ Bit-exact: gather.inc subtracts the input zero point, so padding is 0 as the ABI wants; matmul.inc, requantize.inc for the rest.

#include "macros.inc"
#include "requantize.inc"
#include "matmul.inc"
#include "gather.inc"
#include "tiles.inc"
#include "conv_tiles.inc"
#include "conv2d_walk_doubled.inc"
#include "conv2d_walk.inc"
#include "conv2d_rows.inc"
#include "conv2d_pairs.inc"
#include "conv2d_colours.inc"
#include "conv2d_tall.inc"
#include "chains.inc"
#include "pointwise_narrow.inc"
#include "dense_one.inc"
#include "pixels_one.inc"
#include "chains_run.inc"
#include "conv_chains.inc"

    .equ FRAME_Y, GA_SIZE
    .equ FRAME_LEFT, GA_SIZE + 4        @ output pixels left
    .equ FRAME_GATHER, GA_SIZE + 8      @ gather_words or gather_bytes
    .equ FRAME_SIZE, GA_SIZE + 16

    kernel_by_path conv2d_s8, conv2d, CV_PACKED

    unpacked conv2d
    sub     sp, sp, #FRAME_SIZE
    str     r0, [sp, #GA_P]
    str     r1, [sp, #GA_X]
    str     r2, [sp, #FRAME_Y]
    str     r2, [sp, #MM_Y0]
    str     r3, [sp, #MM_COLUMN]
    mov     r11, r0
    ldr     r4, [r11, #CV_WEIGHTS]
    ldr     r5, [r11, #CV_BIAS]
    ldr     r6, [r11, #CV_REQUANT]
    ldr     r7, [r11, #CV_OUT_C]
    ldr     r8, [r11, #CV_PER_CHANNEL]
    stm     sp, {r4-r7}
    look_at_requantizers MM_REQUANT_STEP, MM_FLAGS
    ldr     r0, [r11, #CV_KERNEL_H]
    ldr     r1, [r11, #CV_KERNEL_W]
    ldr     r2, [r11, #CV_IN_C]
    ldr     r3, [r11, #CV_PAD_TOP]
    ldr     r4, [r11, #CV_PAD_LEFT]
    ldr     r5, [r11, #CV_OUT_H]
    ldr     r6, [r11, #CV_OUT_W]
    mul     r0, r0, r1
    mul     r0, r0, r2
    rsb     r3, r3, #0
    rsb     r4, r4, #0
    str     r0, [sp, #MM_K]
    str     r3, [sp, #GA_IY]
    str     r4, [sp, #GA_IX]
    str     r6, [sp, #GA_COLUMNS]
    mul     r5, r5, r6
    str     r5, [sp, #FRAME_LEFT]
    ands    r2, r2, #3
    ite     eq
    ldreq   r4, =gather_words
    ldrne   r4, =gather_bytes
    str     r4, [sp, #FRAME_GATHER]

.Lpixels:                               @ a pair of output pixels, or the odd one
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r1, [sp, #FRAME_GATHER]
    blx     r1
    ldr     r6, [sp, #FRAME_LEFT]
    subs    r6, r6, #2
    str     r6, [sp, #FRAME_LEFT]
    bmi     2f
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r1, [sp, #FRAME_GATHER]
    adds    r0, r0, #8
    blx     r1
    matmul_pair FRAME_LEFT, .Lpixels
    b       .Lclamp
2:  bl      matmul_one

.Lclamp:
    ldr     r12, [sp, #MM_FLAGS]
    tst     r12, #FLAG_CLAMP
    beq     1f
    ldr     r4, [sp, #GA_P]
    ldr     r0, [sp, #FRAME_Y]
    ldr     r1, [r4, #CV_OUT_H]
    ldr     r3, [r4, #CV_OUT_W]
    ldr     r2, [sp, #MM_OUT_C]
    mul     r1, r1, r3
    ldr     r3, [sp, #MM_REQUANT]
    bl      clamp_output
1:  add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    .ltorg
    end     conv2d, unpacked

    walk_doubled
    walk_rows 1
    walk_rows 2

    conv_tiles
    conv_load_rows
    conv_chains
    chains conv2d, 3
    narrow conv2d
    pixels_one
    fill_rows 4, r4
    fill_rows 2, r6
    fill_rows 1, r4
    tiles
    gather  gather_words, 1
    gather  gather_bytes, 0
    matmul  matmul_one, 1
    matmul  matmul_two, 2
    requantize_helpers
