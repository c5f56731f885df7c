/* Pointwise convolution, three pixels at a time: scratch holds the folded bias and behind it their columns. Dense, four channels at a time. */
#include "dot.h"

void pointwise_conv2d_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    matrix m = {p->in_c, p->out_c, p->weights, p->bias, p->requant, p->per_channel ? 1 : 0};
    int32_t *folded = scratch, left = p->in_h * p->in_w;
    int8_t *columns = (int8_t *)(folded + m.out_c);

    fold_zero_point(&m, p->input_zero_point, folded);
    while (left > 0) {
        int32_t pixels = left < PIXELS ? 1 : PIXELS;
        for (int32_t k = 0; k < pixels; k++)
            for (int32_t i = 0; i < m.n; i++)
                columns[i * PIXELS + k] = *x++;
        if (pixels == PIXELS)
            three_pixels(&m, columns, y);
        else
            one_pixel(&m, columns, y);
        y += pixels * m.out_c;
        left -= pixels;
    }
}

/* Each weight is used once: the zero point is subtracted from the inputs, which four channels share. Scratch holds the accumulators. */
void dense_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    int32_t n = p->in_c, zero_point = p->input_zero_point, o = 0;
    const int8_t *w0 = p->weights;
    int32_t *acc = scratch;

    for (; o < p->out_c - 3; o += 4) {
        const int8_t *w1 = w0 + n, *w2 = w1 + n, *w3 = w2 + n;
        int32_t acc0 = p->bias[o], acc1 = p->bias[o + 1], acc2 = p->bias[o + 2], acc3 = p->bias[o + 3];
        for (int32_t i = 0; i < n; i++) {
            int32_t value = x[i] - zero_point;
            acc0 += value * *w0++;
            acc1 += value * *w1++;
            acc2 += value * *w2++;
            acc3 += value * *w3++;
        }
        w0 = w3;
        acc[o] = acc0;
        acc[o + 1] = acc1;
        acc[o + 2] = acc2;
        acc[o + 3] = acc3;
    }
    for (; o < p->out_c; o++) {
        int32_t sum = p->bias[o];
        for (int32_t i = 0; i < n; i++)
            sum += (x[i] - zero_point) * *w0++;
        acc[o] = sum;
    }
    requantize_pixel(acc, p->out_c, p->requant, p->per_channel, y);
}
