// Lookup tables with vpermi2b: two instructions answer for 128 entries each. Needs VBMI beside its instruction set.
#include <immintrin.h>

#include "lut/interpolate_avx512.h"
#include "lut/lut.h"

namespace bitwright::lut {
namespace {

__attribute__((target("avx512vbmi"))) void bytes(const std::uint8_t* table, const std::uint8_t* x, std::int64_t length,
                                                 std::uint8_t* y) {
    const __m512i a = _mm512_loadu_si512(table), b = _mm512_loadu_si512(table + 64);
    const __m512i c = _mm512_loadu_si512(table + 128), d = _mm512_loadu_si512(table + 192);
    std::int64_t i = 0;
    for (; i + 64 <= length; i += 64) {
        const __m512i index = _mm512_loadu_si512(x + i);
        const __m512i low = _mm512_permutex2var_epi8(a, index, b), high = _mm512_permutex2var_epi8(c, index, d);
        _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
    }
    if (i == length) return;
    const std::uint64_t lanes = (std::uint64_t{1} << (length - i)) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(lanes, x + i);
    const __m512i low = _mm512_permutex2var_epi8(a, index, b), high = _mm512_permutex2var_epi8(c, index, d);
    _mm512_mask_storeu_epi8(y + i, lanes, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
}

}  // namespace

const Kernel vbmi{"lut.vbmi", Isa::avx512vnni, true, bytes, interpolated};

}  // namespace bitwright::lut
