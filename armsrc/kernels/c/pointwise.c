/* Pointwise convolution and dense: the pixel is the column. */
#include "dot.h"

void pointwise_conv2d_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    int32_t *column = scratch;
    int32_t pixels = p->in_h * p->in_w;
    int32_t rq_step = p->per_channel ? 1 : 0;

    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        load_column(column, x, p->in_c, p->input_zero_point);
        dot_all_channels(column, p->in_c, p->weights, p->bias, p->requant, rq_step, y, p->out_c);
        x += p->in_c;
        y += p->out_c;
    }
}

void dense_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    int32_t *column = scratch;

    load_column(column, x, p->in_c, p->input_zero_point);
    dot_all_channels(column, p->in_c, p->weights, p->bias, p->requant, p->per_channel ? 1 : 0, y, p->out_c);
}
