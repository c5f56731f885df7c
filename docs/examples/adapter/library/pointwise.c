#include "nn.h"

int32_t nn_pointwise_scratch_size(nn_dims input)
{
    return input.channels * (int32_t)sizeof(int16_t);
}

static int32_t scaled(int32_t acc, int32_t multiplier, int32_t shift)
{
    int32_t right = shift < 0 ? -shift : 0;
    int32_t value = (int32_t)(((int64_t)(acc * (1 << (shift > 0 ? shift : 0))) * multiplier + (1 << 30)) >> 31);
    return right ? (((value + (value >> 31)) >> (right - 1)) + 1) >> 1 : value;
}

static int32_t clamped(int32_t value, const nn_range *range)
{
    int32_t low = range->min - range->output_offset, high = range->max - range->output_offset;
    return (value < low ? low : value > high ? high : value) + range->output_offset;
}

int nn_pointwise(nn_buffer scratch, const nn_range *range, const nn_scales *scales, nn_dims input_dims, const int8_t *input,
                 const int8_t *weights, const int32_t *bias, nn_dims output_dims, int8_t *output)
{
    int16_t *column = scratch.data;
    int32_t channels = input_dims.channels;

    if (scratch.size < nn_pointwise_scratch_size(input_dims))
        return -1;
    for (int32_t pixel = 0; pixel < input_dims.height * input_dims.width; pixel++, input += channels) {
        for (int32_t i = 0; i < channels; i++)
            column[i] = (int16_t)(input[i] + range->input_offset);
        for (int32_t o = 0; o < output_dims.channels; o++) {
            int32_t acc = bias[o];
            for (int32_t i = 0; i < channels; i++)
                acc += column[i] * weights[o * channels + i];
            *output++ = (int8_t)clamped(scaled(acc, scales->multipliers[o], scales->shifts[o]), range);
        }
    }
    return 0;
}
