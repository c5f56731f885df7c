/* From int32 accumulators to int8 outputs: gemmlowp's two roundings, then the clamp. */
#ifndef THUMBCYCLE_C_REQUANTIZE_H
#define THUMBCYCLE_C_REQUANTIZE_H

#include "kernels.h"

/* Right shifts of negative numbers are implementation-defined in C; GCC, Clang and Arm's compilers document that the sign is
 * kept (a floored division by a power of two), and these kernels rely on it, here and nowhere else. */

/* (a * multiplier + 2^30) >> 31, floored; at most 2^31 - 2 in size because |a| < 2^31 and 0 <= multiplier < 2^31. */
static inline int32_t high_mul(int32_t a, int32_t multiplier)
{
    return (int32_t)(((int64_t)a * multiplier + (1 << 30)) >> 31);
}

/* value / 2^shift, half away from zero; 1 <= shift <= 31. floor((t + 2^(s-1)) / 2^s) == ((t >> (s-1)) + 1) >> 1, where t is
 * one less for negative values so that halves go down. high_mul stays under 2^31 - 1 in size, so neither sum overflows. */
static inline int32_t rounding_shift(int32_t value, int32_t shift)
{
    return (((value + (value >> 31)) >> (shift - 1)) + 1) >> 1;
}

/* The int8 output of a legal accumulator. The requantizer is a copy: y might else be thought to point into it. */
static inline int8_t requantize(int32_t acc, requantizer rq)
{
    int32_t value;
    if (rq.shift > 0)
        value = rounding_shift(high_mul(acc, rq.multiplier), rq.shift);
    else
        value = high_mul(acc * (1 << -rq.shift), rq.multiplier); /* the ABI promises that the product fits int32 */
    /* Clamped before the zero point is added: value may stand near an end of int32. */
    int32_t low = rq.qmin - rq.zero_point;
    int32_t high = rq.qmax - rq.zero_point;
    value = value < low ? low : value;
    value = value > high ? high : value;
    return (int8_t)(value + rq.zero_point);
}

/* The n channels of a pixel. What follows from a requantizer that serves them all is computed once. */
static inline void requantize_pixel(const int32_t *restrict acc, int32_t n, const requantizer *restrict rq, int32_t per_channel,
                                    int8_t *restrict y)
{
    if (per_channel) {
        for (int32_t c = 0; c < n; c++)
            y[c] = requantize(acc[c], rq[c]);
    } else {
        requantizer shared = *rq;
        for (int32_t c = 0; c < n; c++)
            y[c] = requantize(acc[c], shared);
    }
}

#endif
