/* Pointwise convolution in C, the plainest way: a place to begin. */
#include "requantize.h"

void pointwise_conv2d_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)
{
    (void)scratch;
    for (int32_t pixel = 0; pixel < p->in_h * p->in_w; pixel++) {
        const int8_t *w = p->weights;
        for (int32_t o = 0; o < p->out_c; o++) {
            int32_t acc = p->bias[o];
            for (int32_t i = 0; i < p->in_c; i++)
                acc += (x[i] - p->input_zero_point) * *w++;
            *y++ = requantize(acc, p->requant + (p->per_channel ? o : 0));
        }
        x += p->in_c;
    }
}
