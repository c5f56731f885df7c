@ conv2d_max_pool2d_s8: 3x3 windows on one channel, stride 1, no padding, and of their outputs the largest of two by two, stride 2
@ (packing/conv_pool.py: what is taken, and the packed layer).
@
@ Since a requantizer is monotone, the largest accumulator of a pool's window is requantized, not the largest result sought.
@
@ Loop structure
@   for bands of pooled rows: the column pairs that their convolution rows see, into the stack frame (build)
@     for blocks of eight filters
@       for filters: into the registers; for rows of the convolution, cut into segments of at most nine pooled columns: a segment is walked
@         (step), its results (of two neighbours the larger one, requantized) go to scratch, a byte each
@       results of two rows become one (gather), eight filters side by side
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
@ Registers, build: r0 x of rows 0, 1  r1 bytes from row to row  r2 x of rows 2, 3  r3-r9 words  r10 pairs of rows 0-2  r11 pairs of
@                   rows 1-3  r12 pairs left  lr 0xFF00FF00
@
@ Cycles: a step 18 (10 multiplications, 4 for three loads and the store behind them, 2 for the larger one, 2 to requantize), a segment of
@ nine 10 besides (a shorter one 13): 9.6 an output of the convolution. To build 39 for four columns of a pooled row, and 51 a row; to
@ gather 14 for eight filters of a pooled output, and 39 a row.
@
@ Bit-exact: packing/linear.py; the accumulators have no bias, which is in the addend.

#include "macros.inc"
#include "requantize.inc"

    .equ CP_SHIFT, 16                   @ packing/conv_pool.py: SHIFT
    .equ CP_MOST, 9                     @ pooled columns a segment
    .equ CP_SEGMENTS, 6                 @ in the frame
    .equ CP_NEXT, 12 * (CP_MOST + 1)    @ a segment: pairs, and where the code goes on
    .equ CP_SEGMENT, CP_NEXT + 4
    .equ CP_BEGIN, 48                   @ bytes of code of cp_begin
    .equ CP_GARBAGE, 8                  @ bytes of scratch in front of the results: what the first step of a filter stores

@ The packed layer.
    .equ CH_BAND, 0                     @ pooled rows
    .equ CH_ROWS, 4
    .equ CH_COLUMNS, 8
    .equ CH_CHANNELS, 12
    .equ CH_PITCH, 16                   @ bytes of an input row
    .equ CH_SEGMENTS, 20                @ a row of the convolution
    .equ CH_LENGTH, 24                  @ pooled columns of a segment
    .equ CH_LAST, 28                    @ first pooled column of the last segment
    .equ CH_FLAGS, 32                   @ of clamp_output, whose requantizers follow the filters; 0: none
    .equ CH_FILTERS, 36
    .equ CP_FILTER, 28

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
    .equ CP_FRAME, 68
    .equ CP_AT, CP_FRAME + CP_SEGMENT * (CP_SEGMENTS - 1)
    .equ CP_SIZE, CP_AT + CP_SEGMENT

@ The next pair. \a, \b: acc of two outputs; \q: a result to store. Then \f, \g are the next two's acc, and \a a result.
    .macro  cp_step slot, a, b, q, f, g, h
.Lstep_\slot:
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
    .macro  cp_begin slot, a, b, q, f, g, h
    .if \slot > 1
    .balign 16                          @ so that it takes CP_BEGIN bytes
    .endif
