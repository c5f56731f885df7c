@ depthwise_pointwise_conv2d_s8: 3x3 depthwise on eight channels, stride 1, no padding, and a pointwise layer behind it
@ (packing/depthwise_pointwise.py: what is taken, and the packed layers). Between them is a tile of int16 in scratch.
@
@ Loop structure
@   for bands of at most eight output rows, for segments of at most eight columns
@     for four channels, twice: unpacked into the stack frame (build); for channels: walked (walk.inc)
@     the tile's pixels are multiplied (pixels.inc)
@   then, where some [qmin, qmax] of the pointwise layer is not [-128, 127], clamp_output goes over y
@
@ The tile holds the depthwise layer's results times 2^8, eight channels a pixel. Its low bytes are cleared once, and results go to the high
@ ones, so that nothing is widened.
@
@ Registers: in walk.inc, pixels.inc.
@
@ Cycles on the M4: in walk.inc, pixels.inc.
@
@ Bit-exact: thumb2/packing/linear.py, for both layers.

#include "macros.inc"
#include "requantize.inc"

    .fpu    fpv4-sp-d16

    .equ DP_SHIFT, 16                   @ packing/depthwise_pointwise.py: SHIFT
    .equ DP_MOST, 8                     @ columns a segment
    .equ DP_BANDS, 5                    @ pairs of input rows
    .equ DP_NEXT_EVEN, 0                @ a pair of rows of a channel: where the code goes on behind the output row that begins there ...
    .equ DP_NEXT_ODD, 4
    .equ DP_COLUMNS, 8                  @ ... and (row 2b, row 2b + 1) of each column, right-aligned
    .equ DP_ROWS, DP_COLUMNS + 4 * (DP_MOST + 2)
    .equ DP_PLANE, DP_ROWS * DP_BANDS   @ a channel
    .equ DP_PIXEL, 16                   @ bytes in the tile

@ The packed layers.
    .equ DH_BAND, 0                     @ output rows
    .equ DH_HEIGHT, 4
    .equ DH_WIDTH, 8
    .equ DH_PITCH, 12                   @ bytes of an input row
    .equ DH_OUT_C, 16
    .equ DH_SEGMENTS, 20
    .equ DH_LENGTH, 24                  @ columns a segment
    .equ DH_LAST, 28                    @ first column of the last one
    .equ DH_TILE, 32                    @ words of the tile
    .equ DH_FLAGS, 36                   @ of clamp_output; its requantizers stand behind the pointwise layer's channels
    .equ DH_BENT, 40                    @ 1: some sum takes something where it is negative
    .equ DH_ALIKE, 44                   @ the pointwise layer's multiplier, if it has only one, else 0
    .equ DH_CHANNELS, 48                @ eight channels, then the pointwise layer's
    .equ DP_CHANNEL, 52                 @ W0 W1 W2 H G of even rows, multiplier, addend, below, W0 W1 W2 H G of odd rows
    .equ DP_CHANNEL_ODD, 32
    .equ DH_POINTWISE, DH_CHANNELS + 8 * DP_CHANNEL

@ The frame.
    .equ DF_X, 0                        @ of the band
    .equ DF_Y, 4
    .equ DF_TILE, 8
    .equ DF_PACKED, 12
    .equ DF_LEFT, 16                    @ output rows left
    .equ DF_EVEN, 20                    @ of this band: rows of even number, and of odd
    .equ DF_ODD, 24
    .equ DF_SEGMENT, 28                 @ segments left, first column
    .equ DF_COLUMN, 32
    .equ DF_CHANNEL, 36                 @ the next one's constants
    .equ DF_COUNT, 40                   @ channels left of four
    .equ DF_TO, 44                      @ the channel's first place in the tile
    .equ DF_QUAD, 48                    @ first channel of four
    .equ DF_BEGIN_EVEN, 52              @ code of a row's beginning
    .equ DF_BEGIN_ODD, 56
    .equ DF_BASE_Y, 60
    .equ DF_PX, 64                      @ pixels.inc: the next pair of pixels, ...
    .equ DF_PAIRS_END, 68               @ ... and behind the run's last one, ...
    .equ DF_PY, 72                      @ ... y of the next pixel, ...
    .equ DF_RUN_Y, 76                   @ ... of its run, ...
    .equ DF_RUN, 80                     @ ... pixels of a run, ...
    .equ DF_RUNS, 84                    @ ... runs left, ...
    .equ DF_ENTRY, 92                   @ ... code of the first channel
    .equ DF_BLOCK, 96                   @ ... channels left, behind these
    .equ DF_CHANNELS, 100               @ ... and these
    .equ DF_STREAM, 104
    .equ DF_BLOCK_Y, 108
    .equ DF_DOWN, 112                   @ how far below the first one a channel's rows begin
    .equ DF_OUT_C, 116
    .equ DF_FRAME, 124
    .equ DP_AT, DF_FRAME + 4 * DP_PLANE - DP_ROWS    @ of the first channel's first rows
    .equ DP_SIZE, DF_FRAME + 4 * DP_PLANE

