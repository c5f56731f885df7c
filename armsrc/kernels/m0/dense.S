@ dense_s8: out_c x in_c weights on one pixel.
@
@ Loop structure: packed, the input is widened into a column of words (scratch), then matmul.inc walks the output channels by quads. Not
@ packed: direct.inc. Three outputs and fewer: narrow.inc.
@
@ Registers: those of the parts (matmul.inc, widen.inc, direct.inc).
@
@ Cycles on the M0+: packed 21 for eight MACs, 84 besides for four outputs (80 more exact) and 20 for four inputs; few outputs
@ 4.5 a MAC; else 11 a MAC and 110 an output.
@
@ Bit-exact: matmul.inc, direct.inc, requantize.inc.

#include "macros.inc"
#include "requantize.inc"
#include "direct.inc"
#include "matmul.inc"
#include "widen.inc"
#include "narrow.inc"

    kernel  dense_s8
    pointwise_packed .Lnarrow
    str     r3, [sp, #M_COLUMN]
    mov     r8, r1
    mov     r9, r5
    movs    r0, r4
    movs    r1, r5
    bl      matmul_set_up
    mov     r0, r8
    ldr     r1, [sp, #M_COLUMN]
    mov     r2, r9
    bl      widen
    ldr     r0, [sp, #M_COLUMN]
    ldr     r1, [sp, #M_KERNEL]
    blx     r1
    leave   D_SIZE
.Lnarrow:
    movs    r0, r3
    movs    r3, #1
    movs    r6, r5
    ldr     r7, [r4, #NARROW_CODE]
    blx     r7
    leave   D_SIZE
    pointwise_direct
    end     dense_s8

    direct_pointwise_helper
    matmul_helpers
    widen_helper
    narrow_path dense
