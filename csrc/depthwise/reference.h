/* Depthwise convolution of 8-bit images: what every kernel of this family computes. C99, also C++.
 *
 *   y[n,oy,ox,c] = requantize(bias[c] + sum over ky, kx of
 *                  x[n, oy*stride_h + ky*dilation_h, ox*stride_w + kx*dilation_w, c] * weights[ky,kx,c])
 *
 *   x u8[N,H,W,C]       element 0 is where the window of output (0,0) begins: a border of padding, if there is one,
 * holds the zero_point and lies in memory as part of the image weights i8[KH,KW,C] bias i32[C]         with the
 * zero_point's share taken off: bias - zero_point * sum of weights y u8[N,OH,OW,C]
 *
 * Sums wrap in 32 bits. N batch, H height, W width, C channels.
 */
#ifndef BITWRIGHT_DEPTHWISE_REFERENCE_H
#define BITWRIGHT_DEPTHWISE_REFERENCE_H

#include "base/requantize.h"

typedef struct {
    int32_t n, oh, ow, c; /* the output */
    int32_t kh, kw;       /* the window */
    int32_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t x_sn, x_sh, x_sw; /* elements between images, rows, columns */
    int64_t y_sn, y_sh, y_sw;
} bw_depthwise_shape;

/* Rows [first, last) of the output, counted through all images: row n * OH + oy. */
static inline void bw_depthwise_reference(const bw_depthwise_shape* s, const uint8_t* x, const int8_t* weights,
                                          const int32_t* bias, const bw_requant* requant, uint8_t* y, int32_t first,
                                          int32_t last) {
    for (int32_t row = first; row < last; ++row) {
        const int32_t n = row / s->oh, oy = row % s->oh;
        for (int32_t ox = 0; ox < s->ow; ++ox) {
            const uint8_t* window = x + n * s->x_sn + oy * s->stride_h * s->x_sh + ox * s->stride_w * s->x_sw;
            uint8_t* result = y + n * s->y_sn + oy * s->y_sh + ox * s->y_sw;
            for (int32_t c = 0; c < s->c; ++c) {
                uint32_t sum = (uint32_t)bias[c];
                for (int32_t ky = 0; ky < s->kh; ++ky)
                    for (int32_t kx = 0; kx < s->kw; ++kx)
                        sum += (uint32_t)(window[ky * s->dilation_h * s->x_sh + kx * s->dilation_w * s->x_sw + c] *
                                          weights[((int64_t)ky * s->kw + kx) * s->c + c]);
                result[c] = (uint8_t)bw_requantize(requant, (int32_t)sum, c);
            }
        }
    }
}

#endif
