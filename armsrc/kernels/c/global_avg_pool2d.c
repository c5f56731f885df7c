/* Global average pooling: the raw sum, divided and rounded half away from zero, clamped. */
#include "kernels.h"

/* sum / count, half away from zero; the remainder is compared, since sum + count / 2 could overflow. */
static inline int32_t rounding_divide(int32_t sum, int32_t count)
{
    int32_t quotient = sum / count;
    int32_t remainder = sum - quotient * count;
    if (remainder < 0)
        return 2 * -remainder >= count ? quotient - 1 : quotient;
    return 2 * remainder >= count ? quotient + 1 : quotient;
}

void global_avg_pool2d_s8(const global_avg_pool2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y,
                          void *restrict scratch)
{
    int32_t channels = p->in_c;
    int32_t pixels = p->in_h * p->in_w;
    (void)scratch;

    for (int32_t c = 0; c < channels; c++) {
        int32_t sum = 0; /* at most 2^24 values from -128 to 127: fits */
        int32_t from = c;
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            sum += x[from];
            from += channels;
        }
        int32_t value = rounding_divide(sum, pixels);
        value = value < p->qmin ? p->qmin : value;
        value = value > p->qmax ? p->qmax : value;
        y[c] = (int8_t)value;
    }
}
