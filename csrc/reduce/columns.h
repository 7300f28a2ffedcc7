// Sums and extremes down the columns of a block of pixels: what windows and reductions of images share.
// Internal linkage: each instruction set compiles its own, with its Bytes.
#pragma once

#include <cstdint>

namespace bitwright::reduce {
namespace {

// Pixel (r, q) begins at x + r * sh + q * sw.
struct Block {
    const std::uint8_t* x;
    std::int64_t rows, cols, sh, sw;
};

// best[n] = the largest or smallest of all pixels, read n * step bytes further on.
template <bool Largest, int N>
inline void extremes(const Block& block, std::int64_t step, Bytes::V (&best)[N]) {
    for (int n = 0; n < N; ++n) best[n] = Bytes::all_bytes(Largest ? 0 : 255);
    for (std::int64_t r = 0; r < block.rows; ++r) {
        const std::uint8_t* pixel = block.x + r * block.sh;
        for (std::int64_t q = 0; q < block.cols; ++q, pixel += block.sw) {
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n) {
                const Bytes::V seen = Bytes::load(pixel + n * step);
                best[n] = Largest ? Bytes::max(best[n], seen) : Bytes::min(best[n], seen);
            }
        }
    }
}

constexpr std::int64_t most_in_words = 257;  // pixels whose sum of bytes 16 bits hold

// Sums of at most most_in_words pixels: even[n] and odd[n] are those of even and odd bytes, in words.
// The even ones come from sums of whole words, whose carries they lose: one instruction less a pixel.
template <int N>
inline void sums_in_words(const Block& block, std::int64_t step, Bytes::V (&even)[N], Bytes::V (&odd)[N]) {
    for (int n = 0; n < N; ++n) even[n] = odd[n] = Bytes::zero();
    for (std::int64_t r = 0; r < block.rows; ++r) {
        const std::uint8_t* pixel = block.x + r * block.sh;
        for (std::int64_t q = 0; q < block.cols; ++q, pixel += block.sw) {
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n) {
                Bytes::V seen = Bytes::load(pixel + n * step);
                __asm__("" : "+v"(seen));  // loaded once: the compiler would load it for each of its uses
                even[n] = Bytes::add(even[n], seen);
                odd[n] = Bytes::add(odd[n], Bytes::odd(seen));
            }
        }
    }
    for (int n = 0; n < N; ++n) even[n] = Bytes::subtract(even[n], Bytes::to_odd(odd[n]));
}

// Adds the sums of N vectors of bytes, step bytes apart. Of each vector: sums of even bytes, then of odd bytes.
template <int N>
inline void add_sums(const Block& block, std::int64_t step, std::uint32_t* sums) {
    const std::int64_t cols = block.cols < most_in_words ? block.cols : most_in_words;
    const std::int64_t rows = cols ? most_in_words / cols : 1;
    for (std::int64_t r = 0; r < block.rows; r += rows) {
        for (std::int64_t q = 0; q < block.cols; q += cols) {
            const std::int64_t rows_left = block.rows - r, cols_left = block.cols - q;
            const Block part{block.x + r * block.sh + q * block.sw, rows < rows_left ? rows : rows_left,
                             cols < cols_left ? cols : cols_left, block.sh, block.sw};
            Bytes::V even[N], odd[N];
            sums_in_words(part, step, even, odd);
            for (int n = 0; n < N; ++n) {
                Bytes::add_words(sums + n * Bytes::size, even[n]);
                Bytes::add_words(sums + n * Bytes::size + Bytes::size / 2, odd[n]);
            }
        }
    }
}

// `count` results, in the order of add_sums, to bytes in the order of channels.
inline void store_bytes(const std::uint32_t* results, std::uint8_t* y, std::int64_t count) {
    constexpr int half = Bytes::size / 2;
    for (; count > 0; count -= Bytes::size, results += Bytes::size, y += Bytes::size) {
        std::uint16_t pairs[half];
        for (int i = 0; i < half; ++i) pairs[i] = static_cast<std::uint16_t>(results[i] | results[half + i] << 8);
        __builtin_memcpy(y, pairs, static_cast<std::size_t>(count < Bytes::size ? count : Bytes::size));
    }
}

}  // namespace
}  // namespace bitwright::reduce
