/* Depthwise convolution: tap by tap over the part of the window that lies inside the input, all channels at a time, since the
 * channels of a tap are contiguous in the input and in HWC weights. The accumulators of a pixel stand in scratch. */
#include "requantize.h"
#include "window.h"

/* acc[c] += (x[c] - zero point) * weights[c]. No partial sum overflows: the ABI bounds |bias| + sum |weight| * 255. */
static inline void accumulate_tap(int32_t *restrict acc, const int8_t *restrict x, const int8_t *restrict weights,
                                  int32_t channels, int32_t zero_point)
{
    for (int32_t c = 0; c < channels; c++)
        acc[c] += (x[c] - zero_point) * weights[c];
}

/* The output pixel whose window, clipped, is rows x cols. */
static void output_pixel(const conv2d_s8_params *restrict p, window rows, window cols, const int8_t *restrict x,
                         int8_t *restrict y, int32_t *restrict acc)
{
    int32_t channels = p->in_c;
    const requantizer *rq = p->requant;
    int32_t rq_step = p->per_channel ? 1 : 0;

    for (int32_t c = 0; c < channels; c++)
        acc[c] = p->bias[c];
    for (int32_t ky = 0; ky < rows.end - rows.begin; ky++) {
        int32_t from = ((rows.start + ky) * p->in_w + cols.start) * channels;
        int32_t at = ((rows.begin + ky) * p->kernel_w + cols.begin) * channels;
        for (int32_t kx = 0; kx < cols.end - cols.begin; kx++) {
            accumulate_tap(acc, x + from, p->weights + at, channels, p->input_zero_point);
            from += channels;
            at += channels;
        }
    }
    for (int32_t c = 0; c < channels; c++) {
        y[c] = requantize(acc[c], rq);
        rq += rq_step;
    }
}

void depthwise_conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                         void *restrict scratch)
{
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            output_pixel(p, rows, cols, x, y, scratch);
            y += p->out_c;
        }
    }
}
