@ __clzsi2: the number of leading zeros of r0, 32 for 0; what gcc makes of __builtin_clz on Armv6-M.
@
@ Halves: where the upper half of what is left is 0, the lower half is moved up, and its width counted.
@
@ Registers: r0 what is left, its top at bit 31; r1 the count; r2 the half that is looked at.
@ Cycles: 21 to 26.
@
@ Why it is right: after the steps of 16, 8, 4, 2 and 1 bits the highest bit that was set stands at bit 31, moved up by the count; where none
@ was, 31 are counted and bit 31 is still 0, which makes 32.

#include "function.inc"

    .macro  half bits
    lsrs    r2, r0, #(32 - \bits)
    bne     1f
    lsls    r0, r0, #\bits
    adds    r1, #\bits
1:
    .endm

    begin   __clzsi2
    movs    r1, #0
    half    16
    half    8
    half    4
    half    2
    half    1
    mvns    r0, r0
    lsrs    r0, r0, #31         @ 1 where nothing was set
    adds    r0, r0, r1
    bx      lr
    end     __clzsi2
