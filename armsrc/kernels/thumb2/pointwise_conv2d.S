@ pointwise_conv2d_s8: out_c x in_c weights at every pixel.
@
@ Loop structure
@   packed, few channels, and cheaper than what follows (packing/narrow.py): pointwise_narrow.inc
@   packed, and cheaper than what follows (packing/chains.py): chains.inc
@   packed, in_c = 8, at least two pixels: pointwise_8.inc
@   packed, up to 64 inputs: tile_64.inc for four pixels, else tiles.inc
@   not packed: for pixels in pairs, two int16 columns are filled (fill_column) and matmul_two walks the channels two at a
@     time; an odd last pixel goes through matmul_one
@   then, where some [qmin, qmax] is not [-128, 127], clamp_output goes over y
@
@ Registers: in pointwise_narrow.inc, chains.inc, pointwise_8.inc, tiles.inc and matmul.inc.
@
@ Cycles: packed, in_c = 8: 10.9 an output with 16 channels, one requantizer and a ReLU, doubled 14.8 an output; packed, every other: pointwise_narrow.inc,
@ chains.inc, tiles.inc;
@ not packed: 1.5 a MAC and 20.25 an output, 12 for four inputs of a pixel (an odd last pixel: 2.1 a MAC and 32.5 an output); where a requantizer is rare 26.5
@ an output more.
@
@ Bit-exact: pointwise_narrow.inc, chains.inc, pointwise_8.inc, tiles.inc, matmul.inc, requantize.inc.

