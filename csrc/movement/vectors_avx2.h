// What kernels of moves are made of: loads, stores, short rows, vectors interleaved. Included by AVX2 kernels alone.
#pragma once

#include <immintrin.h>
#include <string.h>

#include <cstdint>

namespace bitwright::movement {
namespace {

using Bytes = const std::uint8_t*;

inline __m128i load16(Bytes x) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x)); }
inline void store16(std::uint8_t* y, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(y), v); }
inline __m256i load32(Bytes x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
inline void store32(std::uint8_t* y, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), v); }

// A row of size to 2 * size bytes, by two words that overlap.
template <typename Word>
inline void move_short(Bytes x, std::uint8_t* y, std::int64_t bytes, Word mask) {
    Word first, second;
    memcpy(&first, x, sizeof(Word));
    memcpy(&second, x + bytes - sizeof(Word), sizeof(Word));
    first = static_cast<Word>(first ^ mask), second = static_cast<Word>(second ^ mask);
    memcpy(y, &first, sizeof(Word));
    memcpy(y + bytes - sizeof(Word), &second, sizeof(Word));
}

// The same of most / 2 to `most` bytes.
template <int most>
inline void move_few(Bytes x, std::uint8_t* y, std::int64_t bytes) {
    if constexpr (most == 16) return move_short<std::uint64_t>(x, y, bytes, 0);
    if constexpr (most == 8) return move_short<std::uint32_t>(x, y, bytes, 0);
    if constexpr (most == 4) return move_short<std::uint16_t>(x, y, bytes, 0);
    return move_short<std::uint8_t>(x, y, bytes, 0);
}

// Lanes of two vectors in turn, elements of 1, 2, 4 or 8 bytes.
template <int bytes>
inline __m128i low_of(__m128i a, __m128i b) {
    if constexpr (bytes == 1) return _mm_unpacklo_epi8(a, b);
    if constexpr (bytes == 2) return _mm_unpacklo_epi16(a, b);
    if constexpr (bytes == 4) return _mm_unpacklo_epi32(a, b);
    return _mm_unpacklo_epi64(a, b);
}
template <int bytes>
inline __m128i high_of(__m128i a, __m128i b) {
    if constexpr (bytes == 1) return _mm_unpackhi_epi8(a, b);
    if constexpr (bytes == 2) return _mm_unpackhi_epi16(a, b);
    if constexpr (bytes == 4) return _mm_unpackhi_epi32(a, b);
    return _mm_unpackhi_epi64(a, b);
}
template <int bytes>
inline __m256i low_of(__m256i a, __m256i b) {
    if constexpr (bytes == 1) return _mm256_unpacklo_epi8(a, b);
    if constexpr (bytes == 2) return _mm256_unpacklo_epi16(a, b);
    if constexpr (bytes == 4) return _mm256_unpacklo_epi32(a, b);
    return _mm256_unpacklo_epi64(a, b);
}
template <int bytes>
inline __m256i high_of(__m256i a, __m256i b) {
    if constexpr (bytes == 1) return _mm256_unpackhi_epi8(a, b);
    if constexpr (bytes == 2) return _mm256_unpackhi_epi16(a, b);
    if constexpr (bytes == 4) return _mm256_unpackhi_epi32(a, b);
    return _mm256_unpackhi_epi64(a, b);
}

// Elements of the first half of the vectors and of the second, in turn: the number of each element, in binary, is
// rotated by one digit. log2(count) times, this makes rows of `count` elements of columns.
template <int bytes, int count, typename Vector>
inline void interleave(Vector (&v)[count]) {
    Vector from[count];
    for (int i = 0; i < count; ++i) from[i] = v[i];
    for (int i = 0; i < count / 2; ++i) {
        v[2 * i] = low_of<bytes>(from[i], from[i + count / 2]);
        v[2 * i + 1] = high_of<bytes>(from[i], from[i + count / 2]);
    }
}

// The same log2(length) times: what is `length` long in the order of all elements changes places with the rest.
template <int bytes, int length, int count, typename Vector>
inline void interleave_all(Vector (&v)[count]) {
    for (int width = 1; width < length; width *= 2) interleave<bytes>(v);
}

// Calls at(begin) for pieces of `size` that cover [0, length), the last of them overlapping the one before.
template <typename At>
inline void cover(std::int64_t length, std::int64_t size, const At& at) {
    std::int64_t i = 0;
    for (; i + size <= length; i += size) at(i);
    if (i < length) at(length - size);
}

}  // namespace
}  // namespace bitwright::movement
