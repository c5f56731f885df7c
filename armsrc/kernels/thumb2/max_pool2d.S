@ max_pool2d_s8: the largest value of every window, channel by channel; padding counts for nothing.
@
@ Loop structure
@   2x2 windows that all lie inside the input (.Lpair_*): for every output pixel, for words of four channels,
@     four loads, three SIMD maxima, one store; in_c < 4 (.Lfew_pixel): the same byte by byte; in_c % 8 = 0 (.Leight_*): two words a turn;
@     in_c = 8, stride 2 (.Lflat_*), where a row's windows follow each other in memory: two pixels a turn, an odd last one behind them
@   every other (.Lgeneral, max_pool_window.inc): for every output pixel the window is clipped to the input; for blocks of four channels (below
@     four channels: of one) for its rows and columns one load and one maximum: two columns a turn, all of a row where there are three
@   A last block that is not full is moved back so that it ends at in_c: some channels are computed twice, none is read
@   or written outside the tensors.
@
@ Registers, 2x2:     r0 upper row  r1 lower row  r2 y  r3 in_c  r4-r7 the four words  r8 words left (.Leight_*: pairs of words)
@                     r9 outputs left in the row  r10 in_c & 3 (.Leight_*: a word)  r11 from behind the full words to the next
@                     window  r12 free  lr bytes of a row
@ Registers, .Lflat: r0, r1, r2, r9 as for 2x2  r3-r8, r10, r11, lr words  r12 free
@ Registers, general: r0 x of the block  r1 x of the tap  r2 y  r3 in_c  r4 maximum  r5, lr taps  r6 pairs of columns left (three: a tap)
@                     r7 rows left  r8 columns  r9 rows  r10 from behind a row to the next (three: bytes of a row)  r11 free  r12 channels left
@
@ Cycles: 2x2: in_c = 8, stride 2: 49 for two pixels (16 loads 18, 24 for the maxima, stores 3, step and loop 4), 3.06 an output;
@ in_c % 8 = 0: 26 for eight channels (8 loads 10, 12 for the maxima, store 1, loop 3), 3.25 an output, and 5 a pixel;
@ else 15 for four channels and, where in_c % 4 = 0, 7 a pixel; in_c < 4: 16 an output and 7 a pixel.
@ General: 11 for two taps of a word, or 14 a row of three and 18 a word (46 for 3x3), and 49 a pixel.
@
@ Bit-exact: SSUB8 sets each lane's GE flag from the exact 9-bit difference a - b, and SEL takes a where a - b >= 0.
@ A clipped window always holds a pixel: 0 <= pad < kernel, and the last window starts inside the input.

#include "macros.inc"
#include "max_pool_window.inc"

    .equ FRAME_P, 0
    .equ FRAME_X, 4
    .equ FRAME_OY, 8                    @ general: input row of the window, padding subtracted; 2x2: rows left
    .equ FRAME_OX, 12
    .equ FRAME_COLS_LEFT, 16
    .equ FRAME_ROWS_LEFT, 20
    .equ FRAME_ROW, 24                  @ bytes of a row of the input
    .equ FRAME_SIZE, 28

    .macro  maximum into, other, scratch    @ four int8 lanes
    ssub8   \scratch, \into, \other
    sel     \into, \into, \other
    .endm

