@ Shifts of 64 bits by a register: r1:r0 = r1:r0 << r2 (__aeabi_llsl), >> r2 unsigned (__aeabi_llsr), >> r2 signed (__aeabi_lasr),
@ for 0 <= r2 <= 63.
@
@ Each half is what stays in it and what comes out of the other: for a shift up by n, hi = (hi << n) | (lo >> (32 - n)) | (lo << (n - 32)).
@
@ Registers: r2 n, then n - 32, then 32 - n; r3 and ip the half that gives.
@ Cycles: 13; __aeabi_lasr by 32 and more 9.
@
@ Why it is right: LSLS and LSRS by a register take its low byte, and give 0 for 32 to 255. n - 32 and 32 - n as bytes are 0 to 31, where
@ they are meant, and else 224 to 255 or 32. At n = 32 both terms are the other half as it is, which OR leaves so. ASRS gives the sign for 32 to 255,
@ so the term of n - 32 would spoil __aeabi_lasr below 32: that takes a branch.

#include "function.inc"

    begin   __aeabi_llsl
    mov     r3, r0
    mov     ip, r0
    lsls    r0, r2
    lsls    r1, r2
    subs    r2, #32
    lsls    r3, r2
    orrs    r1, r3
    rsbs    r2, r2, #0
    mov     r3, ip
    lsrs    r3, r2
    orrs    r1, r3
    bx      lr
    end     __aeabi_llsl

    begin   __aeabi_llsr
    mov     r3, r1
    mov     ip, r1
    lsrs    r1, r2
    lsrs    r0, r2
    subs    r2, #32
    lsrs    r3, r2
    orrs    r0, r3
    rsbs    r2, r2, #0
    mov     r3, ip
    lsls    r3, r2
    orrs    r0, r3
    bx      lr
    end     __aeabi_llsr

    begin   __aeabi_lasr
    mov     r3, r1
    asrs    r1, r2
    subs    r2, #32
    bpl     1f
    mov     ip, r3
    adds    r2, #32
    lsrs    r0, r2
    subs    r2, #32
    rsbs    r2, r2, #0
    lsls    r3, r2
    orrs    r0, r3
    bx      lr
1:  asrs    r3, r2
    mov     r0, r3
    bx      lr
    end     __aeabi_lasr
