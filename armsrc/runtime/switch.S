@ Jumps of gcc's switch statements on Armv6-M, which has neither TBB nor TBH: the table stands behind the BL that calls one of these,
@ r0 is the index, and execution goes on at an entry's target instead of behind the BL.
@
@   __gnu_thumb1_case_uqi, _sqi   bytes, unsigned or signed: halfwords from the table's begin to the target
@   __gnu_thumb1_case_uhi, _shi   the same in halfwords
@   __gnu_thumb1_case_si          words: bytes from the table's begin, which is the next multiple of 4 behind the BL
@
@ Registers: gcc counts on all but ip and lr being left as they are, r0 too. r1 is kept in ip.
@ Cycles: 10 of bytes; of halfwords 12, signed 13; 17 of words.
@
@ Why it is right: lr is the table's address + 1, so lr + 2 * entry is the target with its Thumb bit. Of words, lr + 1 rounded down to a multiple
@ of 4 is the table, whether the BL ended there or two bytes before.

#include "function.inc"

    .macro  case_begin name
    begin   \name
    mov     ip, r1
    mov     r1, lr
    .endm

@ r1 is what to add to lr
    .macro  case_end name
    add     lr, r1
    mov     r1, ip
    bx      lr
    end     \name
    .endm

    .macro  case_of_bytes name, load
    case_begin \name
    subs    r1, #1
    \load   r1, [r1, r0]
    lsls    r1, r1, #1
    case_end \name
    .endm

    .macro  case_of_halfwords name
    case_begin \name
    subs    r1, #1
    adds    r1, r1, r0
    adds    r1, r1, r0
    ldrh    r1, [r1]
    .endm

    case_of_bytes __gnu_thumb1_case_uqi, ldrb
    case_of_bytes __gnu_thumb1_case_sqi, ldrsb

    case_of_halfwords __gnu_thumb1_case_uhi
    lsls    r1, r1, #1
    case_end __gnu_thumb1_case_uhi

    case_of_halfwords __gnu_thumb1_case_shi
    sxth    r1, r1
    lsls    r1, r1, #1
    case_end __gnu_thumb1_case_shi

    case_begin __gnu_thumb1_case_si
    adds    r1, #1
    lsrs    r1, r1, #2
    lsls    r1, r1, #2
    mov     lr, r1
    adds    r1, r1, r0
    adds    r1, r1, r0
    adds    r1, r1, r0
    adds    r1, r1, r0
    ldr     r1, [r1]
    adds    r1, #1              @ the Thumb bit
    case_end __gnu_thumb1_case_si
