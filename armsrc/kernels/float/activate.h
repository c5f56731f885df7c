/* The activation that ends every float layer, and the dot product inside most of them. */
#ifndef THUMBCYCLE_FLOAT_ACTIVATE_H
#define THUMBCYCLE_FLOAT_ACTIVATE_H

#include <stdint.h>

/* min(max(value, low), high) */
static inline float activate(float value, float low, float high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* acc + a . b, n values, in order; the compiler may fuse each product and sum (-ffp-contract=fast). */
static inline float dot(float acc, const float *restrict a, const float *restrict b, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        acc += a[i] * b[i];
    return acc;
}

#endif
