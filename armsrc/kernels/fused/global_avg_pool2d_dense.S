@ global_avg_pool2d_dense_s8: the mean of 3 to 256 pixels of 16, 32, .. channels, and a dense layer behind it
@ (packing/average_dense.py: what is taken, and the packed layers).
@
@ Loop structure
@   for blocks of 16 channels: pixels are added in int16 lanes, (c0, c2) and (c1, c3) of four channels, unrolled by eight and entered where
@     their number says; their means, still in lanes, go to scratch
@   for tiles of five outputs: 16 inputs a turn; requantized, stored
@   then, where [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ The means are never bytes: as lanes they are what SMLAD takes, and the weights are in the same order.
@
@ Registers, sums:  r0 x  r1 in_c  r2-r9 lanes of four words  r10-r12, lr words
@ Registers, tiles: r0 inputs  r1 stream  r2, r3 inputs, then multiplier << 1 and C  r4-r8 acc  r9-r12, lr weights, then r9 shift
@ The stream of a tile: five biases, for each two inputs five words of weights, multiplier << 1, C and shift.
@
@ Cycles: 117 for eight pixels of 16 channels, and 74 a block of them with its first pixel; a tile 109 for 16 inputs, and 57.
@
@ Bit-exact: a mean as in thumb2's global_avg_pool2d.S. The dense layer as in thumb2's dense_packed.inc: sums are modulo 2^32, the ABI
@ bounds the last one, and SMMLAR with the addend acc + C - (acc < 0) is high_mul + C - (acc < 0), which the packer makes sure fits int32.

#include "macros.inc"
#include "requantize.inc"
#include "average_sixteen.inc"

    .equ GD_TILE, 5

@ The packed layers.
    .equ GH_IN_C, 0
    .equ GH_PIXELS, 4                   @ bytes of all pixels
    .equ GH_SKIPPED, 8                  @ pixels of the first pass that are left out
    .equ GH_RECIPROCAL, 12
    .equ GH_OUT_C, 16
    .equ GH_FLAGS, 20                   @ of clamp_output, whose requantizers follow the stream
    .equ GH_STREAM, 24

    .equ GD_Y, 0
    .equ GD_SCRATCH, 4
    .equ GD_PACKED, 8
    .equ GD_END, 12                     @ of a block's last pixel; of the inputs
    .equ GD_ENTRY, 16                   @ code of its second pixel
    .equ GD_X, 20
    .equ GD_TO, 24
    .equ GD_LEFT, 28                    @ channels
    .equ GD_BASE_Y, 32
    .equ GD_SIZE, 36

    .macro  gd_means low, high          @ two lanes each; r10 reciprocal, r11 2^15, clobbers r12, lr
    smlawb  r12, r10, \low, r11
    smlawt  \low, r10, \low, r11
    smlawb  lr, r10, \high, r11
    smlawt  \high, r10, \high, r11
    pkhtb   \low, \low, r12, asr #16
    pkhtb   \high, \high, lr, asr #16
    .endm

    .macro  gd_five input
    ldm.w   r1!, {r9-r12, lr}
    smlad   r4, r9, \input, r4
    smlad   r5, r10, \input, r5
    smlad   r6, r11, \input, r6
    smlad   r7, r12, \input, r7
    smlad   r8, lr, \input, r8
    .endm

    .macro  gd_requantize acc, temp     @ r2 multiplier << 1, r3 C, r9 shift
    add.w   \temp, \acc, r3
    add.w   \temp, \temp, \acc, asr #31
    smmlar  \acc, \acc, r2, \temp
    asr.w   \acc, \acc, r9
    ssat    \acc, #8, \acc
    .endm

    kernel  global_avg_pool2d_dense_s8
    push    {r4-r11, lr}
    sub     sp, sp, #GD_SIZE
    ldr     r4, [r0]
    str     r2, [sp, #GD_Y]
    str     r3, [sp, #GD_SCRATCH]
    str     r4, [sp, #GD_PACKED]
    str     r3, [sp, #GD_TO]
    str     r2, [sp, #GD_BASE_Y]
    mov     r0, r1
    ldm     r4, {r1, r2, r3}
    ldr     r5, =.Lpass + 1
    movs    r6, #SIXTEEN_CODE
    add     r2, r2, r0
    mla     r5, r3, r6, r5
    str     r2, [sp, #GD_END]
    str     r5, [sp, #GD_ENTRY]
    str     r1, [sp, #GD_LEFT]
.Lsixteen:
    str     r0, [sp, #GD_X]
    load_sixteen
    widen_sixteen
    ldr.w   pc, [sp, #GD_ENTRY]
    .balign 4
.Lpass:
    .rept   SIXTEEN_PASS
    load_sixteen
    add_sixteen
    .endr
    code_bytes .Lpass, SIXTEEN_PASS * SIXTEEN_CODE
    ldr.w   r10, [sp, #GD_END]
    cmp.w   r0, r10
    bne.w   .Lpass
    ldr.w   r12, [sp, #GD_PACKED]
    mov.w   r11, #0x8000
    ldr.w   r10, [r12, #GH_RECIPROCAL]
    gd_means r2, r3
    gd_means r4, r5
    gd_means r6, r7
    gd_means r8, r9
    ldr     r0, [sp, #GD_TO]
    ldr.w   r10, [sp, #GD_LEFT]
    ldr.w   r11, [sp, #GD_END]
    stm     r0!, {r2-r9}
    add     r11, r11, #16
    str     r0, [sp, #GD_TO]
    str     r11, [sp, #GD_END]
    ldr     r0, [sp, #GD_X]
    subs    r10, r10, #16
    str     r10, [sp, #GD_LEFT]
    add     r0, r0, #16
    bne     .Lsixteen

    ldr     r2, [sp, #GD_PACKED]
    ldr     r3, [sp, #GD_TO]
    ldr     r4, [r2, #GH_OUT_C]
    add     r1, r2, #GH_STREAM
    str     r3, [sp, #GD_END]
    str     r4, [sp, #GD_LEFT]
.Ltile:
    ldr     r0, [sp, #GD_SCRATCH]
    ldm     r1!, {r4-r8}
    .balign 4
1:  .rept   4
    ldm     r0!, {r2, r3}
    gd_five r2
    gd_five r3
    .endr
    ldr     r2, [sp, #GD_END]
    cmp     r0, r2
    bne.w   1b
    ldm     r1!, {r2, r3, r9}
    ldr     r0, [sp, #GD_Y]
    ldr.w   r10, [sp, #GD_LEFT]
    gd_requantize r4, r11
    gd_requantize r5, r11
    gd_requantize r6, r11
    gd_requantize r7, r11
    gd_requantize r8, r11
    strb    r4, [r0], #1
    cmp     r10, #GD_TILE
    blt     .Lsome
    strb    r5, [r0], #1
    strb    r6, [r0], #1
    strb    r7, [r0], #1
    strb    r8, [r0], #1
    str     r0, [sp, #GD_Y]
    subs    r10, r10, #GD_TILE
    str     r10, [sp, #GD_LEFT]
    bne     .Ltile
.Lstored:
    ldr     r4, [sp, #GD_PACKED]
    ldr     r12, [r4, #GH_FLAGS]
    cmp     r12, #0
    beq     2f
    ldr     r0, [sp, #GD_BASE_Y]
    ldr     r2, [r4, #GH_OUT_C]
    mov     r3, r1
    movs    r1, #1
    bl      clamp_output
2:  add     sp, sp, #GD_SIZE
    pop     {r4-r11, pc}

.Lsome:                                 @ r10 outputs, 1 to 4, the first one stored
    cmp     r10, #2
    blt     .Lstored
    strb    r5, [r0]
    beq     .Lstored
    cmp     r10, #4
    strb    r6, [r0, #1]
    blt     .Lstored
    strb    r7, [r0, #2]
    b       .Lstored
    .ltorg
    end     global_avg_pool2d_dense_s8

    requantize_helpers