#include "walk.inc"
#include "pixels.inc"

    kernel  depthwise_pointwise_conv2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #DP_SIZE
    ldr     r4, [r0]
    stm     sp, {r1-r4}
    ldr     r5, [r4, #DH_HEIGHT]
    ldr     r6, [r4, #DH_TILE]
    str     r5, [sp, #DF_LEFT]
    str     r2, [sp, #DF_BASE_Y]
    movs    r0, #0
    movs    r1, #0
    movs    r2, #0
    movs    r5, #0
    movs    r7, #0
    mov     r8, r0
    mov     r9, r0
    mov     r10, r0
    .balign 4
1:  stm.w   r3!, {r0-r2, r5, r7-r10}
    stm.w   r3!, {r0-r2, r5, r7-r10}
    subs    r6, r6, #16
    bne     1b

.Lband:
    ldr     r4, [sp, #DF_PACKED]
    ldr     r5, [sp, #DF_LEFT]
    ldr     r6, [r4, #DH_BAND]
    cmp     r6, r5
    it      gt
    movgt   r6, r5
    adds    r7, r6, #1
    lsrs    r7, r7, #1
    subs    r6, r6, r7
    strd    r7, r6, [sp, #DF_EVEN]
    ldr     r5, [r4, #DH_SEGMENTS]
    movs    r6, #0
.Lsegment:                              @ r4 packed, r5 segments left, r6 first column
    cmp     r5, #1
    it      eq
    ldreq   r6, [r4, #DH_LAST]
    strd    r5, r6, [sp, #DF_SEGMENT]
    bl      prepare
    ldr     r4, [sp, #DF_PACKED]
    ldr     r0, [sp, #DF_TILE]
    movs    r1, #0
    ldr     r2, [r4, #DH_LENGTH]
    adds    r4, r4, #DH_CHANNELS
    rsb     r2, r2, #DP_MOST - 1        @ see wk_begin
    adds    r0, r0, #1
    add     r0, r0, r2, lsl #4
    str     r4, [sp, #DF_CHANNEL]
    str     r0, [sp, #DF_TO]
.Lquad:                                 @ r1 first channel
    str     r1, [sp, #DF_QUAD]
    bl      build
    walk
    ldr     r1, [sp, #DF_QUAD]
    adds    r1, r1, #4
    cmp     r1, #8
    bne     .Lquad
    bl      pixels
    ldr     r4, [sp, #DF_PACKED]
    ldrd    r5, r6, [sp, #DF_SEGMENT]
    ldr     r0, [r4, #DH_LENGTH]
    add     r6, r6, r0
    subs    r5, r5, #1
    bne     .Lsegment

    ldr     r0, [sp, #DF_X]
    ldr     r1, [sp, #DF_Y]
    ldr     r2, [r4, #DH_PITCH]
    ldr     r3, [r4, #DH_WIDTH]
    ldr     r5, [r4, #DH_OUT_C]
    ldrd    r6, r7, [sp, #DF_EVEN]
    ldr     r8, [sp, #DF_LEFT]
    mul     r3, r3, r5
    add     r6, r6, r7
    mla     r0, r2, r6, r0
    mla     r1, r3, r6, r1
    str     r0, [sp, #DF_X]
    str     r1, [sp, #DF_Y]
    subs    r8, r8, r6
    str     r8, [sp, #DF_LEFT]
    bne     .Lband

    ldr     r12, [r4, #DH_FLAGS]
    cmp     r12, #0
    beq     2f
    ldr     r0, [sp, #DF_BASE_Y]
    ldr     r3, [sp, #DF_STREAM]
    subs    r1, r1, r0
    udiv    r1, r1, r5                  @ pixels
    mov     r2, r5
    bl      clamp_output
2:  add     sp, sp, #DP_SIZE
    pop     {r4-r11, pc}
    walk_rows
    .ltorg
    end     depthwise_pointwise_conv2d_s8

    .set    F, 8

@ \rows rows, perhaps none: behind each the code goes on at \next, behind the last one at \last; then how far up the frame is.
    .macro  prepare_rows rows, next, last, which
    add     r2, sp, #F + DP_AT - 3 * DP_PLANE
    movs    r1, \rows
    mov     r3, \next
    mov     r4, #0
    beq     2f
1:  subs    r1, r1, #1
    it      eq
    moveq   r3, \last
    add     r4, r4, #DP_ROWS
    str     r3, [r2, #\which]
    str     r3, [r2, #\which + DP_PLANE]
    str     r3, [r2, #\which + 2 * DP_PLANE]
    str     r3, [r2, #\which + 3 * DP_PLANE]
    sub     r2, r2, #DP_ROWS
    bne     1b
2:  str     r4, [r2, #\which + 3 * DP_PLANE]
    add     r4, r4, #DP_PLANE
    str     r4, [r2, #\which + 2 * DP_PLANE]
    add     r4, r4, #DP_PLANE
    str     r4, [r2, #\which + DP_PLANE]
    add     r4, r4, #DP_PLANE
    str     r4, [r2, #\which]
    .endm

@ Where the code goes on behind each row, of the four channels in the frame. Clobbers all.
    helper  prepare
    push    {r3, lr}
    ldr     r0, [r4, #DH_LENGTH]
    ldr     r1, [r4, #DH_BENT]
    rsb     r0, r0, #DP_MOST            @ columns that are missing
    mov     r2, #WK_BEGIN
    mul     r2, r0, r2
    cmp     r1, #0
    bne     5f
    wk_begins 0
    b       6f
5:  wk_begins 1
6:  strd    r5, r6, [sp, #F + DF_BEGIN_EVEN]
    ldr     r0, [r4, #DH_LENGTH]
    lsls    r0, r0, #4
    vmov    s0, r0                      @ a row of the tile
    ldr     r7, =.Lwalk_odd + 1
    ldr     r8, =.Lwalk_done + 1
    ldrd    r9, r10, [sp, #F + DF_EVEN]
    cmp     r10, #0
    it      eq
    ldreq   r7, =.Lwalk_only + 1
    prepare_rows r9, r5, r7, DP_NEXT_EVEN
    prepare_rows r10, r6, r8, DP_NEXT_ODD
    pop     {r3, pc}
    .ltorg
    end     prepare

@ Four channels from DF_QUAD of the segment's columns into the frame. Clobbers all.
    .macro  build_pairs                 @ r3, r4 pixels: r6-r9 (row 2b, row 2b + 1) of the four channels, times 2^8
    pkhbt   r7, r3, r4, lsl #16
    pkhtb   r9, r4, r3, asr #16
    and     r6, lr, r7, lsl #8
    and     r7, lr, r7
    and     r8, lr, r9, lsl #8
    and     r9, lr, r9
    .endm

    .macro  build_column
    ldr.w   r3, [r0], #8
    ldr.w   r4, [r1], #8
    str.w   r6, [r10, #3 * DP_PLANE]
    str.w   r7, [r10, #2 * DP_PLANE]
    str.w   r8, [r10, #DP_PLANE]
    str.w   r9, [r10], #4
    build_pairs
    .endm

    helper  build
    push    {r3, lr}
    ldr     r5, [sp, #F + DF_PACKED]
    ldr     r0, [sp, #F + DF_X]
    ldr     r1, [sp, #F + DF_COLUMN]
    ldr     r2, [sp, #F + DF_QUAD]
    ldr     r11, [r5, #DH_PITCH]
    ldr     r12, [r5, #DH_LENGTH]
    ldrd    r3, r4, [sp, #F + DF_EVEN]
    add     r0, r0, r2
    add     r0, r0, r1, lsl #3
    add     r2, r3, r4
    adds    r2, r2, #2                  @ input rows left
    mvn     lr, #0x00FF00FF
    add     r10, sp, #F + DP_AT - 3 * DP_PLANE + DP_COLUMNS
    rsb     r3, r12, #DP_MOST
    add     r10, r10, r3, lsl #2
1:  str     r2, [sp, #F + DF_COUNT]     @ r0 x of two rows, r10 -> the last channel
    strd    r0, r10, [sp, #F + DF_PX]
    cmp     r2, #1
    ite     eq
    moveq   r1, r0                      @ there is no second row, and nothing looks at it
    addne   r1, r0, r11
    ldr     r3, [r0], #8
    ldr     r4, [r1], #8
    adds    r5, r12, #1
    build_pairs
    lsls    r3, r5, #31
    bne     3f
    .balign 4
2:  build_column
3:  build_column
    subs.w  r5, r5, #2
    bgt     2b
    str     r9, [r10]
    str     r6, [r10, #3 * DP_PLANE]
    str     r7, [r10, #2 * DP_PLANE]
    str     r8, [r10, #DP_PLANE]
    ldrd    r0, r10, [sp, #F + DF_PX]
    ldr     r2, [sp, #F + DF_COUNT]
    sub     r10, r10, #DP_ROWS
    add     r0, r0, r11, lsl #1
    subs    r2, r2, #2
    bgt     1b
    pop     {r3, pc}
    end     build

    pixels
    requantize_helpers
