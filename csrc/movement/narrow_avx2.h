// Transpositions of fewer rows or columns than a vector has elements: images of a few channels, planes <-> pixels.
#pragma once

#include "movement/move.h"
#include "movement/vectors_avx2.h"

namespace bitwright::movement {
namespace {

// 16 bytes of each of a few rows become pixels, one element of each row; `width` is their number's next power of two.
template <int bytes, int width>
[[gnu::noinline]] void few_rows(const bw_move_shape& s, Bytes x, std::uint8_t* y, __m128i mask) {
    constexpr std::int64_t side = 16 / bytes;
    const std::int64_t columns = s.dims[0], rows = s.dims[1], sx = s.x_strides[1], sy = s.y_strides[0];
    if (rows == width && sy == width * bytes) {
        cover(columns, side, [=](std::int64_t j) {
            __m128i v[width];
            for (int i = 0; i < width; ++i) v[i] = _mm_xor_si128(load16(x + i * sx + j * bytes), mask);
            interleave_all<bytes, width>(v);
            for (int i = 0; i < width; ++i) store16(y + j * sy + 16 * i, v[i]);
        });
        return;
    }
    cover(columns, side, [=](std::int64_t j) {
        alignas(16) std::uint8_t pixels[16 * width];
        __m128i v[width];
        for (int i = 0; i < width; ++i) v[i] = i < rows ? _mm_xor_si128(load16(x + i * sx + j * bytes), mask) : mask;
        interleave_all<bytes, width>(v);
        for (int i = 0; i < width; ++i) store16(pixels + 16 * i, v[i]);
        for (std::int64_t i = 0; i < side; ++i)
            move_few<width * bytes>(pixels + i * width * bytes, y + j * sy + i * sy, rows * bytes);
    });
}

// The way back: pixels of a few elements become rows.
template <int bytes, int width>
[[gnu::noinline]] void few_columns(const bw_move_shape& s, Bytes x, std::uint8_t* y, __m128i mask) {
    constexpr std::int64_t side = 16 / bytes;
    const std::int64_t columns = s.dims[0], sx = s.x_strides[1], sy = s.y_strides[0];
    cover(s.dims[1], side, [=](std::int64_t i) {
        alignas(16) std::uint8_t pixels[16 * width + 16];  // the last 16 bytes keep compilers from warning of an end
        Bytes from = x + i * sx;
        if (columns != width || sx != width * bytes) {
            for (std::int64_t k = 0; k < side; ++k)
                move_few<width * bytes>(from + k * sx, pixels + k * width * bytes, columns * bytes);
            from = pixels;
        }
        __m128i v[width];
        for (int k = 0; k < width; ++k) v[k] = _mm_xor_si128(load16(from + 16 * k), mask);
        interleave_all<bytes, side>(v);
        for (int k = 0; k < width && k < columns; ++k) store16(y + k * sy + i * bytes, v[k]);
    });
}

// Three rows of elements of 4 bytes into pixels without gaps.
[[gnu::noinline]] void three_rows_of_4(const bw_move_shape& s, Bytes x, std::uint8_t* y, __m128i mask) {
    const std::int64_t sx = s.x_strides[1];
    cover(s.dims[0], 4, [&](std::int64_t j) {
        const auto row = [&](int i) { return _mm_castsi128_ps(_mm_xor_si128(load16(x + i * sx + j * 4), mask)); };
        const __m128 r = row(0), g = row(1), b = row(2);
        const __m128 rg = _mm_shuffle_ps(r, g, 0x88), gb = _mm_shuffle_ps(g, b, 0xdd), br = _mm_shuffle_ps(b, r, 0xd8);
        const auto to = reinterpret_cast<float*>(y + j * 12);
        _mm_storeu_ps(to, _mm_shuffle_ps(rg, br, 0x88));
        _mm_storeu_ps(to + 4, _mm_shuffle_ps(gb, rg, 0xd8));
        _mm_storeu_ps(to + 8, _mm_shuffle_ps(br, gb, 0xdd));
    });
}

// Three rows of bytes into pixels without gaps: pixels of 4 bytes lose their last.
[[gnu::noinline]] void three_rows_of_1(const bw_move_shape& s, Bytes x, std::uint8_t* y, __m128i mask) {
    const std::int64_t sx = s.x_strides[1];
    // The 12 bytes that are left of each vector, turned to where they go.
    const __m128i to_0 = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i to_12 = _mm_setr_epi8(5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4);
    const __m128i to_8 = _mm_setr_epi8(10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9);
    const __m128i to_4 = _mm_setr_epi8(-1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14);
    cover(s.dims[0], 16, [&](std::int64_t j) {
        __m128i v[4] = {load16(x + j), load16(x + sx + j), load16(x + 2 * sx + j), _mm_setzero_si128()};
        interleave_all<1, 4>(v);
        const __m128i a = _mm_shuffle_epi8(v[0], to_0), b = _mm_shuffle_epi8(v[1], to_12);
        const __m128i c = _mm_shuffle_epi8(v[2], to_8), d = _mm_shuffle_epi8(v[3], to_4);
        store16(y + 3 * j, _mm_xor_si128(_mm_blend_epi32(a, b, 8), mask));
        store16(y + 3 * j + 16, _mm_xor_si128(_mm_blend_epi32(b, c, 12), mask));
        store16(y + 3 * j + 32, _mm_xor_si128(_mm_blend_epi32(c, d, 14), mask));
    });
}

// Whether a transposition with fewer than `side` rows or columns was done.
template <int bytes, int width = 2>
bool run_narrow(const bw_move_shape& s, Bytes x, std::uint8_t* y, __m128i mask) {
    constexpr std::int64_t side = 16 / bytes;
    const std::int64_t columns = s.dims[0], rows = s.dims[1];
    if (columns >= side && rows <= width) {
        const bool is_dense_3 = rows == 3 && s.y_strides[0] == 3 * bytes;
        if (bytes == 4 && is_dense_3) {
            three_rows_of_4(s, x, y, mask);
        } else if (bytes == 1 && is_dense_3) {
            three_rows_of_1(s, x, y, mask);
        } else {
            few_rows<bytes, width>(s, x, y, mask);
        }
        return true;
    }
    if (rows >= side && columns <= width) {
        few_columns<bytes, width>(s, x, y, mask);
        return true;
    }
    if constexpr (width < side) return run_narrow<bytes, 2 * width>(s, x, y, mask);
    return false;
}

}  // namespace
}  // namespace bitwright::movement
