/* Fully connected arithmetic that convolution, pointwise and dense share: a column of inputs against every output channel. */
#ifndef THUMBCYCLE_C_DOT_H
#define THUMBCYCLE_C_DOT_H

#include "requantize.h"

/* column[i] = x[i] - zero_point, n of them. */
static inline void load_column(int32_t *restrict column, const int8_t *restrict x, int32_t n, int32_t zero_point)
{
    for (int32_t i = 0; i < n; i++)
        column[i] = x[i] - zero_point;
}

/* y[o] = requantize(bias[o] + column . weights[o]); weights are out_c rows of n. Two rows at a time share the loads of the
 * column. No partial sum overflows, in whatever order: the ABI bounds |bias| + sum |weight| * 255, and |column[i]| <= 255.
 * rq_step is 1 for a requantizer per channel, else 0. */
static inline void dot_all_channels(const int32_t *restrict column, int32_t n, const int8_t *restrict weights,
                                    const int32_t *restrict bias, const requantizer *restrict rq, int32_t rq_step,
                                    int8_t *restrict y, int32_t out_c)
{
    int32_t o = 0;
    for (; o < out_c - 1; o += 2) {
        const int8_t *second = weights + n;
        int32_t acc0 = bias[o], acc1 = bias[o + 1];
        for (int32_t i = 0; i < n; i++) {
            int32_t value = column[i];
            acc0 += value * weights[i];
            acc1 += value * second[i];
        }
        y[o] = requantize(acc0, rq);
        y[o + 1] = requantize(acc1, rq + rq_step);
        weights = second + n;
        rq += 2 * rq_step;
    }
    if (o < out_c) {
        int32_t acc = bias[o];
        for (int32_t i = 0; i < n; i++)
            acc += column[i] * weights[i];
        y[o] = requantize(acc, rq);
    }
}

#endif
