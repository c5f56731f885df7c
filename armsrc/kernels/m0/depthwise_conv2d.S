@ depthwise_conv2d_s8: weights HWC.
@
@ Loop structure
@   packed, up to 3x3: for rows, for columns of the output: for channels: nine taps from x, one requantization. Where windows reach into the
@     padding, the three rows that a row of the output sees are first copied into scratch, the input's zero point around them.
@   else: direct.inc
@
@ Registers, channel:  r0 x of the kernel row  r1, r2 in_c, 2 * in_c  r3 value  r4-r6 weights of the kernel row  r7 packed stream
@                      r8 accumulator  r9 bytes from row to row  r10 x of the next channel  r11, r12 in_c, 2 * in_c  lr y
@
@ Cycles on the M0+: packed 82 an output (9.1 a MAC; exact 102) and 31 a pixel; with padding 13 for 16 inputs that a row sees, where x and
@ in_c let words be copied, otherwise 7 an input; else 11 a MAC, 5 a kernel row and 110 an output.
@
@ Bit-exact: every product and sum fits int32; direct.inc, requantize.inc. What lies in the padding counts as the zero point, whose product
@ with the weights is in the folded bias.

#include "macros.inc"
#include "requantize.inc"
#include "direct.inc"

    .equ PACKED_FLAGS, 0                @ 1: exact, 2: padded
    .equ PACKED_BYTES, 4
    .equ PACKED_STREAM, 8

    .equ FRAME_P, 0
    .equ FRAME_X, 4                     @ of the row of the output, without padding
    .equ FRAME_SCRATCH, 8
    .equ FRAME_Y, 12
    .equ FRAME_STREAM, 16
    .equ FRAME_STREAM_END, 20
    .equ FRAME_KERNEL, 24               @ channels_plain or channels_exact
    .equ FRAME_ROW_BYTES, 28            @ of the input; padded, of scratch
    .equ FRAME_STEP, 32                 @ bytes from window to window
    .equ FRAME_ROWS_LEFT, 36
    .equ FRAME_COLS_LEFT, 40
    .equ FRAME_WINDOW, 44
    .equ FRAME_PADDED, 48               @ 0, 1, or ALIGNED: whole words can be copied
    .equ ALIGNED, 2
    .equ FRAME_IY, 52
    .equ FRAME_LEFT, 56                 @ bytes of a row of scratch: left of the input, inside, right
    .equ FRAME_INSIDE, 60
    .equ FRAME_RIGHT, 64
    .equ FRAME_FILL, 68                 @ four times the zero point
    .equ PUSHED, 4                      @ in helpers that push lr

    .macro  kernel_row into
    ldm     r7!, {r4-r6}
    movs    r3, #0
    ldrsb   r3, [r0, r3]
    muls    r4, r3, r4
    \into   r8, r4
    ldrsb   r3, [r0, r1]
    muls    r5, r3, r5
    add     r8, r5
    ldrsb   r3, [r0, r2]
    muls    r6, r3, r6
    add     r8, r6
    .endm

