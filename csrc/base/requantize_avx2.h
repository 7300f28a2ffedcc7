// Requantization of 8 accumulators at a time, bit-exact with base/requantize.h. Included by AVX2 kernels alone.
#pragma once

#include <immintrin.h>

#include "base/requantize.h"

namespace bitwright {
namespace {

// round(accumulator * scale) + zero_point, ties to even, clamped: real products are clamped before they are rounded.
inline __m256i requantize_fp32_even(__m256i accumulator, __m256 scale, __m256 low, __m256 high, __m256i zero_point) {
    const __m256 real = _mm256_mul_ps(_mm256_cvtepi32_ps(accumulator), scale);
    const __m256i rounded = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(real, low), high));
    return _mm256_add_epi32(rounded, zero_point);
}

// AVX2 has no 64-bit arithmetic shift: x + 2^63 is not negative, and gives 2^(63 - count) too much.
inline __m256i shift_right_64(__m256i x, __m256i count) {
    const __m256i lowest = _mm256_set1_epi64x(INT64_MIN);
    return _mm256_sub_epi64(_mm256_srlv_epi64(_mm256_xor_si256(x, lowest), count), _mm256_srlv_epi64(lowest, count));
}

// The low 32 bits of 64-bit results of lanes 0, 2, 4, 6 and of 1, 3, 5, 7, side by side.
inline __m256i interleave(__m256i even, __m256i odd) {
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}

// (high half of 2 * a * m, rounded, ties upward) of 8 lanes: floor((a * m + 2^30) / 2^31), of which 32 bits are kept.
inline __m256i high_product(__m256i a, __m256i m) {
    const __m256i half = _mm256_set1_epi64x(1 << 30);
    const __m256i odd_product = _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(m, 32));
    return interleave(_mm256_srli_epi64(_mm256_add_epi64(_mm256_mul_epi32(a, m), half), 31),
                      _mm256_srli_epi64(_mm256_add_epi64(odd_product, half), 31));
}

// x / 2^exponent, ties away from zero.
inline __m256i divide_by_power_of_two(__m256i x, __m256i exponent) {
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, exponent), one);
    const __m256i threshold = _mm256_add_epi32(_mm256_srli_epi32(mask, 1), _mm256_srli_epi32(x, 31));
    const __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(x, mask), threshold);  // -1 where it holds
    return _mm256_sub_epi32(_mm256_srav_epi32(x, exponent), up);
}

inline __m256i requantize_double(__m256i accumulator, __m256i multiplier, __m256i shift) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i shifted = _mm256_sllv_epi32(accumulator, _mm256_max_epi32(shift, zero));
    const __m256i right = _mm256_max_epi32(_mm256_sub_epi32(zero, shift), zero);
    return divide_by_power_of_two(high_product(shifted, multiplier), right);
}

// (a * m + 2^(count - 1)) >> count of the even lanes of a and m, in 64 bits; count in [1, 63].
inline __m256i round_even_product(__m256i a, __m256i m, __m256i count) {
    const __m256i one = _mm256_set1_epi64x(1);
    const __m256i half = _mm256_sllv_epi64(one, _mm256_sub_epi64(count, one));
    return shift_right_64(_mm256_add_epi64(_mm256_mul_epi32(a, m), half), count);
}

// The same of all lanes, of which 32 bits are kept.
inline __m256i round_product(__m256i accumulator, __m256i multiplier, __m256i right) {
    const __m256i even_right = _mm256_and_si256(right, _mm256_set1_epi64x(0xffffffff));
    const __m256i even = round_even_product(accumulator, multiplier, even_right);
    const __m256i odd = round_even_product(_mm256_srli_epi64(accumulator, 32), _mm256_srli_epi64(multiplier, 32),
                                           _mm256_srli_epi64(right, 32));
    return interleave(even, odd);
}

inline __m256i requantize_single(__m256i accumulator, __m256i multiplier, __m256i shift) {
    return round_product(accumulator, multiplier, _mm256_sub_epi32(_mm256_set1_epi32(31), shift));
}

// As base/requantize.h has it for wider accumulators, of 32-bit ones.
inline __m256i requantize_int64(__m256i accumulator, __m256i multiplier, __m256i shift) {
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(multiplier, _mm256_set1_epi32(1 << 15)), 16);
    const __m256i reduced = _mm256_min_epi32(rounded, _mm256_set1_epi32(0x7fff));
    return round_product(accumulator, reduced, _mm256_sub_epi32(_mm256_set1_epi32(15), shift));
}

// Truncate(|x| + 0.5) is wrong only where x + 0.5 rounds up, so the fraction decides. What leaves int32 is INT32_MIN:
// the conversion's own answer.
inline __m128i requantize_fp64_away(__m128i accumulator, __m256d scale) {
    const __m256d sign = _mm256_set1_pd(-0.0);
    const __m256d real = _mm256_mul_pd(_mm256_cvtepi32_pd(accumulator), scale), size = _mm256_andnot_pd(sign, real);
    const __m256d whole = _mm256_round_pd(size, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256d up = _mm256_cmp_pd(_mm256_sub_pd(size, whole), _mm256_set1_pd(0.5), _CMP_GE_OQ);
    const __m256d away = _mm256_add_pd(whole, _mm256_and_pd(up, _mm256_set1_pd(1.0)));
    return _mm256_cvttpd_epi32(_mm256_or_pd(away, _mm256_and_pd(real, sign)));
}

// -1 in the first `count` of 8 lanes, 0 in the others.
inline __m256i first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// 8 channels from `channel` on; the table is read in those of `lanes` (-1) alone, the others are of no meaning.
inline __m256i requantize_channels(const bw_requant& r, __m256i accumulator, int channel, __m256i lanes) {
    const __m256i zero_point = _mm256_set1_epi32(r.zero_point);
    if (r.rounding == BW_FP32_EVEN) {
        const __m256 low = _mm256_set1_ps(static_cast<float>(r.qmin - r.zero_point));
        const __m256 high = _mm256_set1_ps(static_cast<float>(r.qmax - r.zero_point));
        return requantize_fp32_even(accumulator, _mm256_maskload_ps(r.scale + channel, lanes), low, high, zero_point);
    }
    __m256i rounded;
    if (r.rounding == BW_FP64_AWAY) {
        const auto half_of = [&](__m128i a, __m128i there, const double* scale) {
            return requantize_fp64_away(a, _mm256_maskload_pd(scale, _mm256_cvtepi32_epi64(there)));
        };
        const double* const scale = r.scale64 + channel;
        rounded = _mm256_setr_m128i(
            half_of(_mm256_castsi256_si128(accumulator), _mm256_castsi256_si128(lanes), scale),
            half_of(_mm256_extracti128_si256(accumulator, 1), _mm256_extracti128_si256(lanes, 1), scale + 4));
    } else {
        const __m256i multiplier = _mm256_maskload_epi32(r.multiplier + channel, lanes);
        const __m256i shift = _mm256_maskload_epi32(r.shift + channel, lanes);
        rounded = r.rounding == BW_SINGLE  ? requantize_single(accumulator, multiplier, shift)
                  : r.rounding == BW_INT64 ? requantize_int64(accumulator, multiplier, shift)
                                           : requantize_double(accumulator, multiplier, shift);
    }
    const __m256i moved = _mm256_add_epi32(rounded, zero_point);
    return _mm256_min_epi32(_mm256_max_epi32(moved, _mm256_set1_epi32(r.qmin)), _mm256_set1_epi32(r.qmax));
}

}  // namespace
}  // namespace bitwright
