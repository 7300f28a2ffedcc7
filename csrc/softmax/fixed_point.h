/* Fixed-point functions that rows are normalized with. C99, also C++.
 *
 * Bit-exact with bitwright/numerics/fixed_point.py, where each is told and sourced. A number of m integer bits (Qm) is
 * the integer real * 2^(31 - m), held in 64 bits here.
 *
 *   bw_fixed_reciprocal(3 << 19, 12, &shift) * 2^-31 * 2^-shift = 0.33333333
 *   bw_fixed_log(10 << 19) * 2^-26 = 2.30259, Q12 to Q5
 *   bw_fixed_inverse_sqrt(16, &shift) * 2^(shift - 31) = 0.25
 */
#ifndef BITWRIGHT_SOFTMAX_FIXED_POINT_H
#define BITWRIGHT_SOFTMAX_FIXED_POINT_H

#include "base/requantize.h"

static inline int64_t bw_fixed_clip(int64_t x) { return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x; }

/* Of Qm and Qn, in Q(m + n): ties upward. */
static inline int64_t bw_fixed_multiply(int64_t a, int64_t b) { return bw_fixed_clip((a * b + (1 << 30)) >> 31); }

static inline int64_t bw_fixed_shift_left(int64_t x, int32_t amount) {
    return bw_fixed_clip((int64_t)((uint64_t)x << amount));
}

/* x / 2^exponent, ties away from zero. */
static inline int64_t bw_fixed_shift_right(int64_t x, int32_t exponent) {
    const int64_t mask = ((int64_t)1 << exponent) - 1;
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0));
}

static inline int64_t bw_fixed_half_sum(int64_t a, int64_t b) {
    const int64_t sum = a + b;
    return sum >= 0 ? (sum + 1) >> 1 : -((1 - sum) >> 1);
}

static inline int32_t bw_leading_zeros(int64_t x) {
    int32_t zeros = 32;
    for (; x > 0; x >>= 1) --zeros;
    return zeros;
}

/* 1 / (1 + a) in Q0, for a in [0, 1) in Q0: Newton and Raphson. */
static inline int64_t bw_fixed_one_over_one_plus(int64_t a) {
    const int64_t half_denominator = bw_fixed_half_sum(a, INT32_MAX);
    int64_t x = 1515870810 + bw_fixed_multiply(half_denominator, -1010580540); /* 48/17 - 32/17 * half_denominator */
    for (int32_t i = 0; i < 3; ++i) {
        const int64_t error = (1 << 29) - bw_fixed_multiply(half_denominator, x);
        x = bw_wrap32(x + bw_fixed_shift_left(bw_fixed_multiply(x, error), 2));
    }
    return bw_fixed_shift_left(x, 1);
}

/* 1 / x = result / 2^31 * 2^-shift, for 0 < x < 2^31 in Q(integer_bits). */
static inline int64_t bw_fixed_reciprocal(int64_t x, int32_t integer_bits, int32_t* shift) {
    const int32_t headroom = bw_leading_zeros(x);
    *shift = integer_bits - headroom;
    return bw_fixed_one_over_one_plus((x << headroom) - ((int64_t)1 << 31));
}

/* log(x) in Q5, for x >= 1 in Q12. */
static inline int64_t bw_fixed_log(int64_t x) {
    const int64_t sqrt_half = 1518500250, fourth_root_half = 1805811301, log_2 = 1488522236, quarter = 1 << 23;
    const int64_t alpha_n = 117049297, alpha_d = 127690142, alpha_i = 1057819769, alpha_f = 638450708;
    const int32_t unit = 25;
    const int32_t zeros = bw_leading_zeros(x), headroom = bw_leading_zeros(bw_fixed_multiply(x, sqrt_half)) - 1;
    const int64_t r_a = bw_fixed_shift_left(bw_fixed_multiply(bw_fixed_shift_left(x, zeros - 1), sqrt_half), 1);
    const int64_t r_b = bw_fixed_shift_left(x, headroom);
    const int64_t power_a = bw_fixed_shift_left(12 - zeros, unit) + quarter;
    const int64_t power_b = bw_fixed_shift_left(12 - headroom, unit) - quarter;
    const int64_t r = r_a < r_b ? r_a : r_b;
    const int64_t power = bw_fixed_clip(power_a > power_b ? power_a : power_b);
    const int64_t p = bw_fixed_half_sum(r, fourth_root_half);
    const int64_t q = bw_wrap32(2 * (r - fourth_root_half)), square = bw_fixed_multiply(q, q);
    const int64_t numerator = bw_fixed_multiply(q, r) + bw_fixed_multiply(bw_fixed_multiply(q, square), alpha_n);
    const int64_t inner = bw_wrap32(alpha_i + q + bw_fixed_multiply(alpha_d, square));
    const int64_t denominator = bw_fixed_multiply(p, inner) + bw_fixed_multiply(alpha_f, q);
    const int64_t fraction = bw_fixed_multiply(bw_fixed_shift_right(bw_wrap32(numerator), 6),
                                               bw_fixed_one_over_one_plus(bw_wrap32(denominator)));
    return bw_fixed_shift_left(bw_wrap32(bw_fixed_multiply(power, log_2) + fraction), 1);
}

/* 1 / sqrt(x) = result * 2^(shift - 31), shift <= 0, for 0 <= x < 2^31; 0 counts as 1. */
static inline int64_t bw_fixed_inverse_sqrt(int64_t x, int32_t* shift) {
    *shift = 0;
    if (x <= 1) return INT32_MAX;
    const int32_t quartered = x >= 1 << 29;
    x >>= 2 * quartered;
    const int32_t pairs = (bw_leading_zeros(x) - 1) / 2 - 1, right = 11 + quartered - pairs;
    const int64_t half_operand = bw_fixed_shift_right((x << 2 * pairs) >> 1, 1);
    int64_t root = 1 << 28;
    for (int32_t i = 0; i < 5; ++i) {
        const int64_t cube = bw_fixed_shift_left(bw_fixed_multiply(bw_fixed_multiply(root, root), root), 6);
        const int64_t step = bw_fixed_multiply((1 << 28) + (1 << 27), root) - bw_fixed_multiply(half_operand, cube);
        root = bw_fixed_shift_left(bw_wrap32(step), 3);
    }
    const int64_t multiplier = bw_fixed_multiply(root, 1518500250);
    if (right < 0) return multiplier << -right;
    *shift = -right;
    return multiplier;
}

#endif
