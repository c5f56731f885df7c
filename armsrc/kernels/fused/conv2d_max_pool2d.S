@ conv2d_max_pool2d_s8: 3x3 windows on one channel, stride 1, no padding, and of their outputs the largest of two by two, stride 2
@ (packing/conv_pool.py: what is taken, and the packed layer). Where sums are small enough conv_pool_lanes.inc takes the pair; else:
@
@ Since a requantizer is monotone, the largest accumulator of a pool's window is requantized, not the largest result sought.
@
@ Loop structure
@   for bands of pooled rows: the column pairs that their convolution rows see, into the stack frame (build,
@     conv_pool_rows.inc)
@     for blocks of eight filters
@       for filters: into the registers; for rows of the convolution, cut into segments of at most nine pooled columns: a segment is walked
@         (step), its results (of two neighbours the larger one, requantized) go to scratch, a byte each. The code stands there twice: for
@         segments of nine, whose end shows in lr, and for others, entered where their length says
@       results of two rows become one, eight filters side by side (gather, in that file)
@   then, where some [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ A column pair is three words for the columns c, c + 1 of the rows r, r + 1, r + 2 that a row of the convolution sees, times 2^8:
@     v0 = (x[r][c], x[r+1][c])  p = (x[r+2][c], x[r+2][c+1])  v1 = (x[r][c+1], x[r+1][c+1])
@ and a filter is W0 = (w0, w3), W1 = (w1, w4), W2 = (w2, w5), H = (w6, w7), G = (w7, w8), multiplier, addend. A step takes the next pair:
@ it ends the two outputs of a pool's column and begins the next two.
@
@ Registers, step:  r0, r2, r3 and r1, r4, r12 in turn: acc of the left output, a result that waits for its store, v0; acc of the right
@                   output, p, v1  r5-r11 W0 W1 W2 H G multiplier addend  lr results  sp segments (the walk goes down, and the pairs lie
@                   CP_AT above it, so that no interrupt meets them)
@
@ Cycles: a step 18 (10 multiplications, 4 for three loads and the store behind them, 2 for the larger one, 2 to requantize), a segment of
@ nine 8 besides (a shorter one 12 to 15): 9.4 an output of the convolution. To build 39 for four columns of a pooled row, and 51 a row; to
@ gather 14 for eight filters of a pooled output, and 39 a row.
@
@ Bit-exact: thumb2/packing/linear.py; the accumulators have no bias, which is in the addend.

#include "macros.inc"
#include "requantize.inc"

    .fpu    fpv4-sp-d16

    .equ CP_SHIFT, 16                   @ packing/conv_pool.py: SHIFT
    .equ CP_MOST, 9                     @ pooled columns a segment
    .equ CP_SEGMENTS, 6                 @ in the frame
    .equ CP_NEXT, 12 * (CP_MOST + 1)    @ a segment: pairs, and where the code goes on
    .equ CP_SEGMENT, CP_NEXT + 4
    .equ CP_BEGIN, 48                   @ bytes of code of cp_begin
    .equ CP_ROUND, 512                  @ results end at a multiple, so that the end shows in lr
    .equ CP_GARBAGE, 8                  @ bytes of scratch in front of the results: what the first step of a filter stores

@ The packed layer, which begins with the address of its code.
    .equ CH_BAND, 4                     @ pooled rows
    .equ CH_ROWS, 8
    .equ CH_COLUMNS, 12
    .equ CH_CHANNELS, 16
    .equ CH_PITCH, 20                   @ bytes of an input row
    .equ CH_SEGMENTS, 24                @ a row of the convolution
    .equ CH_LENGTH, 28                  @ pooled columns of a segment
    .equ CH_LAST, 32                    @ first pooled column of the last segment
    .equ CH_FLAGS, 36                   @ of clamp_output, whose requantizers follow the filters; 0: none
    .equ CH_FILTERS, 40

@ The frame.
    .equ CP_X, 0                        @ of the band
    .equ CP_Y, 4
    .equ CP_SCRATCH, 8
    .equ CP_PACKED, 12
    .equ CP_LEFT, 16                    @ pooled rows left
    .equ CP_BAND, 20                    @ of this band
    .equ CP_FILTERS, 24                 @ the next one
    .equ CP_BLOCK, 28                   @ filters left of the layer, less eight
    .equ CP_BLOCK_Y, 32
    .equ CP_COUNT, 36                   @ filters left of the block, or rows left
    .equ CP_RESULTS, 40                 @ of the next filter; while pairs are built: segments left, first column
    .equ CP_BASE_Y, 48
    .equ CP_FIRST, 52                   @ code of a segment's beginning
    .equ CP_TURN, 56                    @ x of the row whose pairs are built
    .equ CP_START, 60                   @ results
    .equ CP_FRAME, 68
    .equ CP_AT, CP_FRAME + CP_SEGMENT * (CP_SEGMENTS - 1)
    .equ CP_SIZE, CP_AT + CP_SEGMENT

@ The next pair. \a, \b: acc of two outputs; \q: a result to store. Then \f, \g are the next two's acc, and \a a result.
    .macro  cp_step nine, slot, a, b, q, f, g, h
.Lstep_\nine\()_\slot:
    .if \slot % 3 == 2                  @ wide loads where multiplications would stand off word boundaries
    ldr.w   \f, [sp, #CP_AT + 12 * \slot]
    .else
    ldr     \f, [sp, #CP_AT + 12 * \slot]
    .endif
    .if \slot == 4 || \slot == 7
    ldr.w   \g, [sp, #CP_AT + 12 * \slot + 4]
    .else
    ldr     \g, [sp, #CP_AT + 12 * \slot + 4]
    .endif
    ldr     \h, [sp, #CP_AT + 12 * \slot + 8]
    strb    \q, [lr], #8
    smlad   \a, \f, r7, \a
    smlad   \b, \f, r6, \b
    smlabt  \a, \g, r9, \a
    smlad   \b, \g, r9, \b
    smlad   \b, \h, r7, \b
    .if \slot < CP_MOST
    smuad   \f, \f, r5
    smlad   \f, \g, r8, \f
    smultb  \g, \g, r8
    .endif
    cmp     \a, \b
    it      lt
    movlt   \a, \b
    smmla   \a, \a, r10, r11
    .if \slot < CP_MOST                 @ here, because M7 and M33 wait for the product
    smlad   \f, \h, r6, \f
    smlad   \g, \h, r5, \g
    .endif
    ssat    \a, #8, \a, asr #CP_SHIFT
    .endm

@ A segment begins with the pair before \slot; the registers are those of cp_step there. The result that waits is in r2.
    .macro  cp_begin nine, slot, a, b, q, f, g, h
    .if \slot > 1
    .balign 16                          @ so that it takes CP_BEGIN bytes
    .endif
.Lbegin_\nine\()_\slot:
    .ifnc   \q, r2
    mov     \q, r2
    .endif
    ldr.w   \a, [sp, #CP_AT + 12 * \slot - 12]
    .if \slot > 1
    ldr.w   \f, [sp, #CP_AT + 12 * \slot - 8]
    ldr.w   \b, [sp, #CP_AT + 12 * \slot - 4]
    .else
    ldr     \f, [sp, #CP_AT + 12 * \slot - 8]
    ldr     \b, [sp, #CP_AT + 12 * \slot - 4]
    .endif
    smuad   \a, \a, r5
    smlad   \a, \f, r8, \a
    smlad   \a, \b, r6, \a
    smultb  \f, \f, r8
    smlad   \b, \b, r5, \f
    .if \slot > 1
    b.w     .Lstep_\nine\()_\slot
    .endif
    .endm

    .macro  cp_three what, nine, first, second, third
    \what   \nine, \first, r0, r1, r2, r3, r4, r12
    \what   \nine, \second, r3, r4, r0, r2, r12, r1
    \what   \nine, \third, r2, r12, r3, r0, r1, r4
    .endm

    kernel  conv2d_max_pool2d_s8
    push    {r4-r11, lr}
    ldr     r4, [r0]
    ldr     r5, [r4]
    bx      r5
    end     conv2d_max_pool2d_s8

@ r1 x, r2 y, r3 scratch, r4 the packed layer; behind the kernel's push.
    path    conv2d_max_pool2d, walk
    sub     sp, sp, #CP_SIZE
    stm     sp, {r1-r4}
    ldr     r5, [r4, #CH_ROWS]
    ldr     r6, [r4, #CH_LENGTH]
    str     r5, [sp, #CP_LEFT]
    str     r2, [sp, #CP_BASE_Y]
    ldr     r7, =.Lbegin_0_2 + 1
    mov     r8, #CP_BEGIN
    rsbs    r6, r6, #CP_MOST - 1        @ the first slot, less 2
    ite     mi
    ldrmi   r7, =.Lbegin_1_1 + 1
    mlapl   r7, r6, r8, r7
    str     r7, [sp, #CP_FIRST]

.Lband:
    ldr     r4, [sp, #CP_PACKED]
    ldr     r5, [sp, #CP_LEFT]
    ldr     r6, [r4, #CH_BAND]
    cmp     r6, r5
    it      gt
    movgt   r6, r5
    str     r6, [sp, #CP_BAND]
    bl      build
    ldr     r4, [sp, #CP_PACKED]
    ldr     r0, [sp, #CP_BAND]
    ldr     r1, [sp, #CP_SCRATCH]
    ldr     r2, [r4, #CH_SEGMENTS]
    ldr     r3, [r4, #CH_LENGTH]
    ldr     r5, [r4, #CH_CHANNELS]
    ldr     r6, [sp, #CP_Y]
    mul     r0, r0, r2
    addw    r1, r1, #CP_ROUND - 1
    mul     r0, r0, r3
    add     r1, r1, r0, lsl #4
    lsrs    r1, r1, #9
    lsls    r1, r1, #9
    sub     r1, r1, r0, lsl #4
    adds    r4, r4, #CH_FILTERS
    str     r1, [sp, #CP_START]
    str     r4, [sp, #CP_FILTERS]
    str     r6, [sp, #CP_BLOCK_Y]

.Lblock:                                @ r5 filters left
    movs    r6, #8
    cmp     r5, #8
    it      lt
    movlt   r6, r5
    subs    r5, r5, #8
    ldr     lr, [sp, #CP_START]
    str     r5, [sp, #CP_BLOCK]
    str     r6, [sp, #CP_COUNT]
    str     lr, [sp, #CP_RESULTS]
.Lfilter:
    ldr     r0, [sp, #CP_FILTERS]
    ldr     r1, [sp, #CP_FIRST]
    ldm     r0!, {r5-r11}
    str     r0, [sp, #CP_FILTERS]
    add     r0, lr, #1
    str     r0, [sp, #CP_RESULTS]
    bx      r1

    .balign 4
    cp_begin 1, 1, r0, r1, r2, r3, r4, r12
    cp_three cp_step, 1, 1, 2, 3
    cp_three cp_step, 1, 4, 5, 6
    cp_three cp_step, 1, 7, 8, 9
    tst.w   lr, #(CP_ROUND - 1) & ~7    @ results of all segments end where this is 0
    sub.w   sp, sp, #CP_SEGMENT
    bne.w   .Lbegin_1_1
    .balign 4
.Ldone:
    ldr     r0, [sp, #CP_AT + CP_NEXT]  @ below the last segment
    strb    r2, [lr]
    add     sp, sp, r0
    ldr     r1, [sp, #CP_COUNT]
    ldr.w   lr, [sp, #CP_RESULTS]
    subs    r1, r1, #1
    str     r1, [sp, #CP_COUNT]
    bne     .Lfilter

    bl      gather
    ldr     r5, [sp, #CP_BLOCK]
    ldr     r6, [sp, #CP_BLOCK_Y]
    adds    r6, r6, #8
    str     r6, [sp, #CP_BLOCK_Y]
    cmp     r5, #0
    bgt     .Lblock
    ldr     r4, [sp, #CP_PACKED]
    ldr     r5, [sp, #CP_BAND]
    ldr     r6, [sp, #CP_LEFT]
    ldr     r7, [sp, #CP_X]
    ldr     r8, [sp, #CP_Y]
    ldr     r9, [r4, #CH_PITCH]
    ldr     r10, [r4, #CH_COLUMNS]
    ldr     r11, [r4, #CH_CHANNELS]
    mul     r9, r9, r5
    mul     r10, r10, r5
    add     r7, r7, r9, lsl #1
    mla     r8, r10, r11, r8
    str     r7, [sp, #CP_X]
    str     r8, [sp, #CP_Y]
    subs    r6, r6, r5
    str     r6, [sp, #CP_LEFT]
    bne.w   .Lband

    ldr     r12, [r4, #CH_FLAGS]
    cmp     r12, #0
    beq     1f
    ldr     r0, [sp, #CP_BASE_Y]
    subs    r1, r8, r0
    udiv    r1, r1, r11                 @ pixels
    mov     r2, r11
    ldr     r3, [sp, #CP_FILTERS]
    bl      clamp_output
1:  add     sp, sp, #CP_SIZE
    pop     {r4-r11, pc}

    .balign 4
    nop                                 @ as in the nine steps, multiplications stand at words
    cp_step 0, 2, r3, r4, r0, r2, r12, r1
    cp_step 0, 3, r2, r12, r3, r0, r1, r4
    cp_three cp_step, 0, 4, 5, 6
    cp_three cp_step, 0, 7, 8, 9
    ldr     r1, [sp, #CP_AT + CP_NEXT]
    sub     sp, sp, #CP_SEGMENT
    bx      r1
    cp_begin 0, 2, r3, r4, r0, r2, r12, r1
    cp_begin 0, 3, r2, r12, r3, r0, r1, r4
    cp_three cp_begin, 0, 4, 5, 6
    cp_three cp_begin, 0, 7, 8, 9
    .ltorg
    end     conv2d_max_pool2d, walk

#include "conv_pool_rows.inc"
#include "conv_pool_lanes.inc"

    requantize_helpers
