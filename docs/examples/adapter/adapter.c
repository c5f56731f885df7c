/* The kernel ABI on top of the library. A layer's output channels share a zero point and a clamp, as they do in every network. */
#include "kernels.h"
#include "nn.h"

void pointwise_conv2d_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)
{
    int32_t multipliers[p->out_c], shifts[p->out_c];
    nn_dims input = {p->in_h, p->in_w, p->in_c}, output = {p->in_h, p->in_w, p->out_c};
    nn_range range = {-p->input_zero_point, p->requant->zero_point, p->requant->qmin, p->requant->qmax};

    for (int32_t c = 0; c < p->out_c; c++) {
        const requantizer *r = p->requant + (p->per_channel ? c : 0);
        multipliers[c] = r->multiplier;
        shifts[c] = -r->shift; /* the other direction */
    }
    /* The ABI's scratch is as large as this library's: at least 4 bytes for each input channel. */
    nn_buffer buffer = {scratch, nn_pointwise_scratch_size(input)};
    nn_pointwise(buffer, &range, &(nn_scales){multipliers, shifts}, input, x, p->weights, p->bias, output, y);
}

void dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)
{
    pointwise_conv2d_s8(p, x, y, scratch);
}
