/* Bilinear resizing: each output pixel is the weighted mean of four. C99, also C++.
 *
 *   y[n,i,j,c] = round((a * (p - v) + b * v) * (q - w) + (a' * (p - v) + b' * v) * w)
 *   a, b     of x[n, rows.before[i], ..., c] and x[n, rows.after[i], ..., c], in column columns.before[j]
 *   a', b'   the same in column columns.after[j]
 *   v, w     rows.weight[i], columns.weight[j]
 *   p, q     2^bits of rows, of columns
 *
 *   BW_BILINEAR_U8, _I16    the sum is divided by p * q, ties upward or (away) away from zero; u8 stands for u8 - bias,
 *                           which is 0 for all other kinds
 *   BW_BILINEAR_F32         weights are fractions, p = q = 1; every product and every sum is rounded to float32, in the
 *                           order of bw_bilinear_float
 *   BW_BILINEAR_FLOAT_U8    the same of u8, rounded in the end, ties away from zero
 */
#ifndef BITWRIGHT_MOVEMENT_BILINEAR_REFERENCE_H
#define BITWRIGHT_MOVEMENT_BILINEAR_REFERENCE_H

#include <math.h>
#include <stdint.h>

typedef enum { BW_BILINEAR_U8, BW_BILINEAR_I16, BW_BILINEAR_F32, BW_BILINEAR_FLOAT_U8 } bw_bilinear_kind;

typedef struct {
    const int32_t *before, *after; /* pixels of x on both sides of each pixel of y */
    const int32_t* weight;         /* of `after`, of all 2^bits */
    const float* fraction;         /* the same for floats */
    int32_t bits;
} bw_bilinear_axis;

typedef struct {
    bw_bilinear_kind kind;
    int32_t n, oh, ow, c;                       /* the output */
    int32_t w;                                  /* of the input */
    int64_t x_sn, x_sh, x_sw, y_sn, y_sh, y_sw; /* elements between images, rows, columns */
    bw_bilinear_axis rows, columns;
    int32_t away, bias;
} bw_bilinear_shape;

static inline int64_t bw_bilinear_integer(const bw_bilinear_shape* s, int32_t i, int32_t j, const int64_t a[2],
                                          const int64_t b[2]) {
    const int32_t shift = s->rows.bits + s->columns.bits;
    const int64_t v = s->rows.weight[i], w = s->columns.weight[j], half = ((int64_t)1 << shift) >> 1;
    const int64_t p = ((int64_t)1 << s->rows.bits) - v, q = ((int64_t)1 << s->columns.bits) - w;
    const int64_t sum = (a[0] * p + b[0] * v) * q + (a[1] * p + b[1] * v) * w;
    return s->away && sum < 0 ? -((half - sum) >> shift) : (sum + half) >> shift;
}

static inline float bw_bilinear_float(const bw_bilinear_shape* s, int32_t i, int32_t j, const float a[2],
                                      const float b[2]) {
    const float v = s->rows.fraction[i], w = s->columns.fraction[j], p = 1.0f - v, q = 1.0f - w;
    float sum = a[0] * p * q;
    sum += b[0] * v * q;
    sum += a[1] * p * w;
    return sum + b[1] * v * w;
}

static inline void bw_bilinear_pixel(const bw_bilinear_shape* s, const void* x, void* y, int32_t n, int32_t i,
                                     int32_t j, int32_t c) {
    const int32_t rows[2] = {s->rows.before[i], s->rows.after[i]};
    const int32_t columns[2] = {s->columns.before[j], s->columns.after[j]};
    const int64_t to = n * s->y_sn + i * s->y_sh + j * s->y_sw + c;
    int64_t integers[2][2];
    float floats[2][2];
    for (int r = 0; r < 2; ++r)
        for (int k = 0; k < 2; ++k) {
            const int64_t from = n * s->x_sn + rows[r] * s->x_sh + columns[k] * s->x_sw + c;
            integers[r][k] = s->kind == BW_BILINEAR_I16   ? ((const int16_t*)x)[from]
                             : s->kind != BW_BILINEAR_F32 ? ((const uint8_t*)x)[from] - s->bias
                                                          : 0;
            floats[r][k] = s->kind == BW_BILINEAR_F32 ? ((const float*)x)[from] : (float)integers[r][k];
        }
    switch (s->kind) {
        case BW_BILINEAR_U8:
            ((uint8_t*)y)[to] = (uint8_t)(bw_bilinear_integer(s, i, j, integers[0], integers[1]) + s->bias);
            break;
        case BW_BILINEAR_I16:
            ((int16_t*)y)[to] = (int16_t)bw_bilinear_integer(s, i, j, integers[0], integers[1]);
            break;
        case BW_BILINEAR_F32:
            ((float*)y)[to] = bw_bilinear_float(s, i, j, floats[0], floats[1]);
            break;
        case BW_BILINEAR_FLOAT_U8:
            ((uint8_t*)y)[to] = (uint8_t)roundf(bw_bilinear_float(s, i, j, floats[0], floats[1]));
    }
}

/* Row i of image n. */
static inline void bw_bilinear_reference(const bw_bilinear_shape* s, const void* x, void* y, int32_t n, int32_t i) {
    for (int32_t j = 0; j < s->ow; ++j)
        for (int32_t c = 0; c < s->c; ++c) bw_bilinear_pixel(s, x, y, n, i, j, c);
}

#endif
