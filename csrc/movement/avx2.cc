// Moves by vectors of 16 and 32 bytes. Stores write elements of the move alone: a border may lie right behind them.
#include "movement/move.h"
#include "movement/narrow_avx2.h"
#include "movement/vectors_avx2.h"

namespace bitwright::movement {
namespace {

// A row of at least 32 bytes; its last vector overlaps the one before.
inline void move_row(Bytes x, std::uint8_t* y, std::int64_t bytes, __m256i mask) {
    for (std::int64_t i = 0; i + 32 <= bytes; i += 32) store32(y + i, _mm256_xor_si256(load32(x + i), mask));
    if (bytes % 32) store32(y + bytes - 32, _mm256_xor_si256(load32(x + bytes - 32), mask));
}

// Calls loop(row), where row(x, y) moves one row of that many bytes.
template <typename Loop>
inline void by_length(std::int64_t bytes, bool flip, const Loop& loop) {
    const __m256i mask = _mm256_set1_epi8(flip ? -128 : 0);
    const __m128i half = _mm256_castsi256_si128(mask);
    const std::uint64_t word = flip ? 0x8080808080808080u : 0;
    if (bytes >= 1024 && !flip) {
        loop([=](Bytes x, std::uint8_t* y) { memcpy(y, x, static_cast<size_t>(bytes)); });
    } else if (bytes >= 32) {
        loop([=](Bytes x, std::uint8_t* y) { move_row(x, y, bytes, mask); });
    } else if (bytes >= 16) {
        loop([=](Bytes x, std::uint8_t* y) {
            const __m128i first = load16(x), second = load16(x + bytes - 16);
            store16(y, _mm_xor_si128(first, half));
            store16(y + bytes - 16, _mm_xor_si128(second, half));
        });
    } else if (bytes >= 8) {
        loop([=](Bytes x, std::uint8_t* y) { move_short<std::uint64_t>(x, y, bytes, word); });
    } else if (bytes >= 4) {
        loop([=](Bytes x, std::uint8_t* y) {
            move_short<std::uint32_t>(x, y, bytes, static_cast<std::uint32_t>(word));
        });
    } else if (bytes >= 2) {
        loop([=](Bytes x, std::uint8_t* y) {
            move_short<std::uint16_t>(x, y, bytes, static_cast<std::uint16_t>(word));
        });
    } else {
        loop([=](Bytes x, std::uint8_t* y) { *y = static_cast<std::uint8_t>(*x ^ (word & 0xff)); });
    }
}

// Calls row(x, y) for each element of the two loops. Their lengths are read beforehand: bytes of y might be anything.
template <typename Row>
inline void for_each(const bw_move_shape& s, Bytes x, std::uint8_t* y, const Row& row) {
    const std::int64_t outer = s.dims[0], inner = s.dims[1], sx = s.x_strides[1], sy = s.y_strides[1];
    const std::int64_t next_x = s.x_strides[0], next_y = s.y_strides[0];
    for (std::int64_t i = 0; i < outer; ++i, x += next_x, y += next_y) {
        Bytes from = x;
        std::uint8_t* to = y;
        for (std::int64_t j = 0; j < inner; ++j, from += sx, to += sy) row(from, to);
    }
}

void run_rows(const bw_move_shape& s, Bytes x, std::uint8_t* y) {
    by_length(s.bytes, s.flip, [&](const auto& row) { for_each(s, x, y, row); });
}

void take(const std::int64_t* offsets, std::int64_t count, std::int64_t bytes, Bytes x, std::uint8_t* y,
          std::int64_t y_stride) {
    by_length(bytes, false, [&](const auto& row) {
        for (std::int64_t i = 0; i < count; ++i) row(x + offsets[i], y + i * y_stride);
    });
}

template <typename Word>
void run_words(const bw_move_shape& s, Bytes x, std::uint8_t* y) {
    const auto mask = static_cast<Word>(s.flip ? 0x8080808080808080u : 0);
    for_each(s, x, y, [&](Bytes from, std::uint8_t* to) {
        Word word;
        memcpy(&word, from, sizeof(Word));
        word = static_cast<Word>(word ^ mask);
        memcpy(to, &word, sizeof(Word));
    });
}

// A square of 16 bytes by as many rows, from contiguous along the first loop to contiguous along the second.
template <int bytes>
inline void square(Bytes x, std::int64_t sx, std::uint8_t* y, std::int64_t sy, __m128i mask) {
    constexpr int count = 16 / bytes;
    __m128i v[count];
    for (int i = 0; i < count; ++i) v[i] = load16(x + i * sx);
    interleave_all<bytes, count>(v);
    for (int i = 0; i < count; ++i) store16(y + i * sy, _mm_xor_si128(v[i], mask));
}

// Two such squares side by side.
template <int bytes>
inline void two_squares(Bytes x, std::int64_t sx, std::uint8_t* y, std::int64_t sy, __m256i mask) {
    constexpr int count = 16 / bytes;
    __m256i v[count];
    for (int i = 0; i < count; ++i)
        v[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(x + i * sx)), load16(x + (i + count) * sx), 1);
    interleave_all<bytes, count>(v);
    for (int i = 0; i < count; ++i) store32(y + i * sy, _mm256_xor_si256(v[i], mask));
}

// Elements of y[j][i] = x[i][j]: j is contiguous in x, i in y; a square or more of them.
template <int bytes>
[[gnu::noinline]] void run_wide(const bw_move_shape& s, Bytes x, std::uint8_t* y) {
    constexpr std::int64_t side = 16 / bytes, block = 64 / bytes;
    const std::int64_t columns = s.dims[0], rows = s.dims[1], sx = s.x_strides[1], sy = s.y_strides[0];
    const __m256i mask = _mm256_set1_epi8(s.flip ? -128 : 0);
    // Blocks of one cache line each way, so that the lines of y are finished while they are near.
    for (std::int64_t row = 0; row < rows; row += block) {
        const std::int64_t high = rows - row < block ? rows - row : block;
        // The last block borrows rows of the one before when it is not as high as a square.
        const std::int64_t lent = high < side ? side - high : 0;
        Bytes const from = x + (row - lent) * sx;
        std::uint8_t* const to = y + (row - lent) * bytes;
        cover(columns, side, [&](std::int64_t j) {
            Bytes const a = from + j * bytes;
            std::uint8_t* const b = to + j * sy;
            if (high >= 2 * side) {
                cover(high, 2 * side,
                      [&](std::int64_t i) { two_squares<bytes>(a + i * sx, sx, b + i * bytes, sy, mask); });
            } else {
                cover(high + lent, side, [&](std::int64_t i) {
                    square<bytes>(a + i * sx, sx, b + i * bytes, sy, _mm256_castsi256_si128(mask));
                });
            }
        });
    }
}

template <int bytes, typename Word>
void run_transpose(const bw_move_shape& s, Bytes x, std::uint8_t* y) {
    if (s.dims[0] >= 16 / bytes && s.dims[1] >= 16 / bytes) return run_wide<bytes>(s, x, y);
    if (!run_narrow<bytes>(s, x, y, _mm_set1_epi8(s.flip ? -128 : 0))) run_words<Word>(s, x, y);
}

void run(Pattern pattern, const bw_move_shape& shape, Bytes x, std::uint8_t* y) {
    if (pattern == Pattern::rows) return run_rows(shape, x, y);
    const bool transposes = pattern == Pattern::transpose;
    switch (shape.bytes) {
        case 1:
            return (transposes ? run_transpose<1, std::uint8_t> : run_words<std::uint8_t>)(shape, x, y);
        case 2:
            return (transposes ? run_transpose<2, std::uint16_t> : run_words<std::uint16_t>)(shape, x, y);
        case 4:
            return (transposes ? run_transpose<4, std::uint32_t> : run_words<std::uint32_t>)(shape, x, y);
        default:
            return (transposes ? run_transpose<8, std::uint64_t> : run_words<std::uint64_t>)(shape, x, y);
    }
}

}  // namespace

const Kernel avx2{"avx2", Isa::avx2, run, take};

}  // namespace bitwright::movement
