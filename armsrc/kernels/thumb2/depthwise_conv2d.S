@ depthwise_conv2d_s8: a filter of its own for every channel.
@
@ Loop structure
@   packed (nearly all: packing/depthwise.py, packing/windows.py): depthwise_planes.inc with its walks; few outputs (packing/taps.py)
@     depthwise_taps.inc; what follows is of layers that are not packed
@   for blocks of four channels (the last block is moved back so that it ends at in_c: some are computed twice; in_c < 4: one
@   block of in_c, its words put together from bytes)
@     3x3, stride 1, no rare requantizer, |bias| < SLIDE_BIAS_LIMIT: depthwise_slide does the windows that lie inside the input,
@       a channel at a time (depthwise_3x3.inc: 22.75 cycles an output with a ReLU)
@     depthwise_block does the rest, a pixel at a time, four channels at once (depthwise_block.inc):
@       3x3, any stride, in_c >= 4, no rare requantizer: windows inside straight from x, 36.75 cycles an output
@       every other: the window is first copied to scratch, with the zero point where it lies outside
@   then, where some [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ Two taps of four channels become four words of int16 pairs, one a channel, in six instructions (pair_up), and meet four weight
@ words that depthwise_pack laid out the same way in scratch.
@
@ Cycles: packed, in the .inc files; else as the loop structure says.
@
@ Registers, depthwise_pack: r0 taps, then biases  r1 pairs, then requantizers  r2 taps left, then channels left  r3 (1, 1),
@   then their step  r4-r7 sums of weights  r8-r11 pairs, then a requantizer  r12, lr taps
@
@ Bit-exact: sum (x - zero_point) * w = sum x * w - zero_point * sum w, folded into the bias modulo 2^32; the ABI bounds the whole
@ sum below 2^31, so it comes out right whatever the partial sums do. Padding holds the zero point. requantize.inc for the rest.

#include "macros.inc"
#include "requantize.inc"

    .equ DW_P, 0
    .equ DW_X, 4                @ x, y, weights, bias, requant of this block's first channel
    .equ DW_Y, 8
    .equ DW_W, 12
    .equ DW_B, 16
    .equ DW_R, 20
    .equ DW_CHANNEL, 24         @ this block's first channel
    .equ DW_LANES, 28           @ channels in a block: 4, or in_c below
    .equ DW_STEP, 32            @ 0 or RQ_SIZE
    .equ DW_FLAGS, 36
    .equ DW_WINDOW, 40          @ scratch: the window, a word of four channels a tap ...
    .equ DW_PAIRS, 44           @ ... and the weights, widened: per two taps four words, one a channel
    .equ DW_TAPS, 48
    .equ DW_IY, 52
    .equ DW_IX, 56
    .equ DW_COLUMNS, 60
    .equ DW_ROWS, 64
    .equ DW_YP, 68              @ y of this pixel
    .equ DW_BIAS4, 72           @ four folded biases
    .equ DW_REQUANT4, 88        @ four times multiplier << 1, shift, zero_point
    .equ DW_RUN_AT, 136         @ DW_COLUMNS where a run of 3x3 windows that lie inside begins, 0 for none ...
    .equ DW_RUN, 140            @ ... and its length
    .equ DW_INSIDE_AT, 144      @ the same for a row that lies inside
    .equ DW_STEP_X, 148
    .equ DW_RUN_LEFT, 152
    .equ DW_SLIDE, 156          @ depthwise_3x3.inc
    .equ DW_SLIDE_ROWS, 160
    .equ DW_SLIDE_BIAS, 164
    .equ DW_SLIDE_M, 168
    .equ DW_SLIDE_C, 172
    .equ DW_SLIDE_COUNT, 176
    .equ DW_SLIDE_STEP_Y, 180
    .equ DW_SLIDE_STEP_X, 184
    .equ DW_SLIDE_CHANNEL, 188
    .equ DW_SLIDE_ENTRY, 192
    .equ DW_SLIDE_BYTES, 196
    .equ DW_SLIDE_TURNS, 200
    .equ DW_SIZE, 204

@ Two words of four int8 channels, two taps -> four words of int16 pairs, one a channel. \a, \b are lost.
    .macro  pair_up a, b, p0, p1, p2, p3
    pkhbt   \p0, \a, \b, lsl #16
    pkhtb   \p2, \b, \a, asr #16
    sxtb16  \p1, \p0, ror #8
    sxtb16  \p0, \p0
    sxtb16  \p3, \p2, ror #8
    sxtb16  \p2, \p2
    .endm

    kernel_by_path depthwise_conv2d_s8, depthwise_conv2d, CV_PACKED

    unpacked depthwise_conv2d
    sub     sp, sp, #DW_SIZE
    str     r0, [sp, #DW_P]
    str     r1, [sp, #DW_X]
    str     r2, [sp, #DW_Y]
    mov     r11, r0
    ldr     r4, [r11, #CV_WEIGHTS]
    ldr     r5, [r11, #CV_BIAS]
    ldr     r6, [r11, #CV_REQUANT]
    ldr     r7, [r11, #CV_OUT_C]
    ldr     r8, [r11, #CV_PER_CHANNEL]
    ldr     r9, [r11, #CV_KERNEL_H]
    ldr     r10, [r11, #CV_KERNEL_W]
    strd    r4, r5, [sp, #DW_W]
    str     r6, [sp, #DW_R]
    mul     r9, r9, r10
    str     r9, [sp, #DW_TAPS]
    str     r3, [sp, #DW_PAIRS]
    adds    r9, r9, #1
    lsrs    r9, r9, #1
    add     r3, r3, r9, lsl #4          @ 16 * ceil(taps / 2) + 4 * taps <= 16 * taps + 4 * out_c
    str     r3, [sp, #DW_WINDOW]
    cmp     r7, #4
    ite     ge
    movge   r0, #4
    movlt   r0, r7
    str     r0, [sp, #DW_LANES]
    movs    r0, #0
    str     r0, [sp, #DW_CHANNEL]
    str     r0, [sp, #DW_BIAS4 + 4]     @ read, though not used, where in_c < 4
    str     r0, [sp, #DW_BIAS4 + 8]
    str     r0, [sp, #DW_BIAS4 + 12]
    look_at_requantizers DW_STEP, DW_FLAGS
    bl      depthwise_slide_fits
    ldr     r0, [sp, #DW_SLIDE]
    cbnz    r0, .Lblock
    bl      depthwise_runs

.Lblock:
    ldr     r0, [sp, #DW_SLIDE]
    cbz     r0, 1f
    bl      depthwise_slide
    ldr     r0, [sp, #DW_SLIDE]
    cmp     r0, #2
    beq     2f
1:  bl      depthwise_pack
    bl      depthwise_block
2:  ldr     r11, [sp, #DW_P]            @ the next block: four channels on, or fewer, so that it ends at in_c
    ldr     r0, [sp, #DW_CHANNEL]
    ldr     r1, [r11, #CV_OUT_C]
    subs    r1, r1, #4
    ble     .Lclamp
    subs    r2, r1, r0                  @ channels behind this block
    beq     .Lclamp
    cmp     r2, #4
    it      gt
    movgt   r2, #4
    add     r0, r0, r2
    str     r0, [sp, #DW_CHANNEL]
    add     r0, sp, #DW_X
    ldm     r0, {r4-r8}
    ldr     r9, [sp, #DW_STEP]
    add     r4, r4, r2
    add     r5, r5, r2
    add     r6, r6, r2
    add     r7, r7, r2, lsl #2
    mla     r8, r9, r2, r8
    stm     r0, {r4-r8}
    b       .Lblock

.Lclamp:
    ldr     r12, [sp, #DW_FLAGS]
    tst     r12, #FLAG_CLAMP
    beq     1f
    ldr     r4, [sp, #DW_CHANNEL]
    ldr     r0, [sp, #DW_Y]
    ldr     r1, [r11, #CV_OUT_H]
    ldr     r3, [r11, #CV_OUT_W]
    ldr     r2, [r11, #CV_OUT_C]
    mul     r1, r1, r3
    ldr     r3, [r11, #CV_REQUANT]
    sub     r0, r0, r4
    bl      clamp_output
1:  add     sp, sp, #DW_SIZE
    pop     {r4-r11, pc}
    end     depthwise_conv2d, unpacked

@ r2 words (at least one) of up to four channels from r1, a pixel (r3 = in_c bytes) apart, to r0. Advances r0, r1; clobbers
@ r2, lr, and r10 where in_c < 4.
    .macro  copy_taps
    cmp     r3, #4
    blt     2f
    .balign 4
1:  ldr     lr, [r1]
    add     r1, r1, r3
    str     lr, [r0], #4
    subs    r2, r2, #1
    bne     1b
    b       3f
2:  ldrb    lr, [r1], #1
    cmp     r3, #2
    blt     1f
    ldrb    r10, [r1], #1
    orr     lr, lr, r10, lsl #8
    beq     1f
    ldrb    r10, [r1], #1
    orr     lr, lr, r10, lsl #16
1:  str     lr, [r0], #4
    subs    r2, r2, #1
    bne     2b
3:
    .endm

@ Weights of a block into DW_PAIRS, its biases with the zero point folded in into DW_BIAS4, its requantizers into DW_REQUANT4.
    .set    F, 8
    helper  depthwise_pack
    push    {r3, lr}
    ldr     r11, [sp, #F + DW_P]
    ldr     r0, [sp, #F + DW_WINDOW]
    ldr     r1, [sp, #F + DW_W]
    ldr     r2, [sp, #F + DW_TAPS]
    ldr     r3, [r11, #CV_OUT_C]
    copy_taps
    ldr     r0, [sp, #F + DW_WINDOW]
    ldr     r1, [sp, #F + DW_PAIRS]
    ldr     r2, [sp, #F + DW_TAPS]
    mov     r3, #0x00010001
    movs    r4, #0
    mov     r5, r4
    mov     r6, r4
    mov     r7, r4
1:  ldr     r12, [r0], #4
    subs    r2, r2, #2
    ite     pl
    ldrpl   lr, [r0], #4
    movmi   lr, #0
    pair_up r12, lr, r8, r9, r10, r11
    stm     r1!, {r8-r11}
    smlad   r4, r8, r3, r4
    smlad   r5, r9, r3, r5
    smlad   r6, r10, r3, r6
    smlad   r7, r11, r3, r7
    cmp     r2, #0
    bgt     1b

    ldr     r11, [sp, #F + DW_P]
    ldr     r12, [r11, #CV_INPUT_ZP]
    ldr     r0, [sp, #F + DW_B]
    ldr     r1, [sp, #F + DW_R]
    ldr     r2, [sp, #F + DW_LANES]
    ldr     r3, [sp, #F + DW_STEP]
    add     r11, sp, #F + DW_BIAS4
    add     lr, sp, #F + DW_REQUANT4
1:  ldr     r8, [r0], #4
    mls     r8, r4, r12, r8             @ bias - zero_point * sum w
    mov     r4, r5
    mov     r5, r6
    mov     r6, r7
    str     r8, [r11], #4
    ldm     r1, {r8-r10}
    add     r1, r1, r3
    lsl     r8, r8, #1
    stm     lr!, {r8-r10}
    subs    r2, r2, #1
    bne     1b
    pop     {r3, pc}
    end     depthwise_pack

@ Sets DW_INSIDE_AT and DW_RUN: which outputs of a row are runs of 3x3 windows inside the input, if in_c >= 4 and no
@ requantizer is rare. r11 -> p.
    helper  depthwise_runs
    ldr     r0, [r11, #CV_KERNEL_H]
    ldr     r1, [r11, #CV_KERNEL_W]
    ldr     r2, [sp, #DW_LANES]
    ldr     r3, [sp, #DW_FLAGS]
    eor     r0, r0, #3
    eor     r1, r1, #3
    eor     r2, r2, #4
    orrs    r0, r0, r1
    and     r3, r3, #FLAG_ANY
    orrs    r0, r0, r2
    movs    r4, #0
    orrs    r0, r0, r3
    bne     1f
    ldr     r0, [r11, #CV_PAD_LEFT]
    ldr     r1, [r11, #CV_STRIDE_W]
    ldr     r2, [r11, #CV_IN_W]
    ldr     r3, [r11, #CV_OUT_W]
    add     r2, r2, r0
    subs    r2, r2, #3                  @ the last window inside starts there, padding counted
    bmi     1f
    udiv    r2, r2, r1
    add     r0, r0, r1
    subs    r0, r0, #1
    udiv    r0, r0, r1                  @ first output inside
    adds    r2, r2, #1
    cmp     r2, r3
    it      gt
    movgt   r2, r3
    subs    r2, r2, r0
    ble     1f
    str     r2, [sp, #DW_RUN]
    subs    r4, r3, r0
1:  str     r4, [sp, #DW_INSIDE_AT]
    bx      lr
    end     depthwise_runs

#include "depthwise_block.inc"
#include "depthwise_3x3.inc"
#include "depthwise_planes.inc"
#include "depthwise_taps.inc"

    requantize_helpers
