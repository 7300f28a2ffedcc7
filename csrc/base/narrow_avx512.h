// Sums to bytes, 64 at a time. Included by AVX-512 kernels alone.
#pragma once

#include <immintrin.h>

#include "base/requantize_avx512.h"

namespace bitwright {
namespace {

// fp32_even where every scale is below 1, so that no product leaves 32 bits: sums to bytes, 4 vectors of 16.
struct Narrow {
    __m512i zero_point, qmin, qmax;
    bool is_plain;  // saturation is all the clamping there is, and nothing is added

    explicit Narrow(const bw_requant& r)
        : zero_point(_mm512_set1_epi16(static_cast<short>(r.zero_point))),
          qmin(_mm512_set1_epi8(static_cast<char>(r.qmin))),
          qmax(_mm512_set1_epi8(static_cast<char>(r.qmax))),
          is_plain(r.zero_point == 0 && r.qmin == 0 && r.qmax == 255) {}

    static __m512i round(__m512i sums, __m512 scale) {
        return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale));
    }
    // Rounded sums, still without zero_point. Saturating to 16 bits first changes nothing: what saturates there is far
    // outside [qmin, qmax].
    __m512i bytes(__m512i a, __m512i b, __m512i c, __m512i d) const {
        const __m512i ab = _mm512_packs_epi32(a, b), cd = _mm512_packs_epi32(c, d);
        if (is_plain) return _mm512_permutexvar_epi32(in_order(), _mm512_packus_epi16(ab, cd));
        const __m512i moved =
            _mm512_packus_epi16(_mm512_adds_epi16(ab, zero_point), _mm512_adds_epi16(cd, zero_point));
        return _mm512_permutexvar_epi32(in_order(), _mm512_min_epu8(_mm512_max_epu8(moved, qmin), qmax));
    }
    // Undoes what packing within quarters does to the order.
    static __m512i in_order() { return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); }
};

// Any rounding: four vectors of sums of the same 16 channels to 64 bytes.
inline __m512i requantize_row(const bw_requant& r, const __m512i (&sums)[4], int channel) {
    __m512i integers[4];
    for (int i = 0; i < 4; ++i) integers[i] = requantize_channels(r, sums[i], channel, 0xffff);
    const __m512i ab = _mm512_packs_epi32(integers[0], integers[1]), cd = _mm512_packs_epi32(integers[2], integers[3]);
    return _mm512_permutexvar_epi32(Narrow::in_order(), _mm512_packus_epi16(ab, cd));
}

}  // namespace
}  // namespace bitwright
