@ max_pool2d_s8: the largest value of every window, channel by channel; padding counts for nothing.
@
@ Loop structure
@   2x2 windows that all lie inside the input (.Lsquare_*): for rows, for columns of the output: for channels, the last first: four
@     loads, three maxima
@   every other (.Lgeneral_*): for rows, for columns the window is clipped to the input; for channels, the last first: for its rows and
@     columns one load and one maximum
@
@ Registers, 2x2:     r0-r3 x of the four taps  r4 channel  r5 maximum  r6 value  r7 y
@                     r8 x of the window  r9 in_c  r10 bytes of a row  r11 y  r12 from window to window  lr columns left
@ Registers, general: r0 x of the tap  r1 columns left  r2 rows left  r3 in_c  r4 channel  r5 maximum  r6 value  r7 0
@                     r8 columns  r9 rows  r10 from behind a row to the next one  r11 x of the window  r12 y
@
@ Cycles on the M0+: 2x2: 22 an output and 14 a pixel. General: 9 a tap, 4 a row, 103 an output of 3x3 and 65 a pixel.
@
@ Bit-exact: comparisons. A clipped window always holds a pixel: 0 <= pad < kernel, and the last window starts inside the input.

#include "macros.inc"

    .equ FRAME_P, 0
    .equ FRAME_X, 4
    .equ FRAME_Y, 8
    .equ FRAME_IY, 12
    .equ FRAME_IX, 16
    .equ FRAME_ROWS_LEFT, 20
    .equ FRAME_COLS_LEFT, 24
    .equ FRAME_ROW_STEP, 28
    .equ FRAME_SIZE, 36

    .macro  maximum into, value
    cmp     \into, \value
    bge     .Lless\@
    movs    \into, \value
.Lless\@:
    .endm

@ To the general loops unless the windows along an axis are 2 wide and the last one ends inside the input.
    .macro  inside out, stride, kernel, in
    ldr     r1, [r0, #\kernel]
    cmp     r1, #2
    bne     .Lgeneral_row
    ldr     r2, [r0, #\out]
    subs    r2, r2, #1
    ldr     r3, [r0, #\stride]
    muls    r2, r3, r2
    adds    r2, r2, r1
    ldr     r3, [r0, #\in]
    cmp     r2, r3
    bgt     .Lgeneral_row
    .endm

    kernel  max_pool2d_s8
    enter   FRAME_SIZE
    str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    str     r2, [sp, #FRAME_Y]
    ldr     r4, [r0, #MP_PAD_TOP]
    rsbs    r1, r4, #0
    str     r1, [sp, #FRAME_IY]
    ldr     r1, [r0, #MP_OUT_H]
    str     r1, [sp, #FRAME_ROWS_LEFT]
    ldr     r2, [r0, #MP_PAD_LEFT]
    orrs    r4, r2
    bne     .Lgeneral_row
    inside  MP_OUT_H, MP_STRIDE_H, MP_KERNEL_H, MP_IN_H
    inside  MP_OUT_W, MP_STRIDE_W, MP_KERNEL_W, MP_IN_W

    ldr     r1, [r0, #MP_IN_C]
    mov     r9, r1
    ldr     r2, [r0, #MP_IN_W]
    muls    r2, r1, r2
    mov     r10, r2
    ldr     r3, [r0, #MP_STRIDE_H]
    muls    r2, r3, r2
    str     r2, [sp, #FRAME_ROW_STEP]
    ldr     r3, [r0, #MP_STRIDE_W]
    muls    r1, r3, r1
    mov     r12, r1
    ldr     r1, [r0, #MP_OUT_W]
    str     r1, [sp, #FRAME_COLS_LEFT]
    ldr     r1, [sp, #FRAME_Y]
    mov     r11, r1
.Lsquare_row:
    ldr     r0, [sp, #FRAME_X]
    mov     r8, r0
    ldr     r1, [sp, #FRAME_ROW_STEP]
    adds    r0, r0, r1
    str     r0, [sp, #FRAME_X]
    ldr     r0, [sp, #FRAME_COLS_LEFT]
    mov     lr, r0
.Lsquare_pixel:
    mov     r0, r8
    mov     r4, r9
    mov     r5, r10
    adds    r1, r0, r4
    adds    r2, r0, r5
    adds    r3, r1, r5
    mov     r7, r11
    subs    r4, r4, #1
1:  ldrsb   r5, [r0, r4]
    ldrsb   r6, [r1, r4]
    maximum r5, r6
    ldrsb   r6, [r2, r4]
    maximum r5, r6
    ldrsb   r6, [r3, r4]
    maximum r5, r6
    strb    r5, [r7, r4]
    subs    r4, r4, #1
    bpl     1b
    add     r8, r12
    add     r11, r9
    mov     r0, lr
    subs    r0, r0, #1
    mov     lr, r0
    bne     .Lsquare_pixel
    one_less FRAME_ROWS_LEFT, .Lsquare_row, r0
    leave   FRAME_SIZE

.Lgeneral_row:
    ldr     r1, [r0, #MP_PAD_LEFT]
    rsbs    r1, r1, #0
    str     r1, [sp, #FRAME_IX]
    ldr     r1, [r0, #MP_OUT_W]
    str     r1, [sp, #FRAME_COLS_LEFT]
.Lgeneral_pixel:
    ldr     r1, [sp, #FRAME_IY]
    ldr     r2, [r0, #MP_KERNEL_H]
    ldr     r3, [r0, #MP_IN_H]
    clip    r1, r2, r3
    ldr     r4, [sp, #FRAME_IX]
    ldr     r5, [r0, #MP_KERNEL_W]
    ldr     r3, [r0, #MP_IN_W]
    movs    r7, r3
    clip    r4, r5, r3
    ldr     r3, [r0, #MP_IN_C]
    muls    r1, r7, r1
    adds    r1, r1, r4
    muls    r1, r3, r1
    ldr     r0, [sp, #FRAME_X]
    adds    r0, r0, r1                  @ x of the window
    muls    r7, r3, r7                  @ bytes of a row
    mov     r9, r2
    mov     r8, r5
    muls    r5, r3, r5
    subs    r7, r7, r5
    mov     r10, r7
    mov     r11, r0
    ldr     r4, [sp, #FRAME_Y]
    mov     r12, r4
    adds    r4, r4, r3
    str     r4, [sp, #FRAME_Y]
    movs    r7, #0
    subs    r4, r3, #1
1:  mov     r0, r11
    adds    r0, r0, r4
    ldrsb   r5, [r0, r7]
    mov     r2, r9
2:  mov     r1, r8
3:  ldrsb   r6, [r0, r7]
    maximum r5, r6
    adds    r0, r0, r3
    subs    r1, r1, #1
    bne     3b
    add     r0, r10
    subs    r2, r2, #1
    bne     2b
    mov     r0, r12
    strb    r5, [r0, r4]
    subs    r4, r4, #1
    bpl     1b
    ldr     r0, [sp, #FRAME_P]
    ldr     r1, [sp, #FRAME_IX]
    ldr     r2, [r0, #MP_STRIDE_W]
    adds    r1, r1, r2
    str     r1, [sp, #FRAME_IX]
    one_less FRAME_COLS_LEFT, .Lgeneral_pixel, r1
    ldr     r1, [sp, #FRAME_IY]
    ldr     r2, [r0, #MP_STRIDE_H]
    adds    r1, r1, r2
    str     r1, [sp, #FRAME_IY]
    one_less FRAME_ROWS_LEFT, .Lgeneral_row, r1
    leave   FRAME_SIZE
    end     max_pool2d_s8
