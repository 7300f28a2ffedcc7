/* Convolution of 16-bit images by 8-bit weights: what every kernel of this family computes. C99, also C++.
 *
 *   y[n,oy,ox,o] = requantize(bias[o] + sum over ky, kx, i of
 *                  x[n, oy*stride_h + ky*dilation_h, ox*stride_w + kx*dilation_w, g*I + i] * weights[o,ky,kx,i])
 *
 *   x i16[N,H,W,G*I]   element 0 is where the window of output (0,0) begins: a border of padding, if there is one,
 * holds 0 and lies in memory as part of the image weights i8[O,KH,KW,I] bias i64[O], in [-2^46, 2^46) y i16[N,OH,OW,O],
 * o in group g = o / (O / G)
 *
 * Sums have 64 bits; all roundings but BW_INT64 take the lowest 32 of them. A fully connected layer is the case of a
 * 1 x 1 window, a depthwise convolution that of I = 1. The shape is that of conv/reference.h, repeats being 1.
 *
 *   600 products of -32768 * -127 are 2496921600: 64 bits keep it, of 32 remain -1798045696
 */
#ifndef BITWRIGHT_CONV16_REFERENCE_H
#define BITWRIGHT_CONV16_REFERENCE_H

#include "conv/reference.h"

static inline void bw_conv16_reference(const bw_conv_shape* s, const int16_t* x, const int8_t* weights,
                                       const int64_t* bias, const bw_requant* requant, int16_t* y) {
    const int32_t group_size = s->o / s->groups;
    for (int32_t n = 0; n < s->n; ++n)
        for (int32_t oy = 0; oy < s->oh; ++oy)
            for (int32_t ox = 0; ox < s->ow; ++ox)
                for (int32_t o = 0; o < s->o; ++o) {
                    int64_t sum = bias[o];
                    for (int32_t ky = 0; ky < s->kh; ++ky)
                        for (int32_t kx = 0; kx < s->kw; ++kx) {
                            const int16_t* pixel = x + n * s->x_sn + (oy * s->stride_h + ky * s->dilation_h) * s->x_sh +
                                                   (ox * s->stride_w + kx * s->dilation_w) * s->x_sw +
                                                   o / group_size * s->i;
                            const int8_t* w = weights + (((int64_t)o * s->kh + ky) * s->kw + kx) * s->i;
                            for (int32_t i = 0; i < s->i; ++i) sum += (int32_t)pixel[i] * w[i];
                        }
                    y[n * s->y_sn + oy * s->y_sh + ox * s->y_sw + o] = (int16_t)bw_requantize(requant, sum, o);
                }
}

#endif
