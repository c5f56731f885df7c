/* Depthwise convolution: tap by tap over the part of the window that lies inside the input, all channels at a time, since the
 * channels of a tap are contiguous in the input and in HWC weights. The output itself is the accumulator. */
#include "activate.h"
#include "kernels.h"
#include "window.h"

/* acc[c] += x[c] * weights[c] */
static inline void accumulate_tap(float *restrict acc, const float *restrict x, const float *restrict weights, int32_t channels)
{
    for (int32_t c = 0; c < channels; c++)
        acc[c] += x[c] * weights[c];
}

/* The output pixel whose window, clipped, is rows x cols. */
static void output_pixel(const conv2d_f32_params *restrict p, window rows, window cols, const float *restrict x,
                         float *restrict y)
{
    int32_t channels = p->in_c;

    for (int32_t c = 0; c < channels; c++)
        y[c] = p->bias[c];
    for (int32_t ky = 0; ky < rows.end - rows.begin; ky++) {
        int32_t from = ((rows.start + ky) * p->in_w + cols.start) * channels;
        int32_t at = ((rows.begin + ky) * p->kernel_w + cols.begin) * channels;
        for (int32_t kx = 0; kx < cols.end - cols.begin; kx++) {
            accumulate_tap(y, x + from, p->weights + at, channels);
            from += channels;
            at += channels;
        }
    }
    for (int32_t c = 0; c < channels; c++)
        y[c] = activate(y[c], p->act_min, p->act_max);
}

void depthwise_conv2d_f32(const conv2d_f32_params *restrict p, const float *restrict x, float *restrict y,
                          void *restrict scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            output_pixel(p, rows, cols, x, y);
            y += p->out_c;
        }
    }
}
