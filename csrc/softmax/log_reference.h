/* Logarithm of softmax, and L2 normalization, of rows of 8-bit integers: what their kernels compute. C99, also C++.
 *
 *   bw_log_softmax_fixed   y[r,i] = x[r,i] - log(sum over k of exp(x[r,k])), K <= 4095: differences in Q5, the sum in
 * Q12 bw_log_softmax_real    the same in float32, the sum added in order bw_l2                  y[r,i] = x[r,i] /
 * sqrt(sum over k of x[r,k]^2), 0 in a row of zeros; K <= 33025
 *
 * x u8 [R,K] and y u8 [R,K], as they are stored. Bit-exact with bitwright/program/families/normalization.py.
 * R rows, K elements of a row.
 */
#ifndef BITWRIGHT_SOFTMAX_LOG_REFERENCE_H
#define BITWRIGHT_SOFTMAX_LOG_REFERENCE_H

#include "softmax/reference.h"

typedef struct {
    int32_t exponential[256];  /* as in softmax/reference.h, in Q0; 0 where it does not count */
    int32_t difference[256];   /* the same differences in Q5 */
    int32_t lowest;            /* the lowest that counts */
    int32_t multiplier, shift; /* of Q5 to differences; shift <= 0 */
} bw_log_softmax_fixed;

typedef struct {
    float exponential[256];
    float scale_in, scale_out;
    int32_t bias;       /* what stored integers are above those they stand for */
    int32_t zero_point; /* as it is stored */
} bw_log_softmax_real;

typedef struct {
    int32_t zero_point_in, zero_point_out; /* as they are stored */
    int32_t is_scaled_first; /* y has a scale of 2^-7: values are multiplied by 2^7 first, else with 1 / sqrt(sum) */
} bw_l2;

static inline void bw_log_softmax_fixed_row(const bw_log_softmax_fixed* s, const uint8_t* x, uint8_t* y, int64_t k) {
    const int32_t largest = bw_softmax_largest(x, k);
    int64_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += bw_softmax_summand(s->exponential[255 + x[i] - largest]);
    const int64_t log_sum = bw_fixed_log(sum);
    const int64_t below = bw_double(bw_wrap32(log_sum + INT32_MIN), s->multiplier, s->shift);
    const int64_t reached = below > s->lowest - 1 ? below : s->lowest - 1;
    for (int64_t i = 0; i < k; ++i) {
        if (x[i] - largest <= reached) {
            y[i] = 0;
        } else {
            const int64_t result = bw_fixed_shift_right(s->difference[255 + x[i] - largest] - log_sum, 22) + 255;
            y[i] = (uint8_t)(result < 0 ? 0 : result > 255 ? 255 : result);
        }
    }
}

static inline void bw_log_softmax_real_row(const bw_log_softmax_real* s, const uint8_t* x, uint8_t* y, int64_t k) {
    const int32_t largest = bw_softmax_largest(x, k);
    float sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += s->exponential[255 + x[i] - largest];
    const float log_sum = (float)log((double)sum);
    const float product = s->scale_in * (float)(largest - s->bias);
    const float base = (product + log_sum) / s->scale_out, factor = s->scale_in / s->scale_out;
    const float low = (float)-s->zero_point, high = (float)(255 - s->zero_point);
    for (int64_t i = 0; i < k; ++i) {
        const float scaled = factor * (float)(x[i] - s->bias);
        const float real = scaled - base;
        const float clamped = real < low    ? low
                              : real > high ? high
                                            : real; /* bounds are integers: as if after rounding */
        y[i] = (uint8_t)((int32_t)nearbyintf(clamped) + s->zero_point);
    }
}

static inline void bw_l2_row(const bw_l2* s, const uint8_t* x, uint8_t* y, int64_t k) {
    int64_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += (x[i] - s->zero_point_in) * (x[i] - s->zero_point_in);
    int32_t shift;
    const int32_t multiplier = (int32_t)bw_fixed_inverse_sqrt(sum, &shift);
    for (int64_t i = 0; i < k; ++i) {
        const int32_t value = x[i] - s->zero_point_in;
        const int64_t rounded =
            s->is_scaled_first ? bw_double(value * 128, multiplier, shift) : bw_double(value, multiplier, shift + 7);
        const int64_t result = rounded + s->zero_point_out;
        y[i] = (uint8_t)(result < 0 ? 0 : result > 255 ? 255 : result);
    }
}

#endif
