// Lookup tables with vpshufb (see lut/avx2.cc), 64 bytes a vector, for processors without VBMI.
#include <immintrin.h>

#include "lut/interpolate_avx512.h"
#include "lut/lut.h"

namespace bitwright::lut {
namespace {

void bytes(const std::uint8_t* table, const std::uint8_t* x, std::int64_t length, std::uint8_t* y) {
    __m512i parts[16];
    for (int t = 0; t < 16; ++t) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * t));
        const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * (t ? t - 1 : 0)));
        parts[t] = _mm512_broadcast_i32x4(t % 8 ? _mm_xor_si128(part, before) : part);
    }
    const __m512i sixteen = _mm512_set1_epi8(16), top = _mm512_set1_epi8(-128);
    for (std::int64_t i = 0; i < length; i += 64) {
        const std::uint64_t lanes = length - i < 64 ? (std::uint64_t{1} << (length - i)) - 1 : ~std::uint64_t{0};
        __m512i low = _mm512_maskz_loadu_epi8(lanes, x + i), high = _mm512_xor_si512(low, top);
        __m512i found = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int t = 0; t < 8; ++t) {
            found = _mm512_ternarylogic_epi32(found, _mm512_shuffle_epi8(parts[t], low),
                                              _mm512_shuffle_epi8(parts[8 + t], high), 0x96);  // XOR of three
            low = _mm512_subs_epi8(low, sixteen);
            high = _mm512_subs_epi8(high, sixteen);
        }
        _mm512_mask_storeu_epi8(y + i, lanes, found);
    }
}

}  // namespace

const Kernel avx512vnni{"lut.avx512vnni", Isa::avx512vnni, false, bytes, interpolated};

}  // namespace bitwright::lut
