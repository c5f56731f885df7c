/* Max pooling: the largest of what lies inside the input, tap by tap, all channels at a time; padding is not looked at. */
#include "kernels.h"
#include "window.h"

/* The output pixel whose window, clipped, is rows x cols; neither is empty. */
static void output_pixel(const max_pool2d_params *restrict p, window rows, window cols, const int8_t *restrict x,
                         int8_t *restrict y)
{
    int32_t channels = p->in_c;
    const int8_t *restrict corner = x + (rows.start * p->in_w + cols.start) * channels;

    for (int32_t c = 0; c < channels; c++)
        y[c] = corner[c];
    for (int32_t ky = 0; ky < rows.end - rows.begin; ky++) {
        int32_t from = ky * p->in_w * channels;
        for (int32_t kx = 0; kx < cols.end - cols.begin; kx++) {
            const int8_t *restrict tap = corner + from;
            for (int32_t c = 0; c < channels; c++)
                if (tap[c] > y[c])
                    y[c] = tap[c];
            from += channels;
        }
    }
}

void max_pool2d_s8(const max_pool2d_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            output_pixel(p, rows, cols, x, y);
            y += p->in_c;
        }
    }
}
