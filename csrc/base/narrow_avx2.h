// Sums to bytes, 32 at a time. Included by AVX2 kernels alone.
#pragma once

#include <immintrin.h>

#include "base/requantize_avx2.h"

namespace bitwright {
namespace {

// fp32_even where every scale is below 1, so that no product leaves 32 bits: sums to bytes, 4 vectors of 8.
struct Narrow {
    __m256i zero_point, qmin, qmax;

    explicit Narrow(const bw_requant& r)
        : zero_point(_mm256_set1_epi16(static_cast<short>(r.zero_point))),
          qmin(_mm256_set1_epi8(static_cast<char>(r.qmin))),
          qmax(_mm256_set1_epi8(static_cast<char>(r.qmax))) {}

    static __m256i round(__m256i sums, __m256 scale) {
        return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale));
    }
    // Rounded sums, still without zero_point. Saturating to 16 bits first changes nothing: what saturates there is far
    // outside [qmin, qmax].
    __m256i bytes(__m256i a, __m256i b, __m256i c, __m256i d) const {
        const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point);
        const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point);
        const __m256i clamped = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(ab, cd), qmin), qmax);
        return _mm256_permutevar8x32_epi32(clamped, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
};

}  // namespace
}  // namespace bitwright
