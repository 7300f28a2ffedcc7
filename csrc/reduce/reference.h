/* Reductions of 8-bit and 16-bit tensors: what every kernel of this family computes. C99, also C++.
 *
 *   y[o,c] = largest, smallest, or finished sum, over r, of x[o,r,c]
 *
 *   x u8 or i16   o counts the kept positions and r the reduced ones, in dimensions of any stride; c lies contiguous
 *   y [O,C]       of the same type, without gaps
 *
 * A sum is finished after `offset` is added (it takes off the zero_points), in 32 bits, which wrap:
 *   BW_REDUCE_SUM         requantize(sum)
 *   BW_REDUCE_SUM_AFFINE  clamp(round_half_to_even(float32(sum) * scale + shift), low, high) + bias, all in float32,
 *                         the product rounded before shift is added
 *
 * O kept positions, C channels.
 */
#ifndef BITWRIGHT_REDUCE_REFERENCE_H
#define BITWRIGHT_REDUCE_REFERENCE_H

#include "base/requantize.h"

typedef enum { BW_REDUCE_MAX, BW_REDUCE_MIN, BW_REDUCE_SUM, BW_REDUCE_SUM_AFFINE } bw_reduction;

typedef struct {
    int32_t rank;
    int64_t size[6], stride[6]; /* strides in elements */
} bw_positions;

typedef struct {
    float scale, shift;
    int32_t low, high; /* before bias is added */
    int32_t bias;      /* what stored integers are above those they stand for */
} bw_affine;

typedef struct {
    bw_reduction kind;
    int32_t is_wide; /* i16, not u8 */
    bw_positions kept, reduced;
    int64_t c;
    int32_t offset;
    bw_requant requant;
    bw_affine affine;
} bw_reduce_shape;

static inline int64_t bw_count(const bw_positions* p) {
    int64_t count = 1;
    for (int32_t i = 0; i < p->rank; ++i) count *= p->size[i];
    return count;
}

/* Where position `index` lies, the last dimension running fastest. */
static inline int64_t bw_place(const bw_positions* p, int64_t index) {
    int64_t place = 0;
    for (int32_t i = p->rank - 1; i >= 0; --i) {
        place += index % p->size[i] * p->stride[i];
        index /= p->size[i];
    }
    return place;
}

static inline int32_t bw_finish_affine(const bw_affine* a, int32_t sum) {
    const float product = (float)sum * a->scale, low = (float)a->low, high = (float)a->high;
    const float real = product + a->shift;
    const float clamped = real < low ? low : real > high ? high : real; /* bounds are integers: as if after rounding */
    return (int32_t)nearbyintf(clamped) + a->bias;
}

static inline int32_t bw_finish_sum(const bw_reduce_shape* s, uint32_t sum) {
    const int32_t moved = (int32_t)(sum + (uint32_t)s->offset);
    return s->kind == BW_REDUCE_SUM ? bw_requantize(&s->requant, moved, 0) : bw_finish_affine(&s->affine, moved);
}

static inline void bw_reduce_reference(const bw_reduce_shape* s, const void* x, void* y) {
    const int64_t kept = bw_count(&s->kept), reduced = bw_count(&s->reduced);
    for (int64_t o = 0; o < kept; ++o)
        for (int64_t c = 0; c < s->c; ++c) {
            uint32_t sum = 0;
            int32_t largest = INT32_MIN, smallest = INT32_MAX;
            for (int64_t r = 0; r < reduced; ++r) {
                const int64_t at = bw_place(&s->kept, o) + bw_place(&s->reduced, r) + c;
                const int32_t value = s->is_wide ? ((const int16_t*)x)[at] : ((const uint8_t*)x)[at];
                sum += (uint32_t)value;
                largest = value > largest ? value : largest;
                smallest = value < smallest ? value : smallest;
            }
            const int32_t result = s->kind == BW_REDUCE_MAX   ? largest
                                   : s->kind == BW_REDUCE_MIN ? smallest
                                                              : bw_finish_sum(s, sum);
            if (s->is_wide) {
                ((int16_t*)y)[o * s->c + c] = (int16_t)result;
            } else {
                ((uint8_t*)y)[o * s->c + c] = (uint8_t)result;
            }
        }
}

#endif