.Lbegin_\slot:
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
    b.w     .Lstep_\slot
    .endif
    .endm

    .macro  cp_three what, first, second, third
    \what   \first, r0, r1, r2, r3, r4, r12
    \what   \second, r3, r4, r0, r2, r12, r1
    \what   \third, r2, r12, r3, r0, r1, r4
    .endm

    kernel  conv2d_max_pool2d_s8
    push    {r4-r11, lr}
    sub     sp, sp, #CP_SIZE
    ldr     r4, [r0]
    stm     sp, {r1-r4}
    ldr     r5, [r4, #CH_ROWS]
    ldr     r6, [r4, #CH_LENGTH]
    str     r5, [sp, #CP_LEFT]
    str     r2, [sp, #CP_BASE_Y]
    ldr     r7, =.Lbegin_2 + 1
    mov     r8, #CP_BEGIN
    rsbs    r6, r6, #CP_MOST - 1        @ the first slot, less 2
    ite     mi
    ldrmi   r7, =.Lbegin_1 + 1
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
    ldr     r6, [sp, #CP_Y]
    ldr     r5, [r4, #CH_CHANNELS]
    adds    r4, r4, #CH_FILTERS
    str     r4, [sp, #CP_FILTERS]
    str     r6, [sp, #CP_BLOCK_Y]

.Lblock:                                @ r5 filters left
    movs    r6, #8
    cmp     r5, #8
    it      lt
    movlt   r6, r5
    subs    r5, r5, #8
    ldr     lr, [sp, #CP_SCRATCH]
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

    cp_begin 1, r0, r1, r2, r3, r4, r12
    cp_three cp_step, 1, 2, 3
    cp_three cp_step, 4, 5, 6
    cp_three cp_step, 7, 8, 9
    ldr     r1, [sp, #CP_AT + CP_NEXT]
    sub     sp, sp, #CP_SEGMENT
    bx      r1

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

    cp_begin 2, r3, r4, r0, r2, r12, r1
    cp_begin 3, r2, r12, r3, r0, r1, r4
    cp_three cp_begin, 4, 5, 6
    cp_three cp_begin, 7, 8, 9
    .ltorg
    end     conv2d_max_pool2d_s8

@ The pairs of the band's rows, and where the code goes on behind each segment. Clobbers all.
    .set    F, 8
    helper  build
    push    {r3, lr}
    ldr     r4, [sp, #F + CP_PACKED]
    ldr     r0, [sp, #F + CP_X]
    ldr     r5, [sp, #F + CP_BAND]
    ldr     r1, [r4, #CH_PITCH]
    mvn     lr, #0x00FF00FF
    add     r10, sp, #F + CP_AT
.Lbuild_row:                            @ r0 x, r10 the row's first segment, r5 rows left
    str     r5, [sp, #F + CP_COUNT]
    str     r0, [sp, #F + CP_TURN]
    ldr     r5, [r4, #CH_SEGMENTS]
    mov     r3, #CP_SEGMENT
    mls     r11, r5, r3, r10
    movs    r6, #0
.Lbuild_segment:                        @ r5 segments left, r6 first pooled column
    ldr     r12, [r4, #CH_LENGTH]
    ldr     r3, [sp, #F + CP_FIRST]
    cmp     r5, #1
    it      eq
    ldreq   r6, [r4, #CH_LAST]
    strd    r5, r6, [sp, #F + CP_RESULTS]
    str     r3, [r10, #CP_NEXT]
    str     r3, [r11, #CP_NEXT]
    ldr     r0, [sp, #F + CP_TURN]
    rsb     r3, r12, #CP_MOST
    add     r3, r3, r3, lsl #1
    add     r10, r10, r3, lsl #2
    add     r11, r11, r3, lsl #2
    add     r0, r0, r6, lsl #1
    add     r2, r0, r1, lsl #1
    lsls    r3, r12, #31
    bne     1f
    ldrh    r3, [r0]                    @ an odd number of pairs: the first one alone
    ldrh    r4, [r0, r1]
    ldrh    r5, [r2]
    ldrh    r6, [r2, r1]
    adds    r0, r0, #2
    adds    r2, r2, #2
    pkhbt   r3, r3, r4, lsl #16
    pkhbt   r4, r4, r5, lsl #16
    and     r5, lr, r3, lsl #8
    and     r7, lr, r3
    and     r8, lr, r4, lsl #8
    and     r9, lr, r4
    str     r5, [r10], #12
    pkhtb   r5, r9, r8, asr #16
    str     r7, [r10, #-4]
    str     r5, [r10, #-8]
    and     r5, lr, r6, lsl #8
    and     r6, lr, r6
    str     r8, [r11], #12
    pkhbt   r5, r5, r6, lsl #16
    str     r9, [r11, #-4]
    str     r5, [r11, #-8]
    subs    r12, r12, #1
    .balign 4
1:  ldr.w   r4, [r0, r1]
    ldr.w   r5, [r2]
    ldr.w   r6, [r2, r1]
    ldr.w   r3, [r0], #4
    add.w   r2, r2, #4
    pkhbt   r7, r3, r4, lsl #16         @ columns 0, 1 of rows 0, 1
    pkhtb   r3, r4, r3, asr #16         @ columns 2, 3
    and     r8, lr, r7, lsl #8
    and     r7, lr, r7
    str.w   r8, [r10], #24
    and     r8, lr, r3, lsl #8
    and     r3, lr, r3
    str     r7, [r10, #-16]
    pkhbt   r7, r4, r5, lsl #16         @ rows 1, 2
    pkhtb   r4, r5, r4, asr #16
    str     r8, [r10, #-12]
    and     r8, lr, r7, lsl #8
    and     r7, lr, r7
    str     r3, [r10, #-4]
    and     r9, lr, r4, lsl #8
    and     r4, lr, r4
    pkhtb   r3, r7, r8, asr #16         @ row 2
    str.w   r8, [r11], #24
    pkhtb   r5, r4, r9, asr #16
    str     r3, [r10, #-20]
    and     r3, lr, r6, lsl #8          @ row 3
    and     r6, lr, r6
    str     r5, [r10, #-8]
    pkhbt   r5, r3, r6, lsl #16
    pkhtb   r6, r6, r3, asr #16
    str     r7, [r11, #-16]
    str     r5, [r11, #-20]
    subs.w  r12, r12, #2
    str     r9, [r11, #-12]
    str     r6, [r11, #-8]
    str     r4, [r11, #-4]
    bgt     1b

    ldr     r4, [sp, #F + CP_PACKED]
    ldrd    r5, r6, [sp, #F + CP_RESULTS]
    ldr     r3, [r4, #CH_LENGTH]
    sub     r10, r10, #CP_NEXT + CP_SEGMENT
    sub     r11, r11, #CP_NEXT + CP_SEGMENT
    add     r6, r6, r3
    subs    r5, r5, #1
    bne     .Lbuild_segment
    ldr     r0, [sp, #F + CP_TURN]
    ldr     r5, [sp, #F + CP_COUNT]
    mov     r10, r11
    add     r0, r0, r1, lsl #1
    subs    r5, r5, #1
    bne     .Lbuild_row
    ldr     r3, =.Ldone + 1
    str     r3, [r10, #CP_SEGMENT + CP_NEXT]
    add     r3, sp, #F + CP_AT
    subs    r3, r3, r10
    str     r3, [r10, #CP_NEXT]         @ bytes of all segments
    pop     {r3, pc}
    .ltorg
    end     build

    .macro  larger word, other, temp    @ four int8 lanes
    ssub8   \temp, \word, \other
    sel     \word, \word, \other
    .endm

@ The band's results of a block of filters to y, of two rows the larger ones. Clobbers all.
    helper  gather
    push    {r3, lr}
    ldr     r4, [sp, #F + CP_PACKED]
    ldr     r0, [sp, #F + CP_SCRATCH]
    ldr     r5, [sp, #F + CP_BLOCK_Y]
    ldr     r6, [sp, #F + CP_BAND]
    ldr     r11, [r4, #CH_CHANNELS]
    ldr     r7, [sp, #F + CP_BLOCK]
    adds    r0, r0, #CP_GARBAGE
.Lgather_row:                           @ r0 results, r5 y, r6 rows left
    str     r6, [sp, #F + CP_COUNT]
    ldr     r12, [r4, #CH_SEGMENTS]
    ldr     r3, [r4, #CH_LENGTH]
    mul     r1, r12, r3
    add     r1, r0, r1, lsl #3          @ the second row
    movs    r6, #0
.Lgather_segment:                       @ r6 first pooled column
    cmp     r12, #1
    it      eq
    ldreq   r6, [r4, #CH_LAST]
    ldr     lr, [r4, #CH_LENGTH]
    mla     r2, r6, r11, r5
    add     r6, r6, lr
    cmp     r7, #0
    blt     .Lgather_bytes
    .balign 4
1:  ldr     r3, [r0, #4]
    ldr     r4, [r1, #4]
    ldr.w   r9, [r0], #8
    ldr.w   r8, [r1], #8
    subs.w  lr, lr, #1
    larger  r3, r4, r10
    larger  r9, r8, r10
    str     r3, [r2, #4]
    str.w   r9, [r2]
    add.w   r2, r2, r11
    bne     1b
.Lgather_next:
    ldr     r4, [sp, #F + CP_PACKED]
    subs    r12, r12, #1
    bne     .Lgather_segment
    ldr     r2, [r4, #CH_COLUMNS]
    ldr     r6, [sp, #F + CP_COUNT]
    mla     r5, r2, r11, r5
    mov     r0, r1
    subs    r6, r6, #1
    bne     .Lgather_row
    pop     {r3, pc}

.Lgather_bytes:                         @ r7 filters, less eight
    add     r3, r7, #8
2:  ldrsb   r8, [r0], #1
    ldrsb   r9, [r1], #1
    cmp     r8, r9
    it      lt
    movlt   r8, r9
    subs    r3, r3, #1
    strb    r8, [r2], #1
    bne     2b
    subs    r0, r0, r7
    subs    r1, r1, r7
    add     r2, r2, r11
    sub     r2, r2, r7
    subs    r2, r2, #8
    subs    lr, lr, #1
    bne     .Lgather_bytes
    b       .Lgather_next
    end     gather
    requantize_helpers
