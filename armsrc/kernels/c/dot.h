/* Pixels against every output channel, which convolution and pointwise share: three pixels by two channels at a time share their loads and
 * the channels' requantizers. The columns of n inputs of the three pixels are interleaved. No partial sum overflows, in whatever order:
 * the ABI bounds |bias| + sum |weight| * 255. */
#ifndef THUMBCYCLE_C_DOT_H
#define THUMBCYCLE_C_DOT_H

#include "requantize.h"

#define PIXELS 3

/* What the pixels of a layer have in common; weights are out_c rows of n. */
typedef struct {
    int32_t n, out_c;
    const int8_t *weights;
    const int32_t *bias; /* with the input's zero point in it: inputs count as they are */
    const requantizer *requant;
    int32_t requant_step; /* from a channel's to the next one's */
} matrix;

/* folded[o] = bias[o] - zero_point * sum(weights[o]), which m then has for a bias. */
static inline void fold_zero_point(matrix *restrict m, int32_t zero_point, int32_t *restrict folded)
{
    const int8_t *weights = m->weights;

    for (int32_t o = 0; o < m->out_c; o++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < m->n; i++)
            sum += *weights++;
        folded[o] = m->bias[o] - zero_point * sum;
    }
    m->bias = folded;
}

/* A channel of three pixels, whose outputs are `step` apart. */
static inline void requantize_channel(int32_t a, int32_t b, int32_t c, requantizer rq, int8_t *restrict y, int32_t step)
{
    y[0] = requantize(a, rq);
    y[step] = requantize(b, rq);
    y[2 * step] = requantize(c, rq);
}

/* Two channels of three pixels: the weights w are two rows of n. */
static inline void two_channels(const int8_t *restrict columns, const int8_t *restrict w, int32_t n, const int32_t *restrict bias,
                                const requantizer *restrict rq, int32_t requant_step, int8_t *restrict y, int32_t step)
{
    int32_t a0 = bias[0], b0 = a0, c0 = a0, a1 = bias[1], b1 = a1, c1 = a1;

    for (const int8_t *end = w + n; w != end; w++) {
        int32_t w0 = w[0], w1 = w[n], a = columns[0], b = columns[1], c = columns[2];
        columns += PIXELS;
        a0 += a * w0;
        a1 += a * w1;
        b0 += b * w0;
        b1 += b * w1;
        c0 += c * w0;
        c1 += c * w1;
    }
    requantize_channel(a0, b0, c0, rq[0], y, step);
    requantize_channel(a1, b1, c1, rq[requant_step], y + 1, step);
}

/* The last channel of an odd number of them. */
static inline void one_channel(const int8_t *restrict columns, const int8_t *restrict w, int32_t n, int32_t bias, requantizer rq,
                               int8_t *restrict y, int32_t step)
{
    int32_t a = bias, b = bias, c = bias;

    for (const int8_t *end = w + n; w != end; w++) {
        a += columns[0] * *w;
        b += columns[1] * *w;
        c += columns[2] * *w;
        columns += PIXELS;
    }
    requantize_channel(a, b, c, rq, y, step);
}

/* All channels of the three pixels whose columns these are. */
static inline void three_pixels(const matrix *restrict m, const int8_t *restrict columns, int8_t *restrict y)
{
    const int8_t *w = m->weights;
    const requantizer *rq = m->requant;
    int32_t o = 0;

    for (; o < m->out_c - 1; o += 2) {
        two_channels(columns, w, m->n, m->bias + o, rq, m->requant_step, y + o, m->out_c);
        w += 2 * m->n;
        rq += 2 * m->requant_step;
    }
    if (o < m->out_c)
        one_channel(columns, w, m->n, m->bias[o], *rq, y + o, m->out_c);
}

/* All channels of the first of them. */
static inline void one_pixel(const matrix *restrict m, const int8_t *restrict columns, int8_t *restrict y)
{
    const int8_t *w = m->weights;

    for (int32_t o = 0; o < m->out_c; o++) {
        int32_t acc = m->bias[o];
        for (int32_t i = 0; i < m->n; i++)
            acc += columns[i * PIXELS] * *w++;
        y[o] = requantize(acc, m->requant[o * m->requant_step]);
    }
}

#endif
