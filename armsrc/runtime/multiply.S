@ __aeabi_lmul: r1:r0 = r1:r0 * r3:r2, modulo 2^64, for signed and unsigned alike. Armv6-M multiplies 32 by 32 bits into 32.
@
@ With a = a1:a0 and b = b1:b0 in words the product is a0*b0 + 2^32 (a1*b0 + a0*b1); a0*b0, which has 64 bits, is made of four
@ products of halfwords: a0 = ah*2^16 + al, so a0*b0 = ah*bh*2^32 + (ah*bl + al*bh)*2^16 + al*bl.
@
@ Registers: r0 a0, then al, then al*bl; r1 the upper word as it grows; r2 b0, then bl; r3, r4 what is being multiplied; ip holds r4.
@ Cycles: 26.
@
@ Why it is right: each of the four products is at most (2^16 - 1)^2 < 2^32, so none loses a bit; the sum of the middle two is below
@ 2^33, and its 33rd bit (the carry) counts 2^48, which is bit 16 of the upper word. All else is modulo 2^64 by wrapping.

#include "function.inc"

    begin   __aeabi_lmul
    mov     ip, r4
    muls    r1, r2, r1          @ a1*b0
    muls    r3, r0, r3          @ a0*b1
    adds    r1, r1, r3
    lsrs    r3, r0, #16         @ ah
    lsrs    r4, r2, #16         @ bh
    muls    r3, r4, r3
    adds    r1, r1, r3          @ + ah*bh
    lsrs    r3, r0, #16
    uxth    r0, r0              @ al
    uxth    r2, r2              @ bl
    muls    r3, r2, r3          @ ah*bl
    muls    r4, r0, r4          @ al*bh
    muls    r0, r2, r0          @ al*bl
    adds    r3, r3, r4
    movs    r2, #0
    adcs    r2, r2
    lsls    r2, r2, #16
    adds    r1, r1, r2
    lsls    r2, r3, #16
    lsrs    r3, r3, #16
    adds    r0, r0, r2
    adcs    r1, r3
    mov     r4, ip
    bx      lr
    end     __aeabi_lmul
