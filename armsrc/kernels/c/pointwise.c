/* Pointwise convolution and dense: the pixel is the column. Scratch holds it and the accumulators of a pixel, as int32. */
#include "dot.h"
#include "requantize.h"

static inline void output_pixel(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                                int32_t *restrict scratch)
{
    int32_t *column = scratch;
    int32_t *acc = column + p->in_c;

    load_column(column, x, p->in_c, p->input_zero_point);
    dot_all_channels(column, p->in_c, p->weights, p->bias, acc, p->out_c);
    requantize_pixel(acc, p->requant, p->per_channel, y, p->out_c);
}

void pointwise_conv2d_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    int32_t pixels = p->in_h * p->in_w;

    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        output_pixel(p, x, y, scratch);
        x += p->in_c;
        y += p->out_c;
    }
}

void dense_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    output_pixel(p, x, y, scratch);
}
