/* Convolution, three pixels of a row at a time: their windows are copied into columns, the input's zero point where they lie in the padding;
 * dot.h does the rest. Scratch holds the folded bias and behind it the columns. */
#include "dot.h"
#include "window.h"

/* Fills the column of the window at (row, col), every PIXELS-th byte. */
static inline void gather_window(const conv2d_s8_params *restrict p, int32_t row, int32_t col, const int8_t *restrict x,
                                 int8_t *restrict column)
{
    window h = clip_window(row, p->kernel_h, p->in_h), w = clip_window(col, p->kernel_w, p->in_w);
    int32_t kernel_row = p->kernel_w * p->in_c, run = (w.end - w.begin) * p->in_c;

    if (h.end - h.begin < p->kernel_h || w.end - w.begin < p->kernel_w)
        for (int32_t i = 0; i < p->kernel_h * kernel_row; i++)
            column[i * PIXELS] = (int8_t)p->input_zero_point;
    column += (h.begin * kernel_row + w.begin * p->in_c) * PIXELS;
    x += (h.start * p->in_w + w.start) * p->in_c;
    for (int32_t k = h.begin; k < h.end; k++) {
        for (int32_t i = 0; i < run; i++)
            column[i * PIXELS] = x[i];
        column += kernel_row * PIXELS;
        x += p->in_w * p->in_c;
    }
}

/* The same for three windows that lie inside the input: the first at x, each `next` behind the one before. */
static inline void gather_inside(const conv2d_s8_params *restrict p, const int8_t *restrict x, int32_t next, int8_t *restrict columns)
{
    int32_t run = p->kernel_w * p->in_c, row = p->in_w * p->in_c - run;

    for (int32_t k = 0; k < p->kernel_h; k++) {
        for (const int8_t *end = x + run; x != end; x++) {
            int8_t a = x[0], b = x[next], c = x[2 * next];
            columns[0] = a;
            columns[1] = b;
            columns[2] = c;
            columns += PIXELS;
        }
        x += row;
    }
}

static inline void gather(const conv2d_s8_params *restrict p, int32_t row, int32_t col, int32_t pixels, const int8_t *restrict x,
                          int8_t *restrict columns)
{
    int32_t last = col + (PIXELS - 1) * p->stride_w;

    if (pixels == PIXELS && row >= 0 && row + p->kernel_h <= p->in_h && col >= 0 && last + p->kernel_w <= p->in_w)
        gather_inside(p, x + (row * p->in_w + col) * p->in_c, p->stride_w * p->in_c, columns);
    else
        for (int32_t k = 0; k < pixels; k++)
            gather_window(p, row, col + k * p->stride_w, x, columns + k);
}

void conv2d_s8(const conv2d_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)
{
    matrix m = {p->kernel_h * p->kernel_w * p->in_c, p->out_c, p->weights, p->bias, p->requant, p->per_channel ? 1 : 0};
    int32_t *folded = scratch;
    int8_t *columns = (int8_t *)(folded + m.out_c);
    int32_t pixels = p->out_w < PIXELS ? 1 : PIXELS;

    fold_zero_point(&m, p->input_zero_point, folded);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox += pixels) {
            int32_t from = ox + pixels <= p->out_w ? ox : p->out_w - pixels; /* the last three may overlap those before */
            int8_t *to = y + (oy * p->out_w + from) * m.out_c;
            gather(p, oy * p->stride_h - p->pad_top, from * p->stride_w - p->pad_left, pixels, x, columns);
            if (pixels == PIXELS)
                three_pixels(&m, columns, to);
            else
                one_pixel(&m, columns, to);
        }
    }
}
