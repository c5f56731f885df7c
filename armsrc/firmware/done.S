/* Where a program ends: the core sleeps for ever. The emulator stops when it arrives here; a board waits for a reset. */
    .syntax unified
    .thumb

    .section .text.firmware_done, "ax", %progbits
    .global firmware_done
    .type firmware_done, %function
    .thumb_func
firmware_done:
    wfi
    b       firmware_done
    .size firmware_done, . - firmware_done
