/* For kernels in C: max pooling of tensors of any type. Define element and MAX_POOL2D, the kernel's name, and include this.
 * Channel by channel over the part of the window that lies inside the input; padding is not looked at. */
#include "kernels.h"
#include "window.h"

static inline element larger(element a, element b)
{
    return a > b ? a : b;
}

/* The largest of h x w taps, the first of them at x; `row` is what lies between the last of a row and the first of the next. */
static inline element window_maximum(const element *restrict x, int32_t h, int32_t w, int32_t channels, int32_t row)
{
    element most = *x;

    for (int32_t ky = 0; ky < h; ky++) {
        for (int32_t kx = 0; kx < w; kx++) {
            most = larger(most, *x);
            x += channels;
        }
        x += row;
    }
    return most;
}

void MAX_POOL2D(const max_pool2d_params *restrict p, const element *restrict x, element *restrict y, void *restrict scratch)
{
    int32_t channels = p->in_c, input_row = p->in_w * channels;
    (void)scratch;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            int32_t h = rows.end - rows.begin, w = cols.end - cols.begin;
            const element *from = x + rows.start * input_row + cols.start * channels;
            if (h == 2 && w == 2) {
                for (int32_t c = 0; c < channels; c++) {
                    element a = from[c], b = from[c + channels], d = from[c + input_row], e = from[c + channels + input_row];
                    *y++ = larger(larger(a, b), larger(d, e));
                }
            } else {
                for (int32_t c = 0; c < channels; c++)
                    *y++ = window_maximum(from + c, h, w, channels, input_row - w * channels);
            }
        }
    }
}
