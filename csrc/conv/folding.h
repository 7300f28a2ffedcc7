// The zero_point's share of a bias: bias[o] - zero_point * sum of weights[o,...], modulo 2^32: what sums over stored
// activations start with.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bitwright::conv {

inline std::int64_t sum_of(const std::int8_t* weights, std::size_t count) {
    std::int64_t sum = 0;
    std::size_t k = 0;
#if defined(__SSE2__)
    // Sums of bytes + 128, 8 at a time.
    __m128i sums = _mm_setzero_si128();
    const __m128i middle = _mm_set1_epi8(static_cast<char>(0x80)), zero = _mm_setzero_si128();
    for (; k + 16 <= count; k += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + k));
        sums = _mm_add_epi64(sums, _mm_sad_epu8(_mm_xor_si128(bytes, middle), zero));
    }
    std::int64_t halves[2];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(halves), sums);
    sum = halves[0] + halves[1] - 128 * static_cast<std::int64_t>(k);
#endif
    for (; k < count; ++k) sum += weights[k];
    return sum;
}

inline std::int32_t folded(std::int32_t bias, const std::int8_t* weights, std::size_t count, std::int64_t zero_point) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(bias - zero_point * sum_of(weights, count)));
}

}  // namespace bitwright::conv