@ The channels of a window: r0 x of it. Loses r0-r12.
    .macro  channels name, exact
    helper  \name
    push    {lr}

    mov     r10, r0
    ldr     r0, [sp, #PUSHED + FRAME_Y]
    mov     lr, r0
    ldr     r7, [sp, #PUSHED + FRAME_STREAM]
.Lchannel_\name:
    mov     r0, r10
    adds    r3, r0, #1
    mov     r10, r3
    mov     r1, r11
    mov     r2, r12
    kernel_row mov
    add     r0, r9
    kernel_row add
    add     r0, r9
    kernel_row add
    mov     r0, r8
    requantize_packed r0, \exact, \name
    mov     r1, lr
    strb    r3, [r1]
    adds    r1, r1, #1
    mov     lr, r1
    ldr     r0, [sp, #PUSHED + FRAME_STREAM_END]
    cmp     r7, r0
    bne     .Lchannel_\name
    str     r1, [sp, #PUSHED + FRAME_Y]
    pop     {pc}
    requantize_tail r0, \exact, \name
    end     \name
    .endm

    kernel  depthwise_conv2d_s8
    enter   D_SIZE
    ldr     r4, [r0, #CV_PACKED]
    cmp     r4, #0
    bne     1f
    ldr     r3, [r0, #CV_IN_C]
    str     r3, [sp, #D_STEP]
    movs    r3, #1
    str     r3, [sp, #D_X_NEXT]
    str     r3, [sp, #D_W_NEXT]
    bl      direct_windows
    leave   D_SIZE

1:  str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    str     r2, [sp, #FRAME_Y]
    str     r3, [sp, #FRAME_SCRATCH]
    bl      set_up
.Lrow:
    ldr     r4, [sp, #FRAME_P]
    ldr     r0, [r4, #CV_OUT_W]
    str     r0, [sp, #FRAME_COLS_LEFT]
    ldr     r0, [sp, #FRAME_X]          @ the next row of the output
    ldr     r1, [r4, #CV_IN_W]
    ldr     r2, [r4, #CV_IN_C]
    muls    r1, r2, r1
    ldr     r2, [r4, #CV_STRIDE_H]
    muls    r1, r2, r1
    adds    r1, r0, r1
    str     r1, [sp, #FRAME_X]
    ldr     r1, [sp, #FRAME_PADDED]
    cmp     r1, #0
    beq     1f
    bl      copy_rows
    ldr     r0, [sp, #FRAME_SCRATCH]
1:  ldr     r1, [sp, #FRAME_ROW_BYTES]
    mov     r9, r1
    ldr     r1, [r4, #CV_IN_C]
    mov     r11, r1
    lsls    r1, r1, #1
    mov     r12, r1
    windows FRAME_KERNEL, FRAME_STEP, .Lrow
    leave   D_SIZE
    end     depthwise_conv2d_s8

@ r0 p, r4 packed. Loses r0-r7.
    helper  set_up
    ldr     r1, [r4, #PACKED_FLAGS]
    ldr     r2, [r4, #PACKED_BYTES]
    adds    r4, r4, #PACKED_STREAM
    str     r4, [sp, #FRAME_STREAM]
    adds    r2, r4, r2
    str     r2, [sp, #FRAME_STREAM_END]
    ldr     r2, =channels_plain
    lsrs    r1, r1, #1
    str     r1, [sp, #FRAME_PADDED]
    bcc     1f
    ldr     r2, =channels_exact
1:  str     r2, [sp, #FRAME_KERNEL]
    ldr     r2, [r0, #CV_OUT_H]
    str     r2, [sp, #FRAME_ROWS_LEFT]
    ldr     r2, [r0, #CV_IN_C]
    ldr     r3, [r0, #CV_STRIDE_W]
    movs    r4, r3
    muls    r4, r2, r4
    str     r4, [sp, #FRAME_STEP]
    ldr     r4, [r0, #CV_IN_W]
    movs    r5, r4
    muls    r5, r2, r5
    str     r5, [sp, #FRAME_ROW_BYTES]
    cmp     r1, #0
    beq     3f
    ldr     r6, [sp, #FRAME_X]
    ldr     r7, [sp, #FRAME_SCRATCH]
    orrs    r6, r7
    orrs    r6, r2
    lsls    r6, r6, #30
    bne     1f
    movs    r6, #ALIGNED
    str     r6, [sp, #FRAME_PADDED]
1:  ldr     r6, [r0, #CV_INPUT_ZP]
    uxtb    r6, r6
    lsls    r7, r6, #8
    orrs    r6, r7
    lsls    r7, r6, #16
    orrs    r6, r7
    str     r6, [sp, #FRAME_FILL]
    ldr     r6, [r0, #CV_OUT_W]         @ columns that the windows see, less the padding
    subs    r6, r6, #1
    muls    r6, r3, r6
    adds    r6, r6, #3
    movs    r5, r6
    muls    r5, r2, r5
    str     r5, [sp, #FRAME_ROW_BYTES]
    ldr     r7, [r0, #CV_PAD_LEFT]
    subs    r6, r6, r7
    muls    r7, r2, r7
    str     r7, [sp, #FRAME_LEFT]
    subs    r7, r6, r4                  @ right of the input
    bge     2f
    movs    r7, #0
2:  subs    r6, r6, r7
    muls    r6, r2, r6
    str     r6, [sp, #FRAME_INSIDE]
    muls    r7, r2, r7
    str     r7, [sp, #FRAME_RIGHT]
    ldr     r7, [r0, #CV_PAD_TOP]
    rsbs    r7, r7, #0
    str     r7, [sp, #FRAME_IY]
    muls    r4, r2, r4
    muls    r7, r4, r7
    ldr     r4, [sp, #FRAME_X]
    adds    r4, r4, r7
    str     r4, [sp, #FRAME_X]
3:  bx      lr
    .ltorg
    end     set_up

@ r0 x of the three rows at FRAME_IY, r4 p: they are copied into scratch. FRAME_IY moves on. Loses r0-r3, r5-r8.
    helper  copy_rows
    push    {lr}
    ldr     r1, [sp, #PUSHED + FRAME_SCRATCH]
    ldr     r5, [sp, #PUSHED + FRAME_IY]
    ldr     r6, [r4, #CV_STRIDE_H]
    adds    r6, r5, r6
    str     r6, [sp, #PUSHED + FRAME_IY]
    movs    r6, #3
1:  ldr     r2, [sp, #PUSHED + FRAME_ROW_BYTES]
    cmp     r5, #0
    blt     3f
    ldr     r3, [r4, #CV_IN_H]
    cmp     r5, r3
    bge     3f
    ldr     r2, [sp, #PUSHED + FRAME_LEFT]
    bl      fill
    ldr     r2, [sp, #PUSHED + FRAME_INSIDE]
    bl      copy
    ldr     r2, [sp, #PUSHED + FRAME_RIGHT]
3:  bl      fill
    ldr     r2, [r4, #CV_IN_W]
    ldr     r3, [r4, #CV_IN_C]
    muls    r2, r3, r2
    adds    r0, r0, r2
    adds    r5, r5, #1
    subs    r6, r6, #1
    bne     1b
    pop     {pc}

fill:                                   @ r2 bytes of the zero point at r1, which ends behind them; loses r2, r3, r7
    cmp     r2, #0
    beq     2f
    ldr     r3, [sp, #PUSHED + FRAME_FILL]
    ldr     r7, [sp, #PUSHED + FRAME_PADDED]
    cmp     r7, #ALIGNED
    beq     3f
1:  strb    r3, [r1]
    adds    r1, r1, #1
    subs    r2, r2, #1
    bne     1b
2:  bx      lr
3:  stm     r1!, {r3}
    subs    r2, r2, #4
    bne     3b
    bx      lr

copy:                                   @ r2 bytes from r0 to r1, which ends behind them; loses r2, r3, r7, r8
    ldr     r7, [sp, #PUSHED + FRAME_PADDED]
    cmp     r7, #ALIGNED
    beq     5f
    mov     r8, r2
4:  subs    r2, r2, #1
    ldrb    r7, [r0, r2]
    strb    r7, [r1, r2]
    bne     4b
    add     r1, r8
    bx      lr
5:  push    {r0, r4-r6}
    subs    r2, r2, #16
    blo     7f
6:  ldm     r0!, {r3-r6}
    stm     r1!, {r3-r6}
    subs    r2, r2, #16
    bhs     6b
7:  adds    r2, r2, #16
    beq     9f
8:  ldm     r0!, {r3}
    stm     r1!, {r3}
    subs    r2, r2, #4
    bne     8b
9:  pop     {r0, r4-r6}
    bx      lr
    end     copy_rows

    channels channels_plain, 0
    channels channels_exact, 1
    direct_windows_helper
