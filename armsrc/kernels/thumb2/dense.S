@ dense_s8: out_c x in_c weights on one pixel.
@
@ Loop structure
@   a packed layer: dense_one.inc, dense_two.inc, dense_few.inc, dense_registers.inc or dense_packed.inc
@   else the input is widened into one int16 column (scratch), then matmul_one walks the output channels two at a time
@
@ Registers: in the .inc files.
@
@ Cycles: packed: in these files; else 2.1 a MAC, 32.5 an output beside, 12 for four inputs, and 23 a requantizer to look at.
@
@ Bit-exact: the .inc files.

#include "macros.inc"
#include "requantize.inc"
#include "matmul.inc"
#include "dense_packed.inc"
#include "dense_registers.inc"
#include "dense_few.inc"
#include "dense_two.inc"
#include "dense_one.inc"

    .equ FRAME_P, MM_SIZE
    .equ FRAME_SIZE, MM_SIZE + 4

    kernel_by_path dense_s8, dense, PW_PACKED

    unpacked dense
    sub     sp, sp, #FRAME_SIZE
    str     r0, [sp, #FRAME_P]
    mov     r11, r0
    mov     r10, r1
    ldr     r4, [r11, #PW_WEIGHTS]
    ldr     r5, [r11, #PW_BIAS]
    ldr     r6, [r11, #PW_REQUANT]
    ldr     r7, [r11, #PW_OUT_C]
    ldr     r8, [r11, #PW_PER_CHANNEL]
    ldr     r9, [r11, #PW_IN_C]
    stm     sp, {r4-r7}
    str     r9, [sp, #MM_K]
    str     r3, [sp, #MM_COLUMN]
    str     r2, [sp, #MM_Y0]
    look_at_requantizers MM_REQUANT_STEP, MM_FLAGS
    ldr     r0, [sp, #MM_COLUMN]
    ldr     r3, [r11, #PW_INPUT_ZP]
    mov     r1, r10
    mov     r2, r9
    pkhbt   r3, r3, r3, lsl #16
    bl      fill_column
    bl      matmul_one
    ldr     r12, [sp, #MM_FLAGS]
    tst     r12, #FLAG_CLAMP
    beq     1f
    ldr     r0, [sp, #MM_Y0]
    ldr     r2, [sp, #MM_OUT_C]
    ldr     r3, [sp, #MM_REQUANT]
    sub     r0, r0, r2
    movs    r1, #1
    bl      clamp_output
1:  add     sp, sp, #FRAME_SIZE
    pop     {r4-r11, pc}
    end     dense, unpacked

    dense_registers
    dense_one
    dense_few
    dense_two
    dense_packed
    fill_pixel fill_column
    matmul  matmul_one, 1
    requantize_helpers
