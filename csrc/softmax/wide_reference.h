/* Softmax of rows of 16-bit integers: what its kernel computes. C99, also C++.
 *
 *   y[r,i] = exp(x[r,i]) / sum over k of exp(x[r,k]), i16 [R,K] both, y in Q15
 *
 * Exponentials come from a table over [-10, 0] and the reciprocal from one of 1 / (1 + x) over [0, 1], each of 513
 * entries with lines between them; the sum, in Q15, must stay in 31 bits: K <= 65535.
 *
 * Bit-exact with bitwright/program/families/normalization.py. R rows, K elements of a row.
 */
#ifndef BITWRIGHT_SOFTMAX_WIDE_REFERENCE_H
#define BITWRIGHT_SOFTMAX_WIDE_REFERENCE_H

#include "softmax/fixed_point.h"

typedef struct {
    int16_t exponential[513], inverse[513];
    int32_t multiplier, shift; /* of differences to places in the table of exponentials, [-32768, 32767] */
    int32_t is_single;         /* they are rounded once */
} bw_softmax_wide;

/* The entry at x, between the two around it, in 16-bit arithmetic. */
static inline int16_t bw_interpolate(const int16_t* table, int64_t x) {
    const int64_t index = 256 + (x >> 7);
    const int16_t slope = (int16_t)(uint16_t)(table[index + 1] - table[index]);
    return (int16_t)(uint16_t)(table[index] + ((slope * (x & 0x7f) + 64) >> 7));
}

static inline int64_t bw_wide_place(int64_t x) { return x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : x; }

static inline int16_t bw_wide_exponential(const bw_softmax_wide* s, int32_t difference) {
    const int64_t scaled =
        s->is_single ? bw_single(difference, s->multiplier, s->shift) : bw_double(difference, s->multiplier, s->shift);
    return bw_interpolate(s->exponential, bw_wide_place(scaled + 32767));
}

/* y holds the exponentials until their sum is known; it may not be x. */
static inline void bw_softmax_wide_row(const bw_softmax_wide* s, const int16_t* x, int16_t* y, int64_t k) {
    int32_t largest = INT16_MIN;
    for (int64_t i = 0; i < k; ++i) largest = x[i] > largest ? x[i] : largest;
    int64_t sum = 0;
    for (int64_t i = 0; i < k; ++i) {
        y[i] = bw_wide_exponential(s, x[i] - largest);
        sum += y[i];
    }
    const int32_t headroom = bw_leading_zeros(sum), right = 31 - headroom;
    const int64_t mantissa = ((sum << (headroom - 1)) + (1 << 13)) >> 14;
    const int64_t inverse = bw_interpolate(s->inverse, bw_wide_place(mantissa - (1 << 15) - (1 << 16)));
    for (int64_t i = 0; i < k; ++i) {
        const int64_t share = (y[i] * inverse + ((int64_t)1 << (right - 1))) >> right;
        y[i] = (int16_t)(share < 0 ? 0 : share > INT16_MAX ? INT16_MAX : share);
    }
}

#endif
