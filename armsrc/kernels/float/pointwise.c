/* Pointwise convolution and dense: a dot product an output channel, at every pixel. */
#include "activate.h"
#include "kernels.h"

/* One pixel: in_c values at x against every output channel. */
static inline void pixel(const pointwise_f32_params *restrict p, const float *restrict x, float *restrict y)
{
    const float *weights = p->weights;
    for (int32_t o = 0; o < p->out_c; o++) {
        y[o] = activate(dot(p->bias[o], x, weights, p->in_c), p->act_min, p->act_max);
        weights += p->in_c;
    }
}

void pointwise_conv2d_f32(const pointwise_f32_params *restrict p, const float *restrict x, float *restrict y,
                          void *restrict scratch)
{
    int32_t pixels = p->in_h * p->in_w;
    (void)scratch;

    for (int32_t i = 0; i < pixels; i++) {
        pixel(p, x, y);
        x += p->in_c;
        y += p->out_c;
    }
}

void dense_f32(const pointwise_f32_params *restrict p, const float *restrict x, float *restrict y, void *restrict scratch)
{
    (void)scratch;
    pixel(p, x, y);
}
