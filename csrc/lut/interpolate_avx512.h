// Interpolation of 16 integers at a time, bit-exact with lut/reference.h. Included by AVX-512 kernels alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bitwright::lut {
namespace {

inline __m512i low_halves(__m512i x) { return _mm512_srai_epi32(_mm512_slli_epi32(x, 16), 16); }

inline void interpolated(const std::int16_t* table, const std::int16_t* x, std::int64_t length, std::int16_t* y) {
    const __m512i fraction_bits = _mm512_set1_epi32(0x7f), half = _mm512_set1_epi32(64);
    for (std::int64_t i = 0; i < length; i += 16) {
        const auto lanes = static_cast<__mmask16>(length - i < 16 ? (1u << (length - i)) - 1 : 0xffffu);
        const __m512i values = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(lanes, x + i));
        // One word of 32 bits holds an entry and the one after it.
        const __m512i both = _mm512_i32gather_epi32(_mm512_srai_epi32(values, 7), table + 256, 2);
        const __m512i entry = low_halves(both);
        const __m512i slope = low_halves(_mm512_sub_epi32(_mm512_srai_epi32(both, 16), entry));
        const __m512i way = _mm512_mullo_epi32(slope, _mm512_and_si512(values, fraction_bits));
        const __m512i made = _mm512_add_epi32(entry, _mm512_srai_epi32(_mm512_add_epi32(way, half), 7));
        _mm256_mask_storeu_epi16(y + i, lanes, _mm512_cvtepi32_epi16(made));
    }
}

}  // namespace
}  // namespace bitwright::lut
