/* Pooling of 8-bit and 16-bit images: what every kernel of this family computes. C99, also C++.
 *
 *   y[n,oy,ox,c] = clamp(largest or mean of x[n,iy,ix,c], low, high)
 *   over the iy of [oy*stride_h - top, oy*stride_h - top + kh) in [0, H), and the ix likewise in [0, W)
 *
 *   x u8 or i16 [N,H,W,C]   a border in memory is no part of it: it is never read as data
 *   y [N,OH,OW,C]           of the same type; every window has one pixel of the image at least
 *
 * The mean is rounded to the nearest integer, ties away from zero, of the integers that are meant: stored - bias.
 *   two pixels 127 and 126 of i8 that stand for -1 and -2: bias 128, mean -1.5 -> -2, stored 126; of u8: 126.5 -> 127
 *
 * N batch, H height, W width, C channels, O of the output.
 */
#ifndef BITWRIGHT_POOLING_REFERENCE_H
#define BITWRIGHT_POOLING_REFERENCE_H

#include <stdint.h>

typedef struct {
    int32_t is_mean; /* the largest otherwise */
    int32_t is_wide; /* i16, not u8 */
    int32_t n, oh, ow, c, h, w;
    int32_t kh, kw, stride_h, stride_w, top, left;
    int64_t x_sn, x_sh, x_sw; /* elements between images, rows, columns */
    int64_t y_sn, y_sh, y_sw;
    int32_t bias, low, high; /* bounds as they are stored */
} bw_pool_shape;

/* What of [start, start + window) lies in [0, size): begins there, is returned. */
static inline int64_t bw_pool_inside(int64_t start, int64_t window, int64_t size, int64_t* begin) {
    const int64_t end = start + window;
    *begin = start < 0 ? 0 : start;
    return (end < size ? end : size) - *begin;
}

static inline int64_t bw_pool_mean(int64_t sum, int64_t count) {
    return sum < 0 ? -((count / 2 - sum) / count) : (count / 2 + sum) / count;
}

static inline void bw_pool_reference(const bw_pool_shape* s, const void* x, void* y) {
    for (int32_t n = 0; n < s->n; ++n)
        for (int32_t oy = 0; oy < s->oh; ++oy)
            for (int32_t ox = 0; ox < s->ow; ++ox) {
                int64_t iy, ix;
                const int64_t rows = bw_pool_inside((int64_t)oy * s->stride_h - s->top, s->kh, s->h, &iy);
                const int64_t cols = bw_pool_inside((int64_t)ox * s->stride_w - s->left, s->kw, s->w, &ix);
                for (int32_t c = 0; c < s->c; ++c) {
                    int64_t sum = 0, largest = INT16_MIN;
                    for (int64_t r = 0; r < rows; ++r)
                        for (int64_t q = 0; q < cols; ++q) {
                            const int64_t at = n * s->x_sn + (iy + r) * s->x_sh + (ix + q) * s->x_sw + c;
                            const int64_t value = s->is_wide ? ((const int16_t*)x)[at] : ((const uint8_t*)x)[at];
                            sum += value - s->bias;
                            largest = value > largest ? value : largest;
                        }
                    const int64_t pooled = s->is_mean ? bw_pool_mean(sum, rows * cols) + s->bias : largest;
                    const int64_t result = pooled < s->low ? s->low : pooled > s->high ? s->high : pooled;
                    const int64_t to = n * s->y_sn + oy * s->y_sh + ox * s->y_sw + c;
                    if (s->is_wide) {
                        ((int16_t*)y)[to] = (int16_t)result;
                    } else {
                        ((uint8_t*)y)[to] = (uint8_t)result;
                    }
                }
            }
}

#endif
