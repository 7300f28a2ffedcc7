/* Convolution of 8-bit images: what every kernel of this family computes. C99, also C++.
 *
 *   y[n,oy,ox,o] = requantize(bias[o] + sum over ky, kx, i of
 *                  x[n, oy*stride_h + ky*dilation_h, ox*stride_w + kx*dilation_w, g*I + i] * weights[o,ky,kx,i])
 *
 *   x u8[N,H,W,G*I]   element 0 is where the window of output (0,0) begins: a border of padding, if there is one, holds
 *                     the zero_point and lies in memory as part of the image
 *   weights i8[O,R,KH,KW,I]: the window is read R times, for weights that 8 bits do not hold: they are the sum of R.
 *   bias i32[O] with the zero_point's share taken off: bias - zero_point * sum of weights
 *   y u8[N,OH,OW,O], o in group g = o / (O / G)
 *
 * Sums wrap in 32 bits. A fully connected layer is the case of a 1 x 1 window. N batch, O output channels, I input
 * channels of a group, G groups.
 */
#ifndef BITWRIGHT_CONV_REFERENCE_H
#define BITWRIGHT_CONV_REFERENCE_H

#include "base/requantize.h"

typedef struct {
    int32_t n, oh, ow, o;               /* the output */
    int32_t repeats, kh, kw, i, groups; /* how often the window is read; the window; input channels of one group */
    int32_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t x_sn, x_sh, x_sw; /* elements between images, rows, columns */
    int64_t y_sn, y_sh, y_sw;
} bw_conv_shape;

static inline void bw_conv_reference(const bw_conv_shape* s, const uint8_t* x, const int8_t* weights,
                                     const int32_t* bias, const bw_requant* requant, uint8_t* y) {
    const int32_t group_size = s->o / s->groups;
    for (int32_t n = 0; n < s->n; ++n)
        for (int32_t oy = 0; oy < s->oh; ++oy)
            for (int32_t ox = 0; ox < s->ow; ++ox)
                for (int32_t o = 0; o < s->o; ++o) {
                    uint32_t sum = (uint32_t)bias[o];
                    for (int32_t r = 0; r < s->repeats * s->kh; ++r)
                        for (int32_t kx = 0; kx < s->kw; ++kx) {
                            const uint8_t* pixel =
                                x + n * s->x_sn + (oy * s->stride_h + r % s->kh * s->dilation_h) * s->x_sh +
                                (ox * s->stride_w + kx * s->dilation_w) * s->x_sw + o / group_size * s->i;
                            const int8_t* w = weights + (((int64_t)o * s->repeats * s->kh + r) * s->kw + kx) * s->i;
                            for (int32_t i = 0; i < s->i; ++i) sum += (uint32_t)(pixel[i] * w[i]);
                        }
                    y[n * s->y_sn + oy * s->y_sh + ox * s->y_sw + o] = (uint8_t)bw_requantize(requant, (int32_t)sum, o);
                }
}

#endif
