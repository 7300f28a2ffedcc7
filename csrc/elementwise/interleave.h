// Planes of bytes to pixels: y[p*step + c] = planes[c][p]. Internal linkage: each instruction set compiles its own.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace bitwright::elementwise {
namespace {

constexpr int interleaved_channels = 16, interleaved_pixels = 64;
using Planes = std::uint8_t[interleaved_channels][interleaved_pixels];

inline __m128i plane_at(const Planes& planes, int c, int p) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(planes[c] + p));
}
inline void store_16(std::uint8_t* y, __m128i bytes) { _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes); }

// 16 pixels of 3 channels, side by side: byte i of the 48 is that of pixel i / 3, channel i % 3.
inline void interleave_3(const Planes& planes, int p, std::uint8_t* y) {
    const __m128i r = plane_at(planes, 0, p), g = plane_at(planes, 1, p), b = plane_at(planes, 2, p);
    const auto join = [&](__m128i of_r, __m128i of_g, __m128i of_b) {
        return _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(r, of_r), _mm_shuffle_epi8(g, of_g)),
                            _mm_shuffle_epi8(b, of_b));
    };
    constexpr char o = -1;
    store_16(y, join(_mm_setr_epi8(0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o, o, 5),
                     _mm_setr_epi8(o, 0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o, o),
                     _mm_setr_epi8(o, o, 0, o, o, 1, o, o, 2, o, o, 3, o, o, 4, o)));
    store_16(y + 16, join(_mm_setr_epi8(o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o, 10, o),
                          _mm_setr_epi8(5, o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o, 10),
                          _mm_setr_epi8(o, 5, o, o, 6, o, o, 7, o, o, 8, o, o, 9, o, o)));
    store_16(y + 32, join(_mm_setr_epi8(o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15, o, o),
                          _mm_setr_epi8(o, o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15, o),
                          _mm_setr_epi8(10, o, o, 11, o, o, 12, o, o, 13, o, o, 14, o, o, 15)));
}

// 16 pixels of 4 channels, side by side.
inline void interleave_4(const Planes& planes, int p, std::uint8_t* y) {
    const __m128i a = plane_at(planes, 0, p), b = plane_at(planes, 1, p), c = plane_at(planes, 2, p),
                  d = plane_at(planes, 3, p);
    const __m128i low_ab = _mm_unpacklo_epi8(a, b), high_ab = _mm_unpackhi_epi8(a, b);
    const __m128i low_cd = _mm_unpacklo_epi8(c, d), high_cd = _mm_unpackhi_epi8(c, d);
    store_16(y, _mm_unpacklo_epi16(low_ab, low_cd));
    store_16(y + 16, _mm_unpackhi_epi16(low_ab, low_cd));
    store_16(y + 32, _mm_unpacklo_epi16(high_ab, high_cd));
    store_16(y + 48, _mm_unpackhi_epi16(high_ab, high_cd));
}

// 16 pixels of 16 channels: rows of `pixels` become columns. Four times, neighbours of the first half and the second
// are put side by side: the index of a byte, (channel, pixel), turns by one bit each time.
inline void transpose_16(const Planes& planes, int p, __m128i (&pixels)[16]) {
    __m128i other[16];
    for (int c = 0; c < 16; ++c) other[c] = plane_at(planes, c, p);
    const auto turn = [](const __m128i(&from)[16], __m128i(&to)[16]) {
        for (int k = 0; k < 8; ++k) {
            to[2 * k] = _mm_unpacklo_epi8(from[k], from[k + 8]);
            to[2 * k + 1] = _mm_unpackhi_epi8(from[k], from[k + 8]);
        }
    };
    turn(other, pixels);
    turn(pixels, other);
    turn(other, pixels);
    turn(pixels, other);
    for (int k = 0; k < 16; ++k) pixels[k] = other[k];
}

// planes: of `count` channels; what lies beyond `pixels` is anything.
inline void interleave(const Planes& planes, int count, int pixels, std::uint8_t* y, std::int64_t step) {
    int p = 0;
    if (count == 3 && step == 3) {
        for (; p + 16 <= pixels; p += 16) interleave_3(planes, p, y + p * step);
    } else if (count == 4 && step == 4) {
        for (; p + 16 <= pixels; p += 16) interleave_4(planes, p, y + p * step);
    } else if (count == interleaved_channels) {
        for (; p + 16 <= pixels; p += 16) {
            __m128i columns[16];
            transpose_16(planes, p, columns);
            for (int k = 0; k < 16; ++k) store_16(y + (p + k) * step, columns[k]);
        }
    }
    for (; p < pixels; ++p)
        for (int c = 0; c < count; ++c) y[p * step + c] = planes[c][p];
}

}  // namespace
}  // namespace bitwright::elementwise
