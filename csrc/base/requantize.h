/* Requantization: an accumulator becomes a narrow integer. C99, also C++; the exported C is this file unchanged.
 *
 *   q = clamp(wrap32(round(accumulator * real_multiplier) + zero_point), qmin, qmax)
 *
 * Bit-exact with bitwright/numerics/requantize.py, where each rounding is told and sourced. Channel c uses entry c of
 * the arrays of its rounding:
 *
 *   BW_FP32_EVEN    scale        float32 product, ties to even; no wrap
 *   BW_DOUBLE       multiplier, shift  fixed point, ties upward, then away from zero; a left shift wraps
 *   BW_SINGLE       multiplier, shift  fixed point, ties upward, one rounding
 *   BW_INT64        multiplier, shift  48-bit accumulators, the multiplier cut to 15 bits
 *   BW_FP64_AWAY    scale64      float64 product, ties away from zero; INT32_MIN for all that leaves int32
 *
 *   double: (1000, 1 << 30, -3) -> 63, (-1000, ...) -> -63;  single: 63, -62;  fp32_even: (1000, 0.0625) -> 62
 */
#ifndef BITWRIGHT_BASE_REQUANTIZE_H
#define BITWRIGHT_BASE_REQUANTIZE_H

#include <math.h>
#include <stdint.h>

typedef enum { BW_FP32_EVEN, BW_DOUBLE, BW_SINGLE, BW_INT64, BW_FP64_AWAY } bw_rounding;

typedef struct {
    bw_rounding rounding;
    int32_t zero_point, qmin, qmax; /* of the stored integers */
    const float* scale;
    const int32_t *multiplier, *shift; /* 2^30 <= multiplier < 2^31 or 0; shift in [-31, 30] */
    const double* scale64;
} bw_requant;

static inline int32_t bw_wrap32(int64_t x) { return (int32_t)(uint32_t)(uint64_t)x; }

static inline int32_t bw_double(int32_t accumulator, int32_t multiplier, int32_t shift) {
    const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int32_t shifted = (int32_t)((uint32_t)accumulator << left);
    const int64_t high = ((int64_t)shifted * multiplier + (1 << 30)) >> 31; /* multiplier >= 0: never saturates */
    const int64_t mask = ((int64_t)1 << right) - 1;
    return (int32_t)((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)));
}

static inline int64_t bw_single(int32_t accumulator, int32_t multiplier, int32_t shift) {
    return ((int64_t)accumulator * multiplier + ((int64_t)1 << (30 - shift))) >> (31 - shift);
}

static inline int32_t bw_int64(int64_t accumulator, int32_t multiplier, int32_t shift) {
    const int64_t reduced = multiplier < 0x7fff0000 ? (multiplier + (1 << 15)) >> 16 : 0x7fff;
    return bw_wrap32((accumulator * reduced + ((int64_t)1 << (14 - shift))) >> (15 - shift));
}

static inline int32_t bw_fp64_away(int32_t accumulator, double scale) {
    const double rounded = round(accumulator * scale);
    return rounded >= -2147483648.0 && rounded < 2147483648.0 ? (int32_t)rounded : INT32_MIN;
}

static inline int32_t bw_clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

static inline int32_t bw_requantize(const bw_requant* r, int64_t accumulator, int channel) {
    int64_t rounded = 0;
    switch (r->rounding) {
        case BW_FP32_EVEN: {
            float real = (float)(int32_t)accumulator * r->scale[channel];
            const float low = (float)(r->qmin - r->zero_point), high = (float)(r->qmax - r->zero_point);
            real = real < low ? low : real > high ? high : real; /* bounds are integers: as if after rounding */
            return (int32_t)nearbyintf(real) + r->zero_point;
        }
        case BW_DOUBLE:
            rounded = bw_double((int32_t)accumulator, r->multiplier[channel], r->shift[channel]);
            break;
        case BW_SINGLE:
            rounded = bw_single((int32_t)accumulator, r->multiplier[channel], r->shift[channel]);
            break;
        case BW_INT64:
            rounded = bw_int64(accumulator, r->multiplier[channel], r->shift[channel]);
            break;
        case BW_FP64_AWAY:
            rounded = bw_fp64_away((int32_t)accumulator, r->scale64[channel]);
            break;
    }
    return bw_clamp(bw_wrap32(rounded + r->zero_point), r->qmin, r->qmax);
}

#endif
