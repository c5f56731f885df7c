/* Global average pooling: the sum over the pixels, divided by their number. */
#include "kernels.h"

void global_avg_pool2d_f32(const global_avg_pool2d_f32_params *restrict p, const float *restrict x, float *restrict y,
                           void *restrict scratch)
{
    int32_t channels = p->in_c;
    int32_t pixels = p->in_h * p->in_w;
    (void)scratch;

    for (int32_t c = 0; c < channels; c++) {
        float sum = 0.0f;
        int32_t from = c;
        for (int32_t i = 0; i < pixels; i++) {
            sum += x[from];
            from += channels;
        }
        y[c] = sum / (float)pixels;
    }
}
