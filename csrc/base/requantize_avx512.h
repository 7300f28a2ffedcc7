// Requantization of 16 accumulators at a time, bit-exact with base/requantize.h. Included by AVX-512 kernels alone.
#pragma once

#include <immintrin.h>

#include "base/requantize.h"

namespace bitwright {
namespace {

// round(accumulator * scale) + zero_point, ties to even, clamped: real products are clamped before they are rounded.
inline __m512i requantize_fp32_even(__m512i accumulator, __m512 scale, __m512 low, __m512 high, __m512i zero_point) {
    const __m512 real = _mm512_mul_ps(_mm512_cvtepi32_ps(accumulator), scale);
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(real, low), high));
    return _mm512_add_epi32(rounded, zero_point);
}

// (high half of 2 * a * m, rounded, ties upward) of 16 lanes: floor((a * m + 2^30) / 2^31).
inline __m512i high_product(__m512i a, __m512i m) {
    const __m512i half = _mm512_set1_epi64(1 << 30);
    const __m512i even = _mm512_srai_epi64(_mm512_add_epi64(_mm512_mul_epi32(a, m), half), 31);
    const __m512i odd_product = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(m, 32));
    const __m512i odd = _mm512_srai_epi64(_mm512_add_epi64(odd_product, half), 31);
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

// x / 2^exponent, ties away from zero.
inline __m512i divide_by_power_of_two(__m512i x, __m512i exponent) {
    const __m512i one = _mm512_set1_epi32(1);
    const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(one, exponent), one);
    const __m512i threshold = _mm512_add_epi32(_mm512_srli_epi32(mask, 1), _mm512_srli_epi32(x, 31));
    const __mmask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, mask), threshold);
    const __m512i floor = _mm512_srav_epi32(x, exponent);
    return _mm512_mask_add_epi32(floor, up, floor, one);
}

inline __m512i requantize_double(__m512i accumulator, __m512i multiplier, __m512i shift) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i shifted = _mm512_sllv_epi32(accumulator, _mm512_max_epi32(shift, zero));
    const __m512i right = _mm512_max_epi32(_mm512_sub_epi32(zero, shift), zero);
    return divide_by_power_of_two(high_product(shifted, multiplier), right);
}

// (a * m + 2^(count - 1)) >> count of the even lanes of a and m, in 64 bits; count in [1, 63].
inline __m512i round_even_product(__m512i a, __m512i m, __m512i count) {
    const __m512i one = _mm512_set1_epi64(1);
    const __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(count, one));
    return _mm512_srav_epi64(_mm512_add_epi64(_mm512_mul_epi32(a, m), half), count);
}

// The same of all lanes, of which 32 bits are kept.
inline __m512i round_product(__m512i accumulator, __m512i multiplier, __m512i right) {
    const __m512i even_right = _mm512_and_si512(right, _mm512_set1_epi64(0xffffffff));
    const __m512i even = round_even_product(accumulator, multiplier, even_right);
    const __m512i odd = round_even_product(_mm512_srli_epi64(accumulator, 32), _mm512_srli_epi64(multiplier, 32),
                                           _mm512_srli_epi64(right, 32));
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}

inline __m512i requantize_single(__m512i accumulator, __m512i multiplier, __m512i shift) {
    return round_product(accumulator, multiplier, _mm512_sub_epi32(_mm512_set1_epi32(31), shift));
}

// As base/requantize.h has it for wider accumulators, of 32-bit ones.
inline __m512i requantize_int64(__m512i accumulator, __m512i multiplier, __m512i shift) {
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(multiplier, _mm512_set1_epi32(1 << 15)), 16);
    const __m512i reduced = _mm512_min_epi32(rounded, _mm512_set1_epi32(0x7fff));
    return round_product(accumulator, reduced, _mm512_sub_epi32(_mm512_set1_epi32(15), shift));
}

// Lanes of 16 channels from `channel` on; `count` of them are there, the others repeat none of the table.
inline __m512i requantize_channels(const bw_requant& r, __m512i accumulator, int channel, __mmask16 lanes) {
    const __m512i zero_point = _mm512_set1_epi32(r.zero_point);
    if (r.rounding == BW_FP32_EVEN) {
        const __m512 low = _mm512_set1_ps(static_cast<float>(r.qmin - r.zero_point));
        const __m512 high = _mm512_set1_ps(static_cast<float>(r.qmax - r.zero_point));
        return requantize_fp32_even(accumulator, _mm512_maskz_loadu_ps(lanes, r.scale + channel), low, high,
                                    zero_point);
    }
    __m512i rounded;
    if (r.rounding == BW_FP64_AWAY) {
        const __m512d limit = _mm512_set1_pd(2147483648.0), half = _mm512_set1_pd(0.5);
        const auto half_of = [&](__m256i a, __m512d scale) {
            // Away from zero: truncate(|x| + 0.5) is wrong only where x + 0.5 rounds up, so the fraction decides.
            const __m512d real = _mm512_mul_pd(_mm512_cvtepi32_pd(a), scale);
            const __m512d size = _mm512_abs_pd(real);
            const __m512d whole = _mm512_roundscale_pd(size, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
            const __mmask8 up = _mm512_cmp_pd_mask(_mm512_sub_pd(size, whole), half, _CMP_GE_OQ);
            const __m512d away = _mm512_mask_add_pd(whole, up, whole, _mm512_set1_pd(1.0));
            const __mmask8 negative = _mm512_cmp_pd_mask(real, _mm512_setzero_pd(), _CMP_LT_OQ);
            const __m512d rounded_real = _mm512_mask_sub_pd(away, negative, _mm512_setzero_pd(), away);
            const __mmask8 out = _mm512_cmp_pd_mask(away, limit, _CMP_GE_OQ);
            return _mm256_mask_mov_epi32(_mm512_cvttpd_epi32(rounded_real), out, _mm256_set1_epi32(INT32_MIN));
        };
        const __m512d first = _mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), r.scale64 + channel);
        const __mmask8 upper = static_cast<__mmask8>(lanes >> 8);
        const __m512d second = upper ? _mm512_maskz_loadu_pd(upper, r.scale64 + channel + 8) : _mm512_setzero_pd();
        rounded = _mm512_inserti64x4(_mm512_castsi256_si512(half_of(_mm512_castsi512_si256(accumulator), first)),
                                     half_of(_mm512_extracti64x4_epi64(accumulator, 1), second), 1);
    } else {
        const __m512i multiplier = _mm512_maskz_loadu_epi32(lanes, r.multiplier + channel);
        const __m512i shift = _mm512_maskz_loadu_epi32(lanes, r.shift + channel);
        rounded = r.rounding == BW_SINGLE  ? requantize_single(accumulator, multiplier, shift)
                  : r.rounding == BW_INT64 ? requantize_int64(accumulator, multiplier, shift)
                                           : requantize_double(accumulator, multiplier, shift);
    }
    const __m512i moved = _mm512_add_epi32(rounded, zero_point);
    return _mm512_min_epi32(_mm512_max_epi32(moved, _mm512_set1_epi32(r.qmin)), _mm512_set1_epi32(r.qmax));
}

}  // namespace
}  // namespace bitwright
