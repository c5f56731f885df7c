@ Division of 32 bits, which Armv6-M has no instruction for.
@
@   __aeabi_uidiv, __aeabi_uidivmod   r0 = r0 / r1, r1 = r0 % r1, unsigned
@   __aeabi_idiv, __aeabi_idivmod     the same, signed, towards zero; the remainder has the dividend's sign
@   __aeabi_idiv0                     what a division by zero calls, to be replaced by a program's own
@
@ Long division, a byte of the quotient a round: the divisor is moved up by whole bytes while the quotient has more than eight bits;
@ then eight steps, each of which compares n >> k with the divisor and subtracts divisor << k; then the divisor moves down a byte.
@
@ Registers: r0 what is left of the dividend; r1 the divisor, moved; r2 the quotient; r3 what is compared; ip the divisor.
@ Cycles: 55 to 62 for a quotient of one byte, 48 to 55 more for each further byte; signed 27 more. By zero 23, signed 26.
@
@ Why it is right: r1 is moved up only where (n >> 8) >= r1, so (r1 << 8) <= n and no bit is lost. Hence n < (r1 << 8) when a round
@ begins. In step k, n < (r1 << (k + 1)); n >> k >= r1 means n >= (r1 << k), and either way n < (r1 << k) is left, so each step finds the
@ next bit of the quotient. LSLS before SUBS shifts out zeros, and SUBS, which does not borrow, sets the carry that ADCS takes in.
@ |INT32_MIN| is 2^31, which fits unsigned; INT32_MIN / -1 wraps to INT32_MIN, as SDIV's does.
@
@ By zero: __aeabi_idiv0 is called with what the Run-time ABI wants (0 for 0, else the type's extreme of the dividend's sign), the
@ quotient is what it returns, and the remainder the dividend. Ours returns 0, so programs compute what UDIV and SDIV give them on Armv7-M.

#include "function.inc"

    .macro step shift
    lsrs    r3, r0, #\shift
    cmp     r3, r1
    blo     1f
    lsls    r3, r1, #\shift
    subs    r0, r0, r3
1:  adcs    r2, r2
    .endm

    begin   __aeabi_uidiv
    entry   __aeabi_uidivmod
    cmp     r1, #0
    beq     by_zero
divide:                         @ for a divisor that is not 0
    mov     ip, r1
    movs    r2, #0
    lsrs    r3, r0, #8
    b       3f
2:  lsls    r1, r1, #8
3:  cmp     r3, r1
    bhs     2b
round:
    step    7
    step    6
    step    5
    step    4
    step    3
    step    2
    step    1
    cmp     r0, r1
    blo     4f
    subs    r0, r0, r1
4:  adcs    r2, r2
    cmp     r1, ip
    beq     5f
    lsrs    r1, r1, #8
    b       round
5:  mov     r1, r0
    mov     r0, r2
    bx      lr

by_zero:
    push    {r4, lr}
    mov     r4, r0
    cmp     r0, #0
    beq     6f
    movs    r0, #0
    mvns    r0, r0
6:  bl      __aeabi_idiv0
    mov     r1, r4
    pop     {r4, pc}

    entry   __aeabi_idiv
    entry   __aeabi_idivmod
    asrs    r3, r0, #31         @ the remainder's sign, 0 or -1
    cmp     r1, #0
    beq     signed_by_zero
    asrs    r2, r1, #31
    eors    r0, r3
    subs    r0, r0, r3
    eors    r1, r2
    subs    r1, r1, r2
    eors    r2, r3              @ the quotient's sign
    push    {r2, r3, r4, lr}    @ r4 keeps the stack aligned
    bl      divide
    pop     {r2, r3}
    eors    r0, r2
    subs    r0, r0, r2
    eors    r1, r3
    subs    r1, r1, r3
    pop     {r4, pc}

signed_by_zero:
    push    {r4, lr}
    mov     r4, r0
    cmp     r0, #0
    beq     7f
    movs    r0, #0
    mvns    r0, r0
    lsrs    r0, r0, #1
    eors    r0, r3
7:  bl      __aeabi_idiv0
    mov     r1, r4
    pop     {r4, pc}
    .size   __aeabi_uidiv, . - __aeabi_uidiv
    .size   __aeabi_uidivmod, . - __aeabi_uidivmod
    .size   __aeabi_idiv, . - __aeabi_idiv
    .size   __aeabi_idivmod, . - __aeabi_idivmod

    begin   __aeabi_idiv0, weak
    movs    r0, #0
    bx      lr
    end     __aeabi_idiv0
