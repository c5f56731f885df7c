@ pointwise_conv2d_s8: out_c x in_c weights at every pixel.
@
@ Loop structure: packed, for every pixel: widened into a column of words (scratch), then matmul.inc walks the output channels by quads. Not
@ packed: direct.inc. Three output channels and fewer: narrow.inc.
@
@ Registers: those of the parts (matmul.inc, widen.inc, direct.inc).
@
@ Cycles on the M0+: packed 21 for eight MACs, 84 besides for four outputs (80 more exact), 109 a pixel of eight inputs; few
@ outputs 4.5 a MAC; else 11 a MAC and 110 an output.
@
@ Bit-exact: matmul.inc, direct.inc, requantize.inc.

#include "macros.inc"
#include "requantize.inc"
#include "direct.inc"
#include "matmul.inc"
#include "widen.inc"
#include "narrow.inc"

    .equ FRAME_X, M_SIZE
    .equ FRAME_SCRATCH, M_SIZE + 4
    .equ FRAME_TAPS, M_SIZE + 8
    .equ FRAME_PIXELS, M_SIZE + 12

    kernel  pointwise_conv2d_s8
    pointwise_packed .Lnarrow
    str     r1, [sp, #FRAME_X]
    str     r3, [sp, #FRAME_SCRATCH]
    str     r5, [sp, #FRAME_TAPS]
    movs    r1, r5
    ldr     r3, [r0, #PW_IN_H]
    ldr     r5, [r0, #PW_IN_W]
    muls    r3, r5, r3
    str     r3, [sp, #FRAME_PIXELS]
    movs    r0, r4
    bl      matmul_set_up
2:  ldr     r0, [sp, #FRAME_X]
    ldr     r1, [sp, #FRAME_SCRATCH]
    ldr     r2, [sp, #FRAME_TAPS]
    bl      widen
    str     r0, [sp, #FRAME_X]
    ldr     r0, [sp, #FRAME_SCRATCH]
    ldr     r1, [sp, #M_KERNEL]
    blx     r1
    one_less FRAME_PIXELS, 2b, r0
    leave   D_SIZE
.Lnarrow:
    ldr     r6, [r0, #PW_IN_H]
    ldr     r4, [r0, #PW_IN_W]
    muls    r6, r4, r6
    ldr     r4, [r0, #PW_PACKED]
    movs    r0, r3
    movs    r3, r6
    movs    r6, r5
    ldr     r7, [r4, #NARROW_CODE]
    blx     r7
    leave   D_SIZE
    pointwise_direct
    end     pointwise_conv2d_s8

    direct_pointwise_helper
    matmul_helpers
    widen_helper
    narrow_path pointwise_conv2d
