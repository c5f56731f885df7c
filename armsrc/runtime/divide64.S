@ Division of 64 bits, which no Cortex-M has an instruction for.
@
@   __aeabi_uldivmod   r1:r0 = r1:r0 / r3:r2, r3:r2 = r1:r0 % r3:r2, unsigned
@   __aeabi_ldivmod    the same, signed, towards zero; the remainder has the dividend's sign
@   __aeabi_ldiv0      what a division by zero calls, to be replaced by a program's own
@
@ Two dividends of one word go to the division of words. Else long division, a bit of the quotient a step: the divisor is moved up,
@ by bytes and then by bits, as far as it stays at most the dividend; then it is subtracted where it fits and moved down, bit by bit.
@
@ Registers: r1:r0 what is left of the dividend; r3:r2 the divisor, moved; r5:r4 first n >> 8 or n >> 1, then the quotient; r6 how far
@ the divisor was moved, in bits; r7 a bit on its way from word to word.
@ Cycles: of words 41 more than their division; else from 91 (a quotient of 2 bits) to 1226 (of 64); signed 27 more.
@
@ Why it is right: the divisor is moved up by k bits only where (n >> k) >= divisor, so it never exceeds n and loses no bit. It stops
@ where n < 2 * divisor. So each step begins with n < 2 * divisor and ends with n < divisor, and has found the next bit of the quotient; the
@ last one divides by the divisor itself. |INT64_MIN| is 2^63, which fits unsigned; INT64_MIN / -1 wraps to INT64_MIN.
@
@ By zero: as __aeabi_idiv0 (divide.S), with 64 bits.

#include "function.inc"

@ r5:r4 = n >> bits; then, while that is at least the divisor, move the divisor up by so many bits.
    .macro  move_up bits
    lsrs    r4, r0, #\bits
    lsls    r7, r1, #(32 - \bits)
    orrs    r4, r7
    lsrs    r5, r1, #\bits
1:  cmp     r5, r3
    bne     2f
    cmp     r4, r2
2:  blo     3f
    lsrs    r7, r2, #(32 - \bits)
    lsls    r2, r2, #\bits
    lsls    r3, r3, #\bits
    orrs    r3, r7
    adds    r6, #\bits
    b       1b
3:
    .endm

@ hi:lo, negated where mask is -1 and not where it is 0
    .macro  negate_where mask, hi, lo
    eors    \lo, \mask
    eors    \hi, \mask
    subs    \lo, \lo, \mask
    sbcs    \hi, \mask
    .endm

    begin   __aeabi_uldivmod
    push    {r4-r7, lr}
    sub     sp, #4              @ keeps the stack aligned
    mov     r4, r2
    orrs    r4, r3
    beq     by_zero
    bl      divide
    add     sp, #4
    pop     {r4-r7, pc}

by_zero:
    mov     r4, r0
    mov     r5, r1
    orrs    r0, r1
    beq     4f
    movs    r0, #0
    mvns    r0, r0
4:  mov     r1, r0
    bl      __aeabi_ldiv0
    mov     r2, r4
    mov     r3, r5
    add     sp, #4
    pop     {r4-r7, pc}

divide:                         @ for a divisor that is not 0; r4-r7 are lost
    mov     r4, r1
    orrs    r4, r3
    beq     words
    movs    r6, #0
    move_up 8
    move_up 1
    movs    r4, #0
    movs    r5, #0
5:  subs    r0, r0, r2
    sbcs    r1, r3
    bhs     6f
    adds    r0, r0, r2          @ it did not fit
    adcs    r1, r3
    adds    r4, r4, r4
    adcs    r5, r5
    b       7f
6:  adcs    r4, r4              @ it did, and the carry is the quotient's bit
    adcs    r5, r5
7:  lsls    r7, r3, #31
    lsrs    r3, r3, #1
    lsrs    r2, r2, #1
    orrs    r2, r7
    subs    r6, #1
    bpl     5b
    mov     r2, r0
    mov     r3, r1
    mov     r0, r4
    mov     r1, r5
    bx      lr

words:
    push    {r4, lr}
    mov     r1, r2
    bl      __aeabi_uidivmod
    mov     r2, r1
    movs    r1, #0
    movs    r3, #0
    pop     {r4, pc}

    entry   __aeabi_ldivmod
    push    {r4-r7, lr}
    sub     sp, #12
    asrs    r4, r1, #31         @ the remainder's sign, 0 or -1
    mov     r5, r2
    orrs    r5, r3
    beq     signed_by_zero
    asrs    r5, r3, #31
    negate_where r4, r1, r0
    negate_where r5, r3, r2
    eors    r5, r4              @ the quotient's sign
    str     r4, [sp]
    str     r5, [sp, #4]
    bl      divide
    ldr     r4, [sp]
    ldr     r5, [sp, #4]
    negate_where r5, r1, r0
    negate_where r4, r3, r2
    add     sp, #12
    pop     {r4-r7, pc}

signed_by_zero:
    mov     r5, r0
    mov     r6, r1
    orrs    r0, r1
    beq     8f
    movs    r0, #0
    mvns    r0, r0              @ INT64_MAX, or with every bit inverted INT64_MIN
    lsrs    r1, r0, #1
    eors    r0, r4
    eors    r1, r4
    b       9f
8:  movs    r1, #0
9:  bl      __aeabi_ldiv0
    mov     r2, r5
    mov     r3, r6
    add     sp, #12
    pop     {r4-r7, pc}
    .size   __aeabi_uldivmod, . - __aeabi_uldivmod
    .size   __aeabi_ldivmod, . - __aeabi_ldivmod

    begin   __aeabi_ldiv0, weak
    movs    r0, #0
    movs    r1, #0
    bx      lr
    end     __aeabi_ldiv0
