/* From an accumulator to an int8 output, as the ABI's header says: two roundings, then the clamp. */
#ifndef REQUANTIZE_H
#define REQUANTIZE_H

#include "kernels.h"

static inline int8_t requantize(int32_t acc, const requantizer *r)
{
    int32_t left = r->shift < 0 ? -r->shift : 0, right = r->shift > 0 ? r->shift : 0;
    int32_t value = (int32_t)(((int64_t)(acc * (1 << left)) * r->multiplier + (1 << 30)) >> 31);

    if (right) /* half away from zero */
        value = (((value + (value >> 31)) >> (right - 1)) + 1) >> 1;
    /* Clamped before the zero point is added: value may stand near an end of int32. */
    int32_t low = r->qmin - r->zero_point, high = r->qmax - r->zero_point;
    value = value < low ? low : value > high ? high : value;
    return (int8_t)(value + r->zero_point);
}

#endif
