/* Sums, differences, products and slopes of two quantized tensors: what every kernel of pairs computes. C99, also C++.
 *
 *   weighted sum        clamp(((m0*(a - z0) + m1*(b - z1) + 2^(shift - 1)) >> shift) + zero_point)
 *   sum, difference     requantize(f0(a) + f1(b)), requantize(f0(a) - f1(b))
 *   squared difference  requantize((f0(a) - f1(b))^2)
 *   product             requantize((a - z0) * (b - z1))
 *   slope               a >= z0: requantize(a - z0), else below((a - z0) * (b - z1))
 *
 * f puts an operand on a scale that both have: f0(a) = round((a - z0) * 2^left_shift * m0 * 2^(shift0 - 31)), in fixed
 * point and in the rounding of `requant` (BW_DOUBLE or BW_SINGLE), shift0 <= 0. Weights are of 21 bits, shift is
 * weight_shift, 13..30. Operands and results are u8 or i16, all three of one type; of i16 every zero_point is 0.
 */
#ifndef BITWRIGHT_ELEMENTWISE_PAIR_REFERENCE_H
#define BITWRIGHT_ELEMENTWISE_PAIR_REFERENCE_H

#include "base/requantize.h"
#include "elementwise/block.h"

typedef enum { BW_WEIGHTED_SUM, BW_SUM, BW_DIFFERENCE, BW_SQUARED_DIFFERENCE, BW_PRODUCT, BW_SLOPE } bw_pair_operation;

typedef struct {
    bw_pair_operation operation;
    int32_t zero_point[2]; /* of the operands as they are stored */
    int32_t multiplier[2]; /* weights, or factors to the common scale */
    int32_t shift[2];      /* of these factors */
    int32_t left_shift;
    int32_t weight_shift;
    bw_requant requant, below; /* one channel; below differs in its factor alone */
} bw_pair;

static inline int32_t bw_on_common_scale(const bw_pair* p, int operand, int32_t stored) {
    const int32_t fine = (stored - p->zero_point[operand]) * ((int32_t)1 << p->left_shift);
    return p->requant.rounding == BW_SINGLE ? (int32_t)bw_single(fine, p->multiplier[operand], p->shift[operand])
                                            : bw_double(fine, p->multiplier[operand], p->shift[operand]);
}

static inline int32_t bw_pair_element(const bw_pair* p, int32_t a, int32_t b) {
    int32_t first, second;
    if (p->operation == BW_WEIGHTED_SUM) {
        const int32_t sum = p->multiplier[0] * (a - p->zero_point[0]) + p->multiplier[1] * (b - p->zero_point[1]);
        const int32_t rounded = (sum + ((int32_t)1 << (p->weight_shift - 1))) >> p->weight_shift;
        return bw_clamp(rounded + p->requant.zero_point, p->requant.qmin, p->requant.qmax);
    }
    if (p->operation == BW_PRODUCT)
        return bw_requantize(&p->requant, (a - p->zero_point[0]) * (b - p->zero_point[1]), 0);
    if (p->operation == BW_SLOPE) {
        const int32_t value = a - p->zero_point[0];
        return value >= 0 ? bw_requantize(&p->requant, value, 0)
                          : bw_requantize(&p->below, value * (b - p->zero_point[1]), 0);
    }
    first = bw_on_common_scale(p, 0, a);
    second = bw_on_common_scale(p, 1, b);
    if (p->operation == BW_SUM) return bw_requantize(&p->requant, first + second, 0);
    first -= second;
    return bw_requantize(&p->requant, p->operation == BW_DIFFERENCE ? first : first * first, 0);
}

#define BW_PAIR_REFERENCE(name, type)                                                                           \
    static inline void name(const bw_pair* p, const bw_block* k, const type* a, const type* b, type* y) {       \
        for (int64_t r = 0; r < k->rows; ++r)                                                                   \
            for (int64_t i = 0; i < k->length; ++i)                                                             \
                y[r * k->row_stride[0] + i * k->stride[0]] = (type)bw_pair_element(                             \
                    p, a[r * k->row_stride[1] + i * k->stride[1]], b[r * k->row_stride[2] + i * k->stride[2]]); \
    }
BW_PAIR_REFERENCE(bw_pair_reference_u8, uint8_t)
BW_PAIR_REFERENCE(bw_pair_reference_i16, int16_t)

#endif
