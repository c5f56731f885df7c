/* A library of int8 layers with an interface of its own, written for the example in docs/kernels.md. */
#ifndef NN_H
#define NN_H

#include <stdint.h>

typedef struct { int32_t height, width, channels; } nn_dims;
typedef struct { void *data; int32_t size; } nn_buffer;
typedef struct { int32_t input_offset, output_offset, min, max; } nn_range;       /* added: the input's is minus its zero point */
typedef struct { const int32_t *multipliers; const int32_t *shifts; } nn_scales;  /* one a channel; a shift > 0 is to the left */

/* Bytes that nn_pointwise wants as its scratch. */
int32_t nn_pointwise_scratch_size(nn_dims input);

/* 0, or -1 when the scratch is too small. Weights: output channels x input channels. */
int nn_pointwise(nn_buffer scratch, const nn_range *range, const nn_scales *scales, nn_dims input_dims, const int8_t *input,
                 const int8_t *weights, const int32_t *bias, nn_dims output_dims, int8_t *output);

#endif
