/* Convolution: a row of the window is one contiguous run of kernel_w * in_c values in the input and in OHWI weights, so a
 * window clipped by padding is only a shorter run. */
#include "activate.h"
#include "kernels.h"
#include "window.h"

void conv2d_f32(const conv2d_f32_params *restrict p, const float *restrict x, float *restrict y, void *restrict scratch)
{
    int32_t row = p->in_w * p->in_c;
    int32_t kernel_row = p->kernel_w * p->in_c;
    (void)scratch;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            int32_t run = (cols.end - cols.begin) * p->in_c;
            const float *inside = x + rows.start * row + cols.start * p->in_c;
            const float *weights = p->weights + rows.begin * kernel_row + cols.begin * p->in_c;
            for (int32_t o = 0; o < p->out_c; o++) {
                const float *kernel = weights + o * p->kernel_h * kernel_row;
                float acc = p->bias[o];
                for (int32_t ky = 0; ky < rows.end - rows.begin; ky++)
                    acc = dot(acc, inside + ky * row, kernel + ky * kernel_row, run);
                y[o] = activate(acc, p->act_min, p->act_max);
            }
            y += p->out_c;
        }
    }
}
