/* Arithmetic of reals and of plain integers, as numpy has it: what every kernel of it computes. C99, also C++.
 *
 *   pair   clamp(f(a, b), low, high)       f32, i16, i32, i64 (integers wrap); u8 for the smaller and the larger alone
 *   unary  f(x)                            f32
 *
 * Clamping keeps NaN; of two zeros it takes the bound: clamp(-0.0, 0.0, 6.0) is 0.0.
 */
#ifndef BITWRIGHT_ELEMENTWISE_PLAIN_REFERENCE_H
#define BITWRIGHT_ELEMENTWISE_PLAIN_REFERENCE_H

#include <math.h>

#include "elementwise/block.h"

typedef enum {
    BW_ADD,
    BW_SUBTRACT,
    BW_MULTIPLY,
    BW_DIVIDE,            /* f32 alone */
    BW_SMALLER,           /* a < b ? a : b */
    BW_LARGER,            /* a > b ? a : b */
    BW_SQUARED_REMAINDER, /* (a - b)^2 */
    BW_SLOPED             /* a >= 0 ? a : a * b; f32 alone */
} bw_plain_operation;

typedef struct {
    bw_plain_operation operation;
    float low, high;     /* of reals; infinite where there is no bound */
    int64_t least, most; /* of integers; those of the type where there is no bound */
} bw_plain;

static inline float bw_plain_clamp(float x, float low, float high) {
    x = x > low || x != x ? x : low;
    return x < high || x != x ? x : high;
}

static inline float bw_plain_f32(const bw_plain* p, bw_plain_operation operation, float a, float b) {
    float made = 0;
    switch (operation) {
        case BW_ADD:
            made = a + b;
            break;
        case BW_SUBTRACT:
            made = a - b;
            break;
        case BW_MULTIPLY:
            made = a * b;
            break;
        case BW_DIVIDE:
            made = a / b;
            break;
        case BW_SMALLER:
            made = a < b ? a : b;
            break;
        case BW_LARGER:
            made = a > b ? a : b;
            break;
        case BW_SQUARED_REMAINDER:
            made = (a - b) * (a - b);
            break;
        case BW_SLOPED:
            made = a >= 0 ? a : a * b;
            break;
    }
    return bw_plain_clamp(made, p->low, p->high);
}

/* Sums and products are taken as unsigned 64-bit integers, of which the type keeps its bits. */
#define BW_PLAIN_INTEGERS(name, type)                                                          \
    static inline type name(const bw_plain* p, bw_plain_operation operation, type a, type b) { \
        const uint64_t u = (uint64_t)a, v = (uint64_t)b;                                       \
        type made = 0;                                                                         \
        switch (operation) {                                                                   \
            case BW_ADD:                                                                       \
                made = (type)(u + v);                                                          \
                break;                                                                         \
            case BW_SUBTRACT:                                                                  \
                made = (type)(u - v);                                                          \
                break;                                                                         \
            case BW_MULTIPLY:                                                                  \
                made = (type)(u * v);                                                          \
                break;                                                                         \
            case BW_SMALLER:                                                                   \
                return a < b ? a : b;                                                          \
            case BW_LARGER:                                                                    \
                return a > b ? a : b;                                                          \
            case BW_SQUARED_REMAINDER:                                                         \
                made = (type)((u - v) * (u - v));                                              \
                break;                                                                         \
            case BW_DIVIDE:                                                                    \
            case BW_SLOPED:                                                                    \
                break;                                                                         \
        }                                                                                      \
        made = made < (type)p->least ? (type)p->least : made;                                  \
        return made > (type)p->most ? (type)p->most : made;                                    \
    }
BW_PLAIN_INTEGERS(bw_plain_u8, uint8_t)
BW_PLAIN_INTEGERS(bw_plain_i16, int16_t)
BW_PLAIN_INTEGERS(bw_plain_i32, int32_t)
BW_PLAIN_INTEGERS(bw_plain_i64, int64_t)

typedef enum {
    BW_CLAMP,      /* between low and high */
    BW_LEAKY,      /* x > 0 ? x : x * low */
    BW_HARD_SWISH, /* x * min(6, max(0, x + 3)) / 6 */
    BW_ABSOLUTE,
    BW_NEGATIVE,
    BW_SQUARE,
    BW_ROOT,
    BW_INVERSE_ROOT, /* 1 / sqrt(x) */
    BW_FLOOR,
    BW_CEILING,
    BW_NEAREST /* ties to even */
} bw_unary_operation;

typedef struct {
    bw_unary_operation operation;
    float low, high;
} bw_unary;

static inline float bw_unary_f32(const bw_unary* p, bw_unary_operation operation, float x) {
    float gate;
    switch (operation) {
        case BW_CLAMP:
            return bw_plain_clamp(x, p->low, p->high);
        case BW_LEAKY:
            return x > 0 ? x : x * p->low;
        case BW_HARD_SWISH:
            gate = x + 3.0f;
            gate = 0.0f > gate ? 0.0f : gate;
            return x * (6.0f < gate ? 6.0f : gate) / 6.0f;
        case BW_ABSOLUTE:
            return fabsf(x);
        case BW_NEGATIVE:
            return -x;
        case BW_SQUARE:
            return x * x;
        case BW_ROOT:
            return sqrtf(x);
        case BW_INVERSE_ROOT:
            return 1.0f / sqrtf(x);
        case BW_FLOOR:
            return floorf(x);
        case BW_CEILING:
            return ceilf(x);
        case BW_NEAREST:
            return nearbyintf(x);
    }
    return x;
}

#endif
