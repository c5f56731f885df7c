/* Convolution: each window is copied into a column of (x - zero point), zeros where it lies in the padding; then one dot
 * product an output channel. The column is int32: scratch holds one of those, and it is what the caller declared it as. */
#include "dot.h"
#include "window.h"

/* Fills the column of the window whose kernel origin is (top, left). */
static void gather_window(const conv2d_s8_params *restrict p, const int8_t *restrict x, int32_t top, int32_t left,
                          int32_t *restrict column)
{
    window rows = clip_window(top, p->kernel_h, p->in_h);
    window cols = clip_window(left, p->kernel_w, p->in_w);
    int32_t kernel_row = p->kernel_w * p->in_c;
    int32_t row = p->in_w * p->in_c;
    int32_t run = (cols.end - cols.begin) * p->in_c;
    int32_t zero_point = p->input_zero_point;

    if (rows.end - rows.begin < p->kernel_h || cols.end - cols.begin < p->kernel_w)
        for (int32_t i = 0; i < p->kernel_h * kernel_row; i++)
            column[i] = 0;
    column += rows.begin * kernel_row + cols.begin * p->in_c;
    x += rows.start * row + cols.start * p->in_c;
    for (int32_t k = 0; k < rows.end - rows.begin; k++)
        load_column(column + k * kernel_row, x + k * row, run, zero_point);
}

void conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    int32_t *column = scratch;
    int32_t taps = p->kernel_h * p->kernel_w * p->in_c;
    int32_t rq_step = p->per_channel ? 1 : 0;

    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            gather_window(p, x, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, column);
            dot_all_channels(column, taps, p->weights, p->bias, p->requant, rq_step, y, p->out_c);
            y += p->out_c;
        }
    }
}
