// Bytes: 64 unsigned bytes, or the 32 words and 16 numbers made of them, an instruction. Included by AVX-512 kernels
// alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "base/requantize_avx512.h"

namespace bitwright::reduce {
namespace {

struct Bytes {
    using V = __m512i;
    static constexpr int size = 64;

    static V zero() { return _mm512_setzero_si512(); }
    static V load(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
    // The first `count` bytes, and the given one in all others.
    static V load(const std::uint8_t* p, int count, std::uint8_t other) {
        return _mm512_mask_loadu_epi8(all_bytes(other), first(count), p);
    }
    static void store(std::uint8_t* p, V v) { _mm512_storeu_si512(p, v); }
    static void store(std::uint8_t* p, V v, int count) { _mm512_mask_storeu_epi8(p, first(count), v); }

    static V all_bytes(std::int32_t byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
    static V max(V a, V b) { return _mm512_max_epu8(a, b); }
    static V min(V a, V b) { return _mm512_min_epu8(a, b); }
    static V either(V a, V b) { return _mm512_or_si512(a, b); }

    static V all_words(std::int32_t word) { return _mm512_set1_epi16(static_cast<short>(word)); }
    static V add(V a, V b) { return _mm512_add_epi16(a, b); }
    static V subtract(V a, V b) { return _mm512_sub_epi16(a, b); }
    static V less(V a, V b) { return _mm512_movm_epi16(_mm512_cmplt_epi16_mask(a, b)); }  // -1 where a < b
    static V odd(V a) { return _mm512_srli_epi16(a, 8); }  // the second byte of each word
    static V to_odd(V a) { return _mm512_slli_epi16(a, 8); }
    static V high_product(V a, V b) { return _mm512_mulhi_epu16(a, b); }
    static V shift_right(V a, int bits) { return _mm512_srl_epi16(a, _mm_cvtsi32_si128(bits)); }

    static constexpr int lanes = 16;  // of 32 bits
    static V load_lanes(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
    static void store_lanes(std::uint32_t* p, V v) { _mm512_storeu_si512(p, v); }
    static V all_lanes(std::int32_t lane) { return _mm512_set1_epi32(lane); }
    static V add_lanes(V a, V b) { return _mm512_add_epi32(a, b); }
    static V clamp_lanes(V v, V low, V high) { return _mm512_min_epi32(_mm512_max_epi32(v, low), high); }

    // sums[i] += word i.
    static void add_words(std::uint32_t* sums, V v) {
        const V low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(v));
        const V high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(v, 1));
        _mm512_storeu_si512(sums, _mm512_add_epi32(_mm512_loadu_si512(sums), low));
        _mm512_storeu_si512(sums + 16, _mm512_add_epi32(_mm512_loadu_si512(sums + 16), high));
    }

    // Sums of eight neighbours each, added to those before.
    static V add_neighbours(V sums, V v) { return _mm512_add_epi64(sums, _mm512_sad_epu8(v, zero())); }
    static std::uint32_t total(V sums) { return static_cast<std::uint32_t>(_mm512_reduce_add_epi64(sums)); }

  private:
    static __mmask64 first(int count) { return count == size ? ~__mmask64{0} : (__mmask64{1} << count) - 1; }
};

}  // namespace
}  // namespace bitwright::reduce
