/* What there is of a C library, for compilers that come without one: armsrc/firmware/runtime.c has the functions. */
#ifndef THUMBCYCLE_STRING_H
#define THUMBCYCLE_STRING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

#ifdef __cplusplus
}
#endif

#endif
