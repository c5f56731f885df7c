/* Fully connected arithmetic that convolution, pointwise and dense share: a column of inputs against every output channel. */
#ifndef THUMBCYCLE_C_DOT_H
#define THUMBCYCLE_C_DOT_H

#include "kernels.h"

/* column[i] = x[i] - zero_point, n of them. */
static inline void load_column(int32_t *restrict column, const int8_t *restrict x, int32_t n, int32_t zero_point)
{
    for (int32_t i = 0; i < n; i++)
        column[i] = x[i] - zero_point;
}

/* acc[o] = bias[o] + column . weights[o]; weights are out_c rows of n. Four rows at a time share the loads of the column. No
 * partial sum overflows, in whatever order: the ABI bounds |bias| + sum |weight| * 255, and |column[i]| <= 255. */
static inline void dot_all_channels(const int32_t *restrict column, int32_t n, const int8_t *restrict weights,
                                    const int32_t *restrict bias, int32_t *restrict acc, int32_t out_c)
{
    int32_t o = 0;
    for (; o < out_c - 3; o += 4) {
        const int8_t *w0 = weights, *w1 = w0 + n, *w2 = w1 + n, *w3 = w2 + n;
        int32_t acc0 = bias[o], acc1 = bias[o + 1], acc2 = bias[o + 2], acc3 = bias[o + 3];
        for (int32_t i = 0; i < n; i++) {
            int32_t value = column[i];
            acc0 += value * *w0++;
            acc1 += value * *w1++;
            acc2 += value * *w2++;
            acc3 += value * *w3++;
        }
        acc[o] = acc0;
        acc[o + 1] = acc1;
        acc[o + 2] = acc2;
        acc[o + 3] = acc3;
        weights = w3;
    }
    for (; o < out_c; o++) {
        int32_t sum = bias[o];
        for (int32_t i = 0; i < n; i++)
            sum += column[i] * weights[i];
        acc[o] = sum;
        weights += n;
    }
}

#endif
