@ conv2d_s8: every convolution with weights OHWI.
@
@ Loop structure
@   packed: for every row of the output, the rows of the input that it sees are widened into words and turned, so that a window is one
@     run of words: columns, in them rows, in them channels; where they lie in the padding, the input's zero point. Windows that
@     overlap share the words. Then matmul.inc walks the output channels of every pixel by quads.
@   1x1 with few outputs: narrow.inc, row by row
@   else: direct.inc
@
@ Registers, turning:  r0 x  r1 scratch  r2 in_c  r3 bytes of a column  r4 columns left  r5 zero point  r6 0  r7 value
@                      r8 kernel rows left  r9 the row  r10 channels left
@
@ Cycles on the M0+: packed 21 for eight MACs, 84 besides for four outputs (80 more exact), 7.5 an input that a row sees, and with three of
@ them 78.5 a pixel; few outputs 4.5 a MAC and 88 a row; else 11 a MAC, 5 a kernel row, 110 an output and 106 a pixel.
@
@ Bit-exact: matmul.inc, direct.inc, requantize.inc. What lies in the padding counts as the zero point, whose product with the weights
@ is in the folded bias.

#include "macros.inc"
#include "requantize.inc"
#include "direct.inc"
#include "matmul.inc"
#include "narrow.inc"

    .equ FRAME_P, M_SIZE
    .equ FRAME_X, M_SIZE + 4
    .equ FRAME_SCRATCH, M_SIZE + 8
    .equ FRAME_COLUMN_BYTES, M_SIZE + 12   @ kernel_h * in_c words
    .equ FRAME_STRIDE_BYTES, M_SIZE + 16
    .equ FRAME_INSIDE, M_SIZE + 20      @ columns in the input, and right of it
    .equ FRAME_RIGHT, M_SIZE + 24
    .equ FRAME_IY, M_SIZE + 28
    .equ FRAME_ROWS_LEFT, M_SIZE + 32
    .equ FRAME_COLS_LEFT, M_SIZE + 36
    .equ FRAME_WINDOW, M_SIZE + 40
    .equ FRAME_TO, M_SIZE + 44
    .equ FRAME_FROM, M_SIZE + 48
    .equ FRAME_SIZE, M_SIZE + 52

    kernel  conv2d_s8
    enter   FRAME_SIZE
    ldr     r4, [r0, #CV_PACKED]
    cmp     r4, #0
    beq     .Ldirect
    ldr     r7, [r4, #PACKED_FLAGS]
    lsrs    r6, r7, #3                  @ the carry: narrow
    bcs     .Lnarrow
    str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    str     r3, [sp, #FRAME_SCRATCH]
    ldr     r1, [r0, #CV_KERNEL_H]
    ldr     r3, [r0, #CV_IN_C]
    muls    r1, r3, r1
    lsls    r3, r1, #2
    str     r3, [sp, #FRAME_COLUMN_BYTES]
    ldr     r5, [r0, #CV_STRIDE_W]
    muls    r3, r5, r3
    str     r3, [sp, #FRAME_STRIDE_BYTES]
    ldr     r6, [r0, #CV_KERNEL_W]
    muls    r1, r6, r1                  @ taps
    ldr     r3, [r0, #CV_OUT_W]         @ columns that the windows see: (out_w - 1) * stride_w + kernel_w
    subs    r3, r3, #1
    muls    r3, r5, r3
    adds    r3, r3, r6
    ldr     r5, [r0, #CV_PAD_LEFT]
    subs    r3, r3, r5
    ldr     r5, [r0, #CV_IN_W]
    subs    r6, r3, r5                  @ right of the input
    bge     2f
    movs    r6, #0
2:  subs    r5, r3, r6
    str     r5, [sp, #FRAME_INSIDE]
    str     r6, [sp, #FRAME_RIGHT]
    ldr     r3, [r0, #CV_PAD_TOP]
    rsbs    r3, r3, #0
    str     r3, [sp, #FRAME_IY]
    ldr     r3, [r0, #CV_OUT_H]
    str     r3, [sp, #FRAME_ROWS_LEFT]
    movs    r0, r4
    bl      matmul_set_up
.Lrow:
    bl      turn_rows
    ldr     r0, [sp, #FRAME_P]
    ldr     r1, [r0, #CV_OUT_W]
    str     r1, [sp, #FRAME_COLS_LEFT]
    ldr     r1, [r0, #CV_STRIDE_H]
    ldr     r2, [sp, #FRAME_IY]
    adds    r2, r2, r1
    str     r2, [sp, #FRAME_IY]
    ldr     r0, [sp, #FRAME_SCRATCH]
    windows M_KERNEL, FRAME_STRIDE_BYTES, .Lrow
    leave   FRAME_SIZE

.Lnarrow:
    str     r0, [sp, #FRAME_P]
    str     r3, [sp, #FRAME_SCRATCH]
    ldr     r3, [r0, #CV_OUT_H]
    str     r3, [sp, #FRAME_ROWS_LEFT]
1:  str     r1, [sp, #FRAME_X]
    ldr     r3, [r0, #CV_OUT_W]
    ldr     r5, [r0, #CV_IN_C]
    ldr     r6, [r0, #CV_STRIDE_W]
    muls    r6, r5, r6
    ldr     r4, [r0, #CV_PACKED]
    ldr     r0, [sp, #FRAME_SCRATCH]
    ldr     r7, [r4, #NARROW_CODE]
    blx     r7
    ldr     r0, [sp, #FRAME_P]
    ldr     r1, [r0, #CV_IN_W]
    ldr     r3, [r0, #CV_IN_C]
    muls    r1, r3, r1
    ldr     r3, [r0, #CV_STRIDE_H]
    muls    r1, r3, r1
    ldr     r3, [sp, #FRAME_X]
    adds    r1, r1, r3
    one_less FRAME_ROWS_LEFT, 1b, r3
    leave   FRAME_SIZE

.Ldirect:
    movs    r3, #1
    str     r3, [sp, #D_STEP]
    movs    r3, #0
    str     r3, [sp, #D_X_NEXT]
    ldr     r3, [r0, #CV_KERNEL_H]
    ldr     r4, [r0, #CV_KERNEL_W]
    muls    r3, r4, r3
    ldr     r4, [r0, #CV_IN_C]
    muls    r3, r4, r3
    str     r3, [sp, #D_W_NEXT]
    bl      direct_windows
    leave   FRAME_SIZE
    end     conv2d_s8

@ The rows at FRAME_IY that a row of the output sees, into scratch. Loses r0-r7.
    helper  turn_rows
    push    {lr}
    .equ PUSHED, 4
    movs    r6, #0
    ldr     r7, [sp, #PUSHED + FRAME_P]
    ldr     r2, [r7, #CV_IN_C]
    ldr     r3, [sp, #PUSHED + FRAME_COLUMN_BYTES]
    ldr     r0, [sp, #PUSHED + FRAME_IY]
    ldr     r1, [r7, #CV_IN_W]
    muls    r0, r1, r0
    muls    r0, r2, r0
    ldr     r1, [sp, #PUSHED + FRAME_X]
    adds    r0, r0, r1
    str     r0, [sp, #PUSHED + FRAME_FROM]
    ldr     r1, [sp, #PUSHED + FRAME_SCRATCH]
    str     r1, [sp, #PUSHED + FRAME_TO]
    ldr     r4, [r7, #CV_KERNEL_H]
    mov     r8, r4                      @ rows left
    ldr     r4, [sp, #PUSHED + FRAME_IY]
    mov     r9, r4                      @ the row
.Lkernel_row:
    mov     r10, r2                     @ channels left
.Lchannel:
    ldr     r0, [sp, #PUSHED + FRAME_FROM]
    ldr     r1, [sp, #PUSHED + FRAME_TO]
    adds    r4, r0, #1
    str     r4, [sp, #PUSHED + FRAME_FROM]
    adds    r4, r1, #4
    str     r4, [sp, #PUSHED + FRAME_TO]
    ldr     r7, [sp, #PUSHED + FRAME_P]
    ldr     r5, [r7, #CV_INPUT_ZP]
    ldr     r4, [r7, #CV_PAD_LEFT]
    bl      pad
    mov     r7, r9
    cmp     r7, #0
    blt     .Loutside
    ldr     r4, [sp, #PUSHED + FRAME_P]
    ldr     r4, [r4, #CV_IN_H]
    cmp     r7, r4
    bge     .Loutside
    ldr     r4, [sp, #PUSHED + FRAME_INSIDE]
    lsrs    r4, r4, #1
    bcc     1f
    ldrsb   r7, [r0, r6]
    str     r7, [r1]
    adds    r0, r0, r2
    adds    r1, r1, r3
    cmp     r4, #0
    beq     2f
1:  ldrsb   r7, [r0, r6]
    str     r7, [r1]
    adds    r0, r0, r2
    adds    r1, r1, r3
    ldrsb   r7, [r0, r6]
    str     r7, [r1]
    adds    r0, r0, r2
    adds    r1, r1, r3
    subs    r4, r4, #1
    bne     1b
2:  ldr     r4, [sp, #PUSHED + FRAME_RIGHT]
    bl      pad
.Lnext_channel:
    mov     r4, r10
    subs    r4, r4, #1
    mov     r10, r4
    bne     .Lchannel
    ldr     r0, [sp, #PUSHED + FRAME_FROM]   @ in_c behind the row's first input: to the next row
    subs    r0, r0, r2
    ldr     r7, [sp, #PUSHED + FRAME_P]
    ldr     r4, [r7, #CV_IN_W]
    muls    r4, r2, r4
    adds    r0, r0, r4
    str     r0, [sp, #PUSHED + FRAME_FROM]
    mov     r4, r9
    adds    r4, r4, #1
    mov     r9, r4
    mov     r4, r8
    subs    r4, r4, #1
    mov     r8, r4
    bne     .Lkernel_row
    pop     {pc}
.Loutside:
    ldr     r4, [sp, #PUSHED + FRAME_INSIDE]
    ldr     r7, [sp, #PUSHED + FRAME_RIGHT]
    adds    r4, r4, r7
    bl      pad
    b       .Lnext_channel

@ r4 columns of the zero point r5.
pad:
    cmp     r4, #0
    beq     2f
1:  str     r5, [r1]
    adds    r1, r1, r3
    subs    r4, r4, #1
    bne     1b
2:  bx      lr
    end     turn_rows

    direct_windows_helper
    matmul_helpers
    narrow_path conv2d
