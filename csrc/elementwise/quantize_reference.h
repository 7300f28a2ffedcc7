/* Reals to integers and back: what every kernel of it computes. C99, also C++.
 *
 *   quantize    clamp(wrap32(to_int32(round(x)) + zero_point)) + bias, round(x) being one of
 *                 BW_DIVIDED    x / factor, ties away from zero
 *                 BW_MULTIPLIED x * factor, ties to even; for 8 bits clamped to [-512, 512] before, NaN to 512
 *   dequantize  (q - zero_point) * factor
 *
 * Both in float32. to_int32 gives -2^31 for NaN and for whatever does not fit. Clamping is to the range of the stored
 * type less its bias: i8 is stored with a bias of 128.
 *
 *   quantize(3e9, BW_DIVIDED, factor 1, zero_point -1, bias 128) == 255:  -2^31 - 1 wraps
 */
#ifndef BITWRIGHT_ELEMENTWISE_QUANTIZE_REFERENCE_H
#define BITWRIGHT_ELEMENTWISE_QUANTIZE_REFERENCE_H

#include "base/requantize.h"
#include "elementwise/block.h"

typedef enum { BW_DIVIDED, BW_MULTIPLIED } bw_quantize_rule;

typedef struct {
    bw_quantize_rule rule;
    float factor;
    int32_t zero_point; /* of the integers as the model has them */
    int32_t bias;       /* what is added to store them: 128 for i8, 0 for u8 and i16 */
} bw_quantize;

typedef struct {
    float factor;
    int32_t zero_point; /* as it is stored */
} bw_dequantize;

static inline int32_t bw_quantize_real(const bw_quantize* q, float x, int32_t low, int32_t high) {
    float real = q->rule == BW_DIVIDED ? roundf(x / q->factor) : nearbyintf(x * q->factor);
    if (q->rule == BW_MULTIPLIED && high - low < 256) real = real < 512 ? (real > -512 ? real : -512) : 512;
    const int32_t whole = real >= -2147483648.0f && real < 2147483648.0f ? (int32_t)real : INT32_MIN;
    return bw_clamp(bw_wrap32((int64_t)whole + q->zero_point), low - q->bias, high - q->bias) + q->bias;
}

static inline float bw_dequantize_integer(const bw_dequantize* q, int32_t stored) {
    return (float)(stored - q->zero_point) * q->factor;
}

#define BW_QUANTIZE_REFERENCE(suffix, type, low, high)                                                              \
    static inline void bw_quantize_##suffix(const bw_quantize* q, const bw_block* k, const float* x, type* y) {     \
        for (int64_t r = 0; r < k->rows; ++r)                                                                       \
            for (int64_t i = 0; i < k->length; ++i)                                                                 \
                y[r * k->row_stride[0] + i * k->stride[0]] =                                                        \
                    (type)bw_quantize_real(q, x[r * k->row_stride[1] + i * k->stride[1]], low, high);               \
    }                                                                                                               \
    static inline void bw_dequantize_##suffix(const bw_dequantize* q, const bw_block* k, const type* x, float* y) { \
        for (int64_t r = 0; r < k->rows; ++r)                                                                       \
            for (int64_t i = 0; i < k->length; ++i)                                                                 \
                y[r * k->row_stride[0] + i * k->stride[0]] =                                                        \
                    bw_dequantize_integer(q, x[r * k->row_stride[1] + i * k->stride[1]]);                           \
    }
BW_QUANTIZE_REFERENCE(u8, uint8_t, 0, 255)
BW_QUANTIZE_REFERENCE(i16, int16_t, -32768, 32767)

#endif