#include "macros.inc"
#include "requantize.inc"
#include "matmul.inc"
#include "pointwise_8.inc"
#include "tiles.inc"
#include "tile_64.inc"
#include "chains.inc"
#include "pointwise_narrow.inc"
#include "chains_one.inc"
#include "chains_run.inc"

    .equ PT_P, TL_SIZE                  @ the packed kernel's frame, behind that of tiles.inc
    .equ PT_Y, TL_SIZE + 4
    .equ TL_TILE_64, TL_SIZE + 8
    .equ PT_SIZE, TL_SIZE + 8           @ as tiles_run has it; with tile_64.inc T64_BYTES more

    .equ CH_P, CN_SIZE                  @ behind the frame of chains.inc
    .equ CH_Y, CN_SIZE + 4
    .equ CH_SIZE, CN_SIZE + 8

    .equ FRAME_P, MM_SIZE
    .equ FRAME_X, MM_SIZE + 4
    .equ FRAME_Y, MM_SIZE + 8
    .equ FRAME_PIXELS, MM_SIZE + 12
    .equ FRAME_LEFT, MM_SIZE + 16
    .equ FRAME_SIZE, MM_SIZE + 20

    kernel_by_path pointwise_conv2d_s8, pointwise_conv2d, PW_PACKED

    unpacked pointwise_conv2d
    sub     sp, sp, #FRAME_SIZE
    str     r0, [sp, #FRAME_P]
    str     r1, [sp, #FRAME_X]
    str     r2, [sp, #FRAME_Y]
    str     r3, [sp, #MM_COLUMN]
    mov     r11, r0
    ldr     r4, [r11, #PW_WEIGHTS]
    ldr     r5, [r11, #PW_BIAS]
    ldr     r6, [r11, #PW_REQUANT]
    ldr     r7, [r11, #PW_OUT_C]
    ldr     r8, [r11, #PW_PER_CHANNEL]
    ldr     r9, [r11, #PW_IN_C]
    ldr     r0, [r11, #PW_IN_H]
    ldr     r1, [r11, #PW_IN_W]
    stm     sp, {r4-r7}
    mul     r10, r0, r1
    str     r9, [sp, #MM_K]
    str     r10, [sp, #FRAME_PIXELS]
    look_at_requantizers MM_REQUANT_STEP, MM_FLAGS
    ldr     r2, [sp, #FRAME_Y]
    str     r2, [sp, #MM_Y0]
    str     r10, [sp, #FRAME_LEFT]
.Lpixels:                               @ a pair of pixels, or the odd one
    ldr     r4, [sp, #FRAME_P]
    ldr     r1, [sp, #FRAME_X]
    ldr     r3, [r4, #PW_INPUT_ZP]
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r2, [sp, #MM_K]
    pkhbt   r3, r3, r3, lsl #16
    bl      fill_column
    ldr     r6, [sp, #FRAME_LEFT]
    subs    r6, r6, #2
    str     r6, [sp, #FRAME_LEFT]
    bmi     2f
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r2, [sp, #MM_K]
    adds    r0, r0, #8
    bl      fill_column
    str     r1, [sp, #FRAME_X]
    matmul_pair FRAME_LEFT, .Lpixels
    b       .Lclamp
2:  bl      matmul_one

.Lclamp:
    ldr     r12, [sp, #MM_FLAGS]
    tst     r12, #FLAG_CLAMP
    beq     1f
    ldr     r0, [sp, #FRAME_Y]
    ldr     r1, [sp, #FRAME_PIXELS]
    ldr     r2, [sp, #MM_OUT_C]
    ldr     r3, [sp, #MM_REQUANT]
    bl      clamp_output
1:  add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    .ltorg
    end     pointwise_conv2d, unpacked

@ r0 y, r1 pixels, r2 channels of the whole output; \p and \y: where the frame has the struct and y. Clobbers r3-r6.
    .macro  pointwise_output p, y
    ldr     r3, [sp, #\p]
    ldr     r0, [sp, #\y]
    ldm     r3, {r1, r4, r5, r6}        @ in_h, in_w, in_c, out_c
    mul     r1, r1, r4
    mov     r2, r6
    .endm

@ r4 -> the packed layer; behind the kernel's push. \tile: 64, with the tile in the frame, or 4.
    .macro  pointwise_tiles name, tile
    path    pointwise_conv2d, \name
    .set    PT_BYTES, PT_SIZE + (\tile == 64) * -T64_BYTES
    sub     sp, sp, #PT_BYTES
    str     r0, [sp, #PT_P]
    str     r2, [sp, #PT_Y]
    str     r1, [sp, #TL_X]
    str     r2, [sp, #TL_Y]
    tiles_begin
    ldm     r0, {r5-r8}                 @ in_h, in_w, in_c, out_c
    mul     r5, r5, r6
    str     r5, [sp, #TL_LEFT]
    str     r7, [sp, #TL_IN_C]
    str     r8, [sp, #TL_OUT_C]
    .if     \tile == 64
    add     r4, sp, #TL_TILE_64
    str     r4, [sp, #TL_TILE]
    t64_entry
    .endif
    tiles_run fill, \tile
    pointwise_output PT_P, PT_Y
    tiles_clamp
    add     sp, sp, #PT_BYTES
    pop     {r4-r11, pc}
    .ltorg
    end     pointwise_conv2d, \name
    .endm

@ r4 -> the packed layer; behind the kernel's push.
    path    pointwise_conv2d, chains
    sub     sp, sp, #CH_SIZE
    str     r0, [sp, #CH_P]
    str     r2, [sp, #CH_Y]
    str     r1, [sp, #CN_X]
    str     r2, [sp, #CN_Y]
    chain_begin
    ldm     r0, {r5-r8}                 @ in_h, in_w, in_c, out_c
    mul     r5, r5, r6
    str     r5, [sp, #CN_LEFT]
    str     r7, [sp, #CN_STEP]
    str     r8, [sp, #CN_OUT_C]
    chain_run
    ldr     r12, [sp, #CN_CLAMP]
    cmp.w   r12, #0
    beq     1f
    pointwise_output CH_P, CH_Y
    ldr     r3, [sp, #CN_STREAM]
    bl      clamp_output
1:  add     sp, sp, #CH_SIZE
    pop     {r4-r11, pc}
    .ltorg
    end     pointwise_conv2d, chains

    pointwise_eight saturating, 4, r3
    pointwise_eight doubled, 5, r3
    pointwise_eight alike, 6, r1
    chains pointwise_conv2d, 2
    chain_fill
    chains_one
    narrow pointwise_conv2d
    pointwise_tiles tiles_64, 64
    pointwise_tiles tiles, 4
    t64
    tiles
    fill    fill_4, 4
    fill    fill_2, 2
    fill    fill_1, 1
    fill_pixel fill_column
    matmul  matmul_one, 1
    matmul  matmul_two, 2
    requantize_helpers
