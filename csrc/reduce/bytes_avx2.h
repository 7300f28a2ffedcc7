// Bytes: 32 unsigned bytes, or the 16 words and 8 numbers made of them, an instruction. Included by AVX2 kernels alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "base/requantize_avx2.h"

namespace bitwright::reduce {
namespace {

struct Bytes {
    using V = __m256i;
    static constexpr int size = 32;

    static V zero() { return _mm256_setzero_si256(); }
    static V load(const std::uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const V*>(p)); }
    // The first `count` bytes, and the given one in all others.
    static V load(const std::uint8_t* p, int count, std::uint8_t other) {
        alignas(32) std::uint8_t whole[size];
        __builtin_memset(whole, other, size);
        __builtin_memcpy(whole, p, static_cast<std::size_t>(count));
        return load(whole);
    }
    static void store(std::uint8_t* p, V v) { _mm256_storeu_si256(reinterpret_cast<V*>(p), v); }
    static void store(std::uint8_t* p, V v, int count) {
        alignas(32) std::uint8_t whole[size];
        store(whole, v);
        __builtin_memcpy(p, whole, static_cast<std::size_t>(count));
    }

    static V all_bytes(std::int32_t byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
    static V max(V a, V b) { return _mm256_max_epu8(a, b); }
    static V min(V a, V b) { return _mm256_min_epu8(a, b); }
    static V either(V a, V b) { return _mm256_or_si256(a, b); }

    static V all_words(std::int32_t word) { return _mm256_set1_epi16(static_cast<short>(word)); }
    static V add(V a, V b) { return _mm256_add_epi16(a, b); }
    static V subtract(V a, V b) { return _mm256_sub_epi16(a, b); }
    static V less(V a, V b) { return _mm256_cmpgt_epi16(b, a); }  // -1 where a < b
    static V odd(V a) { return _mm256_srli_epi16(a, 8); }         // the second byte of each word
    static V to_odd(V a) { return _mm256_slli_epi16(a, 8); }
    static V high_product(V a, V b) { return _mm256_mulhi_epu16(a, b); }
    static V shift_right(V a, int bits) { return _mm256_srl_epi16(a, _mm_cvtsi32_si128(bits)); }

    static constexpr int lanes = 8;  // of 32 bits
    static V load_lanes(const std::uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const V*>(p)); }
    static void store_lanes(std::uint32_t* p, V v) { _mm256_storeu_si256(reinterpret_cast<V*>(p), v); }
    static V all_lanes(std::int32_t lane) { return _mm256_set1_epi32(lane); }
    static V add_lanes(V a, V b) { return _mm256_add_epi32(a, b); }
    static V clamp_lanes(V v, V low, V high) { return _mm256_min_epi32(_mm256_max_epi32(v, low), high); }

    // sums[i] += word i.
    static void add_words(std::uint32_t* sums, V v) {
        auto* const to = reinterpret_cast<V*>(sums);
        const V low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(v));
        const V high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(v, 1));
        _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), low));
        _mm256_storeu_si256(to + 1, _mm256_add_epi32(_mm256_loadu_si256(to + 1), high));
    }

    // Sums of eight neighbours each, added to those before.
    static V add_neighbours(V sums, V v) { return _mm256_add_epi64(sums, _mm256_sad_epu8(v, zero())); }
    static std::uint32_t total(V sums) {
        const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        return static_cast<std::uint32_t>(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
    }
};

}  // namespace
}  // namespace bitwright::reduce
