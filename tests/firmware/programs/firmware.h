/* What the test programs share: registers by address, semihosting, printing, and checks that say where they failed. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define REG8(address) (*(volatile uint8_t *)(address))
#define REG16(address) (*(volatile uint16_t *)(address))

static inline uint32_t semihosting(uint32_t operation, uint32_t argument) {
    register uint32_t r0 __asm("r0") = operation;
    register uint32_t r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory", "r2", "r3", "ip", "lr", "cc");
    return r0;
}

#define CALL(operation, ...) semihosting(operation, (uint32_t)(const uint32_t[]){__VA_ARGS__})

static inline void print(const char *text) { semihosting(4, (uint32_t)text); }

static inline void print_hex(uint32_t value) {
    char text[12], *at = text + 11;
    *at = 0;
    do
        *--at = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    print(at);
    print(" ");
}

__attribute__((noreturn)) static inline void leave(uint32_t code) {
    CALL(0x20, 0x20026, code);
    __builtin_unreachable();
}

/* The exit code is the line. */
#define CHECK(condition)      \
    do {                      \
        if (!(condition))     \
            leave(__LINE__);  \
    } while (0)

#endif
