/* The library functions that a freestanding compiler may still call: gcc by their C names, clang by the Run-time ABI's. Compiled
 * so that these loops are not turned into calls of themselves (emu/build/toolchain.py). */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void __aeabi_memset(void *to, size_t n, int value);
void __aeabi_memclr(void *to, size_t n);

/* The variants for aligned pointers, and those that differ from C's in what they return, which nobody reads. */
#define ALSO(name, function) extern __typeof__(function) name __attribute__((weak, alias(#function)))

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    for (size_t i = 0; i < n; i++)
        d[i] = s[i];
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    if ((uintptr_t)d <= (uintptr_t)s)
        for (size_t i = 0; i < n; i++)
            d[i] = s[i];
    else
        for (size_t i = n; i > 0; i--)
            d[i - 1] = s[i - 1];
    return to;
}

void *memset(void *to, int value, size_t n)
{
    unsigned char *d = to;
    for (size_t i = 0; i < n; i++)
        d[i] = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i])
            return p[i] < q[i] ? -1 : 1;
    return 0;
}

void __aeabi_memset(void *to, size_t n, int value)
{
    memset(to, value, n);
}

void __aeabi_memclr(void *to, size_t n)
{
    memset(to, 0, n);
}

ALSO(__aeabi_memcpy, memcpy);
ALSO(__aeabi_memcpy4, memcpy);
ALSO(__aeabi_memcpy8, memcpy);
ALSO(__aeabi_memmove, memmove);
ALSO(__aeabi_memmove4, memmove);
ALSO(__aeabi_memmove8, memmove);
ALSO(__aeabi_memset4, __aeabi_memset);
ALSO(__aeabi_memset8, __aeabi_memset);
ALSO(__aeabi_memclr4, __aeabi_memclr);
ALSO(__aeabi_memclr8, __aeabi_memclr);
