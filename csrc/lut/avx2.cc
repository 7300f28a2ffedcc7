// Lookup tables with vpshufb: each of 16 instructions answers for 16 entries, all others get 0 from it.
#include <immintrin.h>

#include "lut/lut.h"

namespace bitwright::lut {
namespace {

void bytes(const std::uint8_t* table, const std::uint8_t* x, std::int64_t length, std::uint8_t* y) {
    // vpshufb gives 0 where bit 7 of an index is set, and looks at 4 bits elsewhere. The index less 16 t is below 128
    // for several t: so each table is taken XOR the one before, and what was answered too early cancels out.
    __m256i parts[16];
    for (int t = 0; t < 16; ++t) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * t));
        const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * (t ? t - 1 : 0)));
        parts[t] = _mm256_broadcastsi128_si256(t % 8 ? _mm_xor_si128(part, before) : part);
    }
    const __m256i sixteen = _mm256_set1_epi8(16), top = _mm256_set1_epi8(-128);
    const auto look_up = [&](__m256i index) {
        // Indices 0..127 in the first half, 128..255 in the second: of the other half bit 7 is set throughout.
        __m256i low = index, high = _mm256_xor_si256(index, top);
        __m256i found = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int t = 0; t < 8; ++t) {
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(parts[t], low));
            found = _mm256_xor_si256(found, _mm256_shuffle_epi8(parts[8 + t], high));
            low = _mm256_subs_epi8(low, sixteen);
            high = _mm256_subs_epi8(high, sixteen);
        }
        return found;
    };
    std::int64_t i = 0;
    for (; i + 32 <= length; i += 32) {
        const __m256i index = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), look_up(index));
    }
    bw_lut_bytes(table, x + i, length - i, y + i);
}

}  // namespace

const Kernel avx2{"lut.avx2", Isa::avx2, false, bytes, bw_lut_interpolated};

}  // namespace bitwright::lut
