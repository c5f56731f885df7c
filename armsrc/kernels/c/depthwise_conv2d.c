/* Depthwise convolution, channel by channel, over the part of the window that lies inside the input; whole windows of 3x3 without a loop over
 * columns. No partial sum overflows: the ABI bounds |bias| + sum |weight| * 255. */
#include "requantize.h"
#include "window.h"

/* The steps from row to row of the input and of the weights, which are HWC, too. */
typedef struct {
    int32_t channels, input_row, weight_row, zero_point;
} layout;

/* sum + the products of h x w taps, the first of them at x. */
static inline int32_t any_taps(layout l, int32_t h, int32_t w, const int8_t *restrict x, const int8_t *restrict weights, int32_t sum)
{
    for (int32_t ky = 0; ky < h; ky++) {
        for (int32_t kx = 0; kx < w; kx++)
            sum += (x[kx * l.channels] - l.zero_point) * weights[kx * l.channels];
        x += l.input_row;
        weights += l.weight_row;
    }
    return sum;
}

static inline int32_t nine_taps(layout l, const int8_t *restrict x, const int8_t *restrict weights, int32_t sum)
{
    int32_t second = l.channels, third = 2 * l.channels;

    for (int32_t ky = 0; ky < 3; ky++) {
        int32_t a = x[0], b = x[second], c = x[third], u = weights[0], v = weights[second], w = weights[third];
        sum += (a - l.zero_point) * u;
        sum += (b - l.zero_point) * v;
        sum += (c - l.zero_point) * w;
        x += l.input_row;
        weights += l.weight_row;
    }
    return sum;
}

void depthwise_conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    layout l = {p->in_c, p->in_w * p->in_c, p->kernel_w * p->in_c, p->input_zero_point};
    int32_t *acc = scratch; /* of a pixel */

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            int32_t h = rows.end - rows.begin, w = cols.end - cols.begin;
            const int8_t *from = x + rows.start * l.input_row + cols.start * l.channels;
            const int8_t *weights = p->weights + rows.begin * l.weight_row + cols.begin * l.channels;
            if (h == 3 && w == 3)
                for (int32_t c = 0; c < l.channels; c++)
                    acc[c] = nine_taps(l, from + c, weights + c, p->bias[c]);
            else
                for (int32_t c = 0; c < l.channels; c++)
                    acc[c] = any_taps(l, h, w, from + c, weights + c, p->bias[c]);
            requantize_pixel(acc, l.channels, p->requant, p->per_channel, y);
            y += l.channels;
        }
    }
}
