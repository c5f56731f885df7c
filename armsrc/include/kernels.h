/* The kernel ABI: one parameter struct and one prototype a layer kind.
 *
 * Tensors are NHWC with N = 1. int8 weights are symmetric (zero point 0), biases and accumulators int32:
 *
 *     acc = bias + sum over the window of (x - input_zero_point) * weight
 *     y   = clamp(rounding_shift(high_mul(acc, multiplier), shift) + zero_point, qmin, qmax)
 *
 * high_mul(a, m) = (a * m + 2^30) >> 31 in 64 bits, floored; rounding_shift divides by 2^shift and rounds half away from
 * zero; shift < 0 shifts the accumulator left by -shift before the multiply, instead. These are gemmlowp's two roundings.
 * A window reaches outside the input where there is padding: convolutions see input_zero_point there, pools nothing.
 *
 * What is legal (armsrc/abi.py enforces it on the host; inside it every kernel is right to the last bit):
 *   every size and stride >= 1, no tensor over 2^24 elements; 0 <= pad_top < kernel_h, 0 <= pad_left < kernel_w, and the
 *   last window starts inside the input (padding below and right of it follows from out_h and out_w);
 *   input_zero_point, zero_point in [-128, 127]; -128 <= qmin <= qmax <= 127;
 *   |bias| + sum |weight| * 255 < 2^31 for every output channel;
 *   multiplier 0 or in [2^30, 2^31); shift in -3 .. 31, and an accumulator that is shifted left still fits int32.
 * int8 tensors and weights may stand at any address; structs, int32, float and scratch are 4-byte aligned. Input, output and
 * scratch do not overlap. Scratch is uninitialized and holds at least 4 * round_up(taps, 4) + 4 * out_c bytes, room for two
 * int16 columns and an int32 a channel, where taps is kernel_h * kernel_w * in_c (convolution), kernel_h * kernel_w * 4
 * (depthwise) or in_c (pointwise, dense); pools get none. Kernels are AAPCS functions, and leaf calls for all that the
 * caller sees: no global state, no heap.
 *
 * A set may have its weights rearranged ahead of time (pack.py in its folder; armsrc/kernelset.py): then `packed` points to what it
 * made of a layer, word-aligned, weights, bias and requant are 0, and scratch is as large as it asked for. Else packed is 0. */
#ifndef THUMBCYCLE_KERNELS_H
#define THUMBCYCLE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t multiplier; /* Q0.31 */
    int32_t shift;      /* > 0 is to the right */
    int32_t zero_point;
    int32_t qmin, qmax;
} requantizer;

/* conv2d: weights OHWI. depthwise_conv2d: weights HWC, in_c == out_c. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    int32_t input_zero_point;
    int32_t per_channel; /* 0: requant[0] serves every channel; 1: requant[c] */
    const int8_t *weights;
    const int32_t *bias;
    const requantizer *requant;
    const void *packed;
} conv2d_s8_params;

/* pointwise_conv2d: out_c x in_c weights at every one of in_h * in_w pixels. dense: the same with in_h = in_w = 1. */
typedef struct {
    int32_t in_h, in_w, in_c, out_c;
    int32_t input_zero_point;
    int32_t per_channel;
    const int8_t *weights;
    const int32_t *bias;
    const requantizer *requant;
    const void *packed;
} pointwise_s8_params;

typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w; /* channels stay */
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
} max_pool2d_params;

/* y[c] = clamp(sum over the pixels of x[c] / (in_h * in_w), rounded half away from zero, qmin, qmax) */
typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t qmin, qmax;
} global_avg_pool2d_s8_params;

/* Two layers in one call, for sets that have such kernels: the tensor between them is never in memory as a whole. All that the kernel
 * needs to know of both stands in packed. */
typedef struct {
    const void *packed;
} fused_s8_params;

/* Float: the same shapes; y = min(max(acc, act_min), act_max); padding is 0. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
    float act_min, act_max;
    const float *weights;
    const float *bias;
} conv2d_f32_params;

typedef struct {
    int32_t in_h, in_w, in_c, out_c;
    float act_min, act_max;
    const float *weights;
    const float *bias;
} pointwise_f32_params;

typedef struct {
    int32_t in_h, in_w, in_c;
} global_avg_pool2d_f32_params;

void conv2d_s8(const conv2d_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void depthwise_conv2d_s8(const conv2d_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void pointwise_conv2d_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void max_pool2d_s8(const max_pool2d_params *p, const int8_t *x, int8_t *y, void *scratch);
void global_avg_pool2d_s8(const global_avg_pool2d_s8_params *p, const int8_t *x, int8_t *y, void *scratch);

void conv2d_max_pool2d_s8(const fused_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void depthwise_pointwise_conv2d_s8(const fused_s8_params *p, const int8_t *x, int8_t *y, void *scratch);
void global_avg_pool2d_dense_s8(const fused_s8_params *p, const int8_t *x, int8_t *y, void *scratch);

void conv2d_f32(const conv2d_f32_params *p, const float *x, float *y, void *scratch);
void depthwise_conv2d_f32(const conv2d_f32_params *p, const float *x, float *y, void *scratch);
void pointwise_conv2d_f32(const pointwise_f32_params *p, const float *x, float *y, void *scratch);
void dense_f32(const pointwise_f32_params *p, const float *x, float *y, void *scratch);
void max_pool2d_f32(const max_pool2d_params *p, const float *x, float *y, void *scratch);
void global_avg_pool2d_f32(const global_avg_pool2d_f32_params *p, const float *x, float *y, void *scratch);

#ifdef __cplusplus
}
#endif

#endif
