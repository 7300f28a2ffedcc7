/* Softmax of rows of 8-bit integers: what its kernels compute. C99, also C++.
 *
 *   y[r,i] = exp(x[r,i]) / sum over k of exp(x[r,k]), every exponential e one of 256
 *
 *   x u8 [R,K] (as it is stored), y u8 or i16 [R,K]
 *
 * bw_softmax_fixed   e in Q0, their sum in Q12, K <= 4095:
 *                    y = min(round(e * reciprocal(sum) * 2^bits) + low, high), e * reciprocal with ties upward, then
 *                    shifted with ties away from zero; low is the lowest integer of y, high the highest
 * bw_softmax_real    float32, summed in order: y = clamp(round_half_to_even(e * (1 / (sum * scale))) + zero_point)
 *
 * Entry 255 + d of a table is that of the difference d of an element to its row's largest, -255 <= d <= 0.
 * Bit-exact with bitwright/program/families/normalization.py. R rows, K elements of a row.
 */
#ifndef BITWRIGHT_SOFTMAX_REFERENCE_H
#define BITWRIGHT_SOFTMAX_REFERENCE_H

#include "softmax/fixed_point.h"

typedef struct {
    int32_t is_wide;          /* y is i16, not u8 */
    int32_t exponential[256]; /* 0 where it does not count */
} bw_softmax_fixed;

typedef struct {
    int32_t is_wide;
    float exponential[256];
    float scale; /* of y */
    int32_t zero_point, low, high;
} bw_softmax_real;

static inline void bw_softmax_store(int32_t is_wide, void* y, int64_t i, int64_t value) {
    if (is_wide) {
        ((int16_t*)y)[i] = (int16_t)value;
    } else {
        ((uint8_t*)y)[i] = (uint8_t)value;
    }
}

static inline int32_t bw_softmax_largest(const uint8_t* x, int64_t k) {
    int32_t largest = 0;
    for (int64_t i = 0; i < k; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* An exponential in Q12, ties upward. */
static inline int32_t bw_softmax_summand(int32_t exponential) {
    return (int32_t)(((uint32_t)exponential + (1 << 11)) >> 12);
}

static inline void bw_softmax_fixed_row(const bw_softmax_fixed* s, const uint8_t* x, void* y, int64_t k) {
    const int32_t largest = bw_softmax_largest(x, k), bits = s->is_wide ? 16 : 8;
    const int64_t low = s->is_wide ? INT16_MIN : 0, high = s->is_wide ? INT16_MAX : 255;
    int64_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += bw_softmax_summand(s->exponential[255 + x[i] - largest]);
    int32_t shift;
    const int64_t inverse = bw_fixed_reciprocal(sum, 12, &shift);
    for (int64_t i = 0; i < k; ++i) {
        const int64_t share = bw_fixed_multiply(inverse, s->exponential[255 + x[i] - largest]);
        const int64_t result = bw_fixed_shift_right(share, shift + 31 - bits) + low;
        bw_softmax_store(s->is_wide, y, i, result < high ? result : high);
    }
}

static inline void bw_softmax_real_row(const bw_softmax_real* s, const uint8_t* x, void* y, int64_t k) {
    const int32_t largest = bw_softmax_largest(x, k);
    const float low = (float)(s->low - s->zero_point), high = (float)(s->high - s->zero_point);
    float sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += s->exponential[255 + x[i] - largest];
    const float inverse = 1.0f / (sum * s->scale);
    for (int64_t i = 0; i < k; ++i) {
        const float real = s->exponential[255 + x[i] - largest] * inverse;
        const float clamped = real < low    ? low
                              : real > high ? high
                                            : real; /* bounds are integers: as if after rounding */
        bw_softmax_store(s->is_wide, y, i, (int64_t)nearbyintf(clamped) + s->zero_point);
    }
}

#endif