@ 2x2: r0 becomes the next window's upper row; Z where there is none. Clobbers r4, r5.
    .macro  next_row
    ldr     r0, [sp, #FRAME_X]
    ldr     r4, [sp, #FRAME_ROWS_LEFT]
    ldr     r5, [sp, #FRAME_OY]
    add     r0, r0, r4
    str     r0, [sp, #FRAME_X]
    subs    r5, r5, #1
    str     r5, [sp, #FRAME_OY]
    .endm

    kernel  max_pool2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME_SIZE
    str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    mov     r11, r0
    ldr     r3, [r11, #MP_IN_C]
    ldr     r4, [r11, #MP_KERNEL_H]
    ldr     r5, [r11, #MP_KERNEL_W]
    ldr     r6, [r11, #MP_PAD_TOP]
    ldr     r7, [r11, #MP_PAD_LEFT]
    cmp     r4, #2
    it      eq
    cmpeq   r5, #2
    bne     .Lgeneral
    orrs    r6, r6, r7
    bne     .Lgeneral
    ldr     r4, [r11, #MP_OUT_H]        @ (out_h - 1) * stride_h + 2 <= in_h, and so for the width
    ldr     r5, [r11, #MP_STRIDE_H]
    ldr     r6, [r11, #MP_IN_H]
    str     r4, [sp, #FRAME_OY]
    subs    r4, r4, #1
    mul     r4, r4, r5
    adds    r4, r4, #2
    cmp     r4, r6
    bgt     .Lgeneral
    ldr     r9, [r11, #MP_OUT_W]
    ldr     r6, [r11, #MP_STRIDE_W]
    ldr     r7, [r11, #MP_IN_W]
    sub     r4, r9, #1
    mul     r4, r4, r6
    adds    r4, r4, #2
    cmp     r4, r7
    bgt     .Lgeneral

    mul     lr, r7, r3                  @ in_w * in_c: a row
    mul     r5, r5, lr
    str     r5, [sp, #FRAME_ROWS_LEFT]  @ rows from window to window, in bytes
    mul     r11, r6, r3
    bic     r4, r3, #3
    sub     r11, r11, r4                @ from behind the full words to the next window
    and     r10, r3, #3
    str     r9, [sp, #FRAME_COLS_LEFT]
    mov     r0, r1
    cmp     r11, #8
    it      eq
    cmpeq   r3, #8
    beq     .Lflat
    cmp     r3, #4
    it      lt
    sublt   r11, r11, r3                @ from behind the channels
.Lpair_row:
    add     r1, r0, lr
    ldr     r9, [sp, #FRAME_COLS_LEFT]
    tst     r3, #7
    beq     .Leight_pixel
    cmp     r3, #4
    blt     .Lfew_pixel
    .balign 4
.Lpair_pixel:
    lsr.w   r8, r3, #2
.Lpair_word:
    ldr.w   r5, [r0, r3]
    ldr.w   r7, [r1, r3]
    ldr.w   r4, [r0], #4
    ldr.w   r6, [r1], #4
    maximum r4, r5, r12
    maximum r6, r7, r12
    maximum r4, r6, r12
    subs.w  r8, r8, #1
    str.w   r4, [r2], #4
    bne     .Lpair_word
    cmp     r10, #0
    bne     .Lpair_rest
.Lpair_next:
    add     r0, r0, r11
    add     r1, r1, r11
    subs    r9, r9, #1
    bne     .Lpair_pixel
.Lpair_row_done:
    next_row
    bne     .Lpair_row
.Lreturn:
    add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}

    .balign 4
.Leight_pixel:                          @ the first word is stored behind the second one's loads, where it is free
    lsr.w   r8, r3, #3
.Leight_channels:
    ldr     r5, [r0, r3]
    ldr     r7, [r1, r3]
    ldr.w   r4, [r0], #4
    ldr.w   r6, [r1], #4
    maximum r4, r5, r12
    maximum r6, r7, r12
    maximum r4, r6, r12
    ldr.w   r5, [r0, r3]
    ldr.w   r7, [r1, r3]
    ldr.w   r10, [r0], #4
    ldr.w   r6, [r1], #4
    str.w   r4, [r2], #4
    maximum r10, r5, r12
    maximum r6, r7, r12
    maximum r10, r6, r12
    subs.w  r8, r8, #1
    str.w   r10, [r2], #4
    bne     .Leight_channels
    add     r0, r0, r11
    add     r1, r1, r11
    subs    r9, r9, #1
    bne     .Leight_pixel
    b       .Lpair_row_done

    .balign 4
.Lfew_pixel:                            @ in_c < 4
    mov     r8, r3
1:  ldrb    r5, [r0, r3]
    ldrb    r7, [r1, r3]
    ldrb    r4, [r0], #1
    ldrb    r6, [r1], #1
    maximum r4, r5, r12
    maximum r6, r7, r12
    maximum r4, r6, r12
    subs    r8, r8, #1
    strb    r4, [r2], #1
    bne     1b
    add     r0, r0, r11
    add     r1, r1, r11
    subs    r9, r9, #1
    bne     .Lfew_pixel
    b       .Lpair_row_done

.Lpair_rest:                            @ in_c & 3 channels: step back to the last whole word that ends at in_c
    rsb     r12, r10, #4
    sub     r0, r0, r12
    sub     r1, r1, r12
    sub     r2, r2, r12
    ldr     r5, [r0, r3]
    ldr     r7, [r1, r3]
    ldr     r4, [r0], #4
    ldr     r6, [r1], #4
    maximum r4, r5, r12
    maximum r6, r7, r12
    maximum r4, r6, r12
    str     r4, [r2], #4
    sub     r0, r0, r10                 @ r11 counts from behind the full words
    sub     r1, r1, r10
    b       .Lpair_next

@ A pixel of .Lflat, its loads first: they pipeline. Its second word is stored, at r2 + \at + 4, its first one is left in \word; \pending is
@ that of the pixel before, or nothing, and stored behind the loads, where that is free.
    .macro  flat_pixel word, at, pending
    ldr.w   r4, [r0, #4]
    ldr.w   r5, [r0, #8]
    ldr.w   r6, [r0, #12]
    ldr.w   \word, [r0], #16
    ldr.w   r8, [r1, #4]
    ldr.w   r10, [r1, #8]
    ldr.w   r11, [r1, #12]
    ldr.w   r7, [r1], #16
    .ifnb \pending
    str.w   \pending, [r2]
    .endif
    maximum r4, r6, r12
    maximum r8, r11, r12
    maximum r4, r8, r12
    maximum \word, r5, r12
    maximum r7, r10, r12
    str.w   r4, [r2, #\at + 4]
    maximum \word, r7, r12
    .endm

.Lflat:
    add     r1, r0, lr
    str     lr, [sp, #FRAME_ROW]
.Lflat_row:                             @ r0, r1 the two rows, r9 outputs of one
    subs    r9, r9, #2
    blt     2f
    .balign 4
1:
@ search: begin max_pool_flat noalias
    flat_pixel r3, 0
    flat_pixel lr, 8, r3
    str.w   lr, [r2, #8]
    add.w   r2, r2, #16
    subs    r9, r9, #2
@ search: end
    bge     1b
2:  adds    r9, r9, #2
    beq     3f
    flat_pixel r3, 0
    str     r3, [r2], #8
3:  next_row
    ldr     r1, [sp, #FRAME_ROW]
    ldr     r9, [sp, #FRAME_COLS_LEFT]
    add     r1, r1, r0
    bne     .Lflat_row
    b       .Lreturn

@ Clip a window of \size at \start to [0, \extent): \start becomes its first input index, \size what is left of it.
    .macro  clip start, size, extent
    sub     \extent, \extent, \start
    cmp     \size, \extent
    it      gt
    movgt   \size, \extent
    cmp     \start, #0
    itt     lt
    addlt   \size, \size, \start
    movlt   \start, #0
    .endm

.Lgeneral:                              @ r11 = p, r2 = y, r3 = in_c
    ldr     r4, [r11, #MP_OUT_H]
    ldr     r5, [r11, #MP_PAD_TOP]
    rsb     r5, r5, #0
    str     r4, [sp, #FRAME_ROWS_LEFT]
    str     r5, [sp, #FRAME_OY]
.Lrow:
    ldr     r4, [r11, #MP_OUT_W]
    ldr     r5, [r11, #MP_PAD_LEFT]
    rsb     r5, r5, #0
    str     r4, [sp, #FRAME_COLS_LEFT]
    str     r5, [sp, #FRAME_OX]
.Lpixel:
    ldr     r4, [sp, #FRAME_OY]
    ldr     r9, [r11, #MP_KERNEL_H]
    ldr     r5, [r11, #MP_IN_H]
    clip    r4, r9, r5
    ldr     r6, [sp, #FRAME_OX]
    ldr     r8, [r11, #MP_KERNEL_W]
    ldr     r10, [r11, #MP_IN_W]
    mla     r4, r4, r10, r6             @ with r6 clipped below: first pixel of the window
    mov     r5, r10
    mov     r0, r6
    clip    r6, r8, r5
    sub     r0, r6, r0
    add     r4, r4, r0
    ldr     r0, [sp, #FRAME_X]
    mla     r0, r4, r3, r0              @ x of the window
    mul     r10, r10, r3
    mov     r12, r3                     @ channels left
    cmp     r8, #3
    beq     .Lthree
    mls     r10, r8, r3, r10            @ from behind a row's taps to the next one
    cmp     r3, #4
    blt     .Lbyte
.Lword:
    any_columns ldr
    next_word .Lword
.Lbyte:
    any_columns ldrb
    next_byte .Lbyte

.Lthree:
    cmp     r3, #4
    blt     .Lthree_byte
    .balign 4
.Lthree_word:
    three_columns ldr
    next_word .Lthree_word
    .balign 4
.Lthree_byte:
    three_columns ldrb
    next_byte .Lthree_byte

.Lnext:
    ldr     r11, [sp, #FRAME_P]
    ldr     r5, [sp, #FRAME_OX]
    ldr     r6, [r11, #MP_STRIDE_W]
    ldr     r4, [sp, #FRAME_COLS_LEFT]
    add     r5, r5, r6
    str     r5, [sp, #FRAME_OX]
    subs    r4, r4, #1
    str     r4, [sp, #FRAME_COLS_LEFT]
    bne     .Lpixel
    ldr     r5, [sp, #FRAME_OY]
    ldr     r6, [r11, #MP_STRIDE_H]
    ldr     r4, [sp, #FRAME_ROWS_LEFT]
    add     r5, r5, r6
    str     r5, [sp, #FRAME_OY]
    subs    r4, r4, #1
    str     r4, [sp, #FRAME_ROWS_LEFT]
    bne     .Lrow
    add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    end     max_pool2d_s8
