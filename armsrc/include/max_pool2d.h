/* For kernels in C: max pooling of tensors of any type. Define element and MAX_POOL2D, the kernel's name, and include this.
 * Tap by tap over the part of the window that lies inside the input, all channels at a time; padding is not looked at. */
#include "kernels.h"
#include "window.h"

/* The output pixel of a window that has h x w taps inside the input, the first of them at x. */
static inline void output_pixel(const max_pool2d_params *restrict p, int32_t h, int32_t w, const element *restrict x,
                                element *restrict y)
{
    int32_t channels = p->in_c;

    for (int32_t c = 0; c < channels; c++)
        y[c] = x[c];
    for (int32_t ky = 0; ky < h; ky++) {
        for (int32_t kx = ky == 0 ? 1 : 0; kx < w; kx++) { /* the first tap is there already */
            const element *tap = x + (ky * p->in_w + kx) * channels;
            for (int32_t c = 0; c < channels; c++)
                if (tap[c] > y[c])
                    y[c] = tap[c];
        }
    }
}

void MAX_POOL2D(const max_pool2d_params *restrict p, const element *restrict x, element *restrict y, void *restrict scratch)
{
    (void)scratch;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            output_pixel(p, rows.end - rows.begin, cols.end - cols.begin, x + (rows.start * p->in_w + cols.start) * p->in_c, y);
            y += p->in_c;
        }
    }
}
