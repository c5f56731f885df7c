/* Convolution: each window is copied into a column of (x - zero point), zeros where it lies in the padding; then one dot
 * product an output channel. Scratch holds the column and behind it the accumulators of a pixel, all of them int32. */
#include "dot.h"
#include "requantize.h"
#include "window.h"

/* Fills the column of the window that, clipped, is rows x cols. */
static inline void gather_window(const conv2d_s8_params *restrict p, window rows, window cols, const int8_t *restrict x,
                                 int32_t *restrict column)
{
    int32_t kernel_row = p->kernel_w * p->in_c;
    int32_t row = p->in_w * p->in_c;
    int32_t run = (cols.end - cols.begin) * p->in_c;

    if (rows.end - rows.begin < p->kernel_h || cols.end - cols.begin < p->kernel_w)
        for (int32_t i = 0; i < p->kernel_h * kernel_row; i++)
            column[i] = 0;
    column += rows.begin * kernel_row + cols.begin * p->in_c;
    x += rows.start * row + cols.start * p->in_c;
    for (int32_t k = 0; k < rows.end - rows.begin; k++)
        load_column(column + k * kernel_row, x + k * row, run, p->input_zero_point);
}

void conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    int32_t taps = p->kernel_h * p->kernel_w * p->in_c;
    int32_t *column = scratch;
    int32_t *acc = column + taps;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        window rows = clip_window(oy * p->stride_h - p->pad_top, p->kernel_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            window cols = clip_window(ox * p->stride_w - p->pad_left, p->kernel_w, p->in_w);
            gather_window(p, rows, cols, x, column);
            dot_all_channels(column, taps, p->weights, p->bias, acc, p->out_c);
            requantize_pixel(acc, p->requant, p->per_channel, y, p->out_c);
            y += p->out_c;
        }
    }
}
