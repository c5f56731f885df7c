/* Depthwise convolution over the part of the window that lies inside the input, four channels at a time, which are contiguous
 * in the input and in HWC weights. The accumulators of a pixel stand in scratch. No partial sum overflows: the ABI bounds
 * |bias| + sum |weight| * 255. */
#include "requantize.h"
#include "window.h"

/* acc[0..3] = bias[0..3] + sum over h x w taps of (x - zero point) * weight, for the four channels that begin at x. */
static inline void four_channels(const conv2d_s8_params *restrict p, int32_t h, int32_t w, const int8_t *restrict x,
                                 const int8_t *restrict weights, const int32_t *restrict bias, int32_t *restrict acc)
{
    int32_t channels = p->in_c, zero_point = p->input_zero_point;
    int32_t acc0 = bias[0], acc1 = bias[1], acc2 = bias[2], acc3 = bias[3];

    for (int32_t ky = 0; ky < h; ky++) {
        const int8_t *value = x + ky * p->in_w * channels;
        const int8_t *weight = weights + ky * p->kernel_w * channels;
        for (int32_t kx = 0; kx < w; kx++) {
            acc0 += (value[kx * channels] - zero_point) * weight[kx * channels];
            acc1 += (value[kx * channels + 1] - zero_point) * weight[kx * channels + 1];
            acc2 += (value[kx * channels + 2] - zero_point) * weight[kx * channels + 2];
            acc3 += (value[kx * channels + 3] - zero_point) * weight[kx * channels + 3];
        }
    }
    acc[0] = acc0;
    acc[1] = acc1;
    acc[2] = acc2;
    acc[3] = acc3;
}

/* The same for one channel. */
static inline void one_channel(const conv2d_s8_params *restrict p, int32_t h, int32_t w, const int8_t *restrict x,
                               const int8_t *restrict weights, const int32_t *restrict bias, int32_t *restrict acc)
{
    int32_t channels = p->in_c, zero_point = p->input_zero_point;
    int32_t sum = bias[0];

    for (int32_t ky = 0; ky < h; ky++) {
        const int8_t *value = x + ky * p->in_w * channels;
        const int8_t *weight = weights + ky * p->kernel_w * channels;
        for (int32_t kx = 0; kx < w; kx++)
            sum += (value[kx * channels] - zero_point) * weight[kx * channels];
    }
    acc[0] = sum;
}

void depthwise_conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    int32_t channels = p->in_c;
    int32_t *acc = scratch;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            int32_t h = rows.end - rows.begin, w = cols.end - cols.begin;
            const int8_t *corner = x + (rows.start * p->in_w + cols.start) * channels;
            const int8_t *weights = p->weights + (rows.begin * p->kernel_w + cols.begin) * channels;
            int32_t c = 0;
            for (; c < channels - 3; c += 4)
                four_channels(p, h, w, corner + c, weights + c, p->bias + c, acc + c);
            for (; c < channels; c++)
                one_channel(p, h, w, corner + c, weights + c, p->bias + c, acc + c);
            requantize_pixel(acc, p->requant, p->per_channel, y, channels);
            y += channels;
        }
    }
}
