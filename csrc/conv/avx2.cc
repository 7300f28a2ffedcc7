// Convolution with vpmaddwd: 8 channels x 2 values of k an instruction, weights and rows in 16 bits. (vpmaddubsw would
// take 8-bit ones, but saturates: 255 * 127 * 2 > 32767.) Rows are widened, some pixels at a time, then all panels
// pass.
#include <immintrin.h>

#include <utility>

#include "base/narrow_avx2.h"
#include "conv/blocks.h"
#include "conv/conv.h"

namespace bitwright::conv {
namespace {

constexpr int lanes = 8;
// Pixels of a tile with 1 or 2 vectors: 12 sums; weights, a row's pair and a product fill the other registers.
constexpr int most_rows[] = {0, 12, 6};
constexpr int widened_bytes = 192 * 1024;  // rows together stay in the second-level cache beside a panel
constexpr int fewest_widened = 24;         // but pass over each panel at least as often as this

constexpr Cut cut{.lanes = lanes, .step = 2, .bytes = 2, .most_vectors = 2, .joined = true, .whole = 1};

// Tiles of one size, one after another.
struct Tile {
    const Call* call;
    const Panel* panel;
    const std::int16_t* rows;  // of the first pixel; next ones lie `row_step` elements apart
    std::int64_t row_step;
    const std::int64_t* y_offsets;
    int count;
};

// Elements from one widened row to the next: whole cache lines, an odd count of them, so that rows share no sets.
std::int64_t row_step(std::int64_t segment_length, std::int64_t segments) {
    return ((segment_length * segments + 31) / 32 | 1) * 32;
}

int widened_rows(std::int64_t step, int block_pixels) {
    std::int64_t rows = widened_bytes / (step * 2);
    rows = rows < fewest_widened ? fewest_widened : rows;
    return static_cast<int>(rows < block_pixels ? rows : block_pixels);
}

// The segments of each pixel, one after another, in 16 bits, and up to 15 elements more, which the next row overwrites.
void widen(const Call& call, const std::uint8_t* x, const std::int64_t* x_offsets, int pixels, std::int64_t step,
           std::int16_t* rows) {
    const std::int64_t length = call.segment_length;
    for (int pixel = 0; pixel < pixels; ++pixel) {
        std::int16_t* to = rows + pixel * step;
        for (int segment = 0; segment < call.segment_count; ++segment) {
            const std::uint8_t* const from = x + x_offsets[pixel] + call.segments[segment];
            for (std::int64_t k = 0; k < length; k += 16) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), _mm256_cvtepu8_epi16(bytes));
            }
            to += length;
        }
    }
}

template <int Rows, int Vectors>
inline void multiply(const Tile& tile, __m256i (&sums)[Rows][Vectors]) {
    const std::int32_t* bias = tile.call->bias + tile.panel->lane;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
        const __m256i start = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias + v * lanes));
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) sums[r][v] = start;
    }
    const std::byte* weights = tile.call->weights + tile.panel->weights;
    const std::int16_t* row[Rows];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) row[r] = tile.rows + r * tile.row_step;
    const std::int64_t steps = tile.call->steps;
    for (std::int64_t step = 0; step < steps; ++step) {
        __m256i columns[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) columns[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights) + v);
        weights += Vectors * sizeof(__m256i);
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
            std::int32_t pair;
            __builtin_memcpy(&pair, row[r] + 2 * step, 4);
            const __m256i values = _mm256_set1_epi32(pair);
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v)
                sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(values, columns[v]));
            // Row after row: the compiler would have all products first, and not enough registers.
            __asm__("" : "+x"(sums[r][0]), "+x"(columns[0]));
            if constexpr (Vectors == 2) __asm__("" : "+x"(sums[r][1]), "+x"(columns[1]));
        }
    }
}

// Where Call::narrows, to panels without padding.
template <int Rows, int Vectors>
inline void store_narrow(const Tile& tile, const __m256i (&sums)[Rows][Vectors]) {
    const Narrow narrow(*tile.call->requant);
    const float* const first = tile.call->requant->scale + tile.panel->lane;
    const __m256 scale[] = {_mm256_loadu_ps(first), _mm256_loadu_ps(first + (Vectors - 1) * lanes)};
    std::uint8_t* const y = tile.call->y + tile.panel->channel;
    constexpr int group = 4 / Vectors;  // rows whose bytes fill a vector
#pragma GCC unroll 6
    for (int r = 0; r < Rows; r += group) {
        __m256i rounded[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            const int row = r + i / Vectors < Rows ? r + i / Vectors : Rows - 1;
            rounded[i] = Narrow::round(sums[row][i % Vectors], scale[i % Vectors]);
        }
        const __m256i bytes = narrow.bytes(rounded[0], rounded[1], rounded[2], rounded[3]);
        const __m128i halves[] = {_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)};
#pragma GCC unroll 4
        for (int i = 0; i < group; ++i) {
            if (r + i >= Rows) continue;
            auto* const result = reinterpret_cast<__m128i*>(y + tile.y_offsets[r + i]);
            if constexpr (Vectors == 2) {
                _mm_storeu_si128(result, halves[i]);
            } else {
                const __m128i half = halves[i / 2];
                _mm_storel_epi64(result, i % 2 ? _mm_unpackhi_epi64(half, half) : half);
            }
        }
    }
}

// In any rounding, to any count of channels.
__attribute__((noinline)) void store_sums(const Tile& tile, const __m256i* sums, int rows) {
    const Panel& panel = *tile.panel;
    for (int r = 0; r < rows; ++r) {
        std::uint8_t* const result = tile.call->y + panel.channel + tile.y_offsets[r];
        for (int v = 0; v < panel.vectors; ++v) {
            const int channels = panel.channels - v * lanes < lanes ? panel.channels - v * lanes : lanes;
            const __m256i integers = requantize_channels(*tile.call->requant, sums[r * panel.vectors + v],
                                                         panel.lane + v * lanes, _mm256_set1_epi32(-1));
            const __m128i words =
                _mm_packus_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
            const std::int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
            __builtin_memcpy(result + v * lanes, &bytes, static_cast<std::size_t>(channels));
        }
    }
}

template <int Rows, int Vectors>
void run_tiles(Tile tile) {
    const bool is_hot = tile.call->narrows && tile.panel->channels == Vectors * lanes;
    for (int t = 0; t < tile.count; ++t) {
        __m256i sums[Rows][Vectors];
        multiply<Rows, Vectors>(tile, sums);
        if (is_hot) {
            store_narrow<Rows, Vectors>(tile, sums);
        } else {
            __m256i stored[Rows * Vectors];
#pragma GCC unroll 12
            for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) stored[r * Vectors + v] = sums[r][v];
            }
            store_sums(tile, stored, Rows);
        }
        tile.rows += Rows * tile.row_step;
        tile.y_offsets += Rows;
    }
}

using RunTiles = void (*)(Tile);

template <int Vectors, int... Rows>
constexpr void fill(RunTiles (&table)[13], std::integer_sequence<int, Rows...>) {
    ((table[Rows + 1] = run_tiles<Rows + 1, Vectors>), ...);
}

struct Tiles {
    RunTiles of[3][13]{};
    constexpr Tiles() {
        fill<1>(of[1], std::make_integer_sequence<int, most_rows[1]>());
        fill<2>(of[2], std::make_integer_sequence<int, most_rows[2]>());
    }
};
constexpr Tiles tiles;

std::size_t scratch_bytes(const Layout& layout, const bw_conv_shape&) {
    const std::int64_t step = row_step(layout.segment_length, static_cast<std::int64_t>(layout.segments.size()));
    return block_scratch_bytes(layout) + 64 +
           static_cast<std::size_t>(widened_rows(step, layout.block_pixels) * step + 16) * sizeof(std::int16_t);
}

void run(const Call& call, int first, int last, std::byte* scratch) {
    const std::int64_t step = row_step(call.segment_length, call.segment_count);
    const int most_pixels = widened_rows(step, call.block_pixels);
    auto* const rows = reinterpret_cast<std::int16_t*>(
        scratch + (static_cast<std::int64_t>(call.block_pixels) * 2 * sizeof(std::int64_t) + 63) / 64 * 64);
    for (int task = first; task < last; ++task) {
        const Block block = open_block(call, task, scratch);
        const int parts = (block.pixels + most_pixels - 1) / most_pixels;
        for (int part = 0; part < parts; ++part) {
            const int begin = block.pixels * part / parts, pixels = block.pixels * (part + 1) / parts - begin;
            std::int64_t widened = -1;  // whose channels the rows hold
            for (int p = block.first_panel; p < block.last_panel; ++p) {
                const Panel& panel = call.panels[p];
                if (panel.x_offset != widened) {
                    widen(call, call.x + panel.x_offset, block.x_offsets + begin, pixels, step, rows);
                    widened = panel.x_offset;
                }
                // The larger tiles first, the others are of one pixel less.
                const int count = (pixels + most_rows[panel.vectors] - 1) / most_rows[panel.vectors];
                const int size = pixels / count, larger = pixels % count, first_smaller = larger * (size + 1);
                const std::int64_t* const y_offsets = block.y_offsets + begin;
                if (larger) tiles.of[panel.vectors][size + 1]({&call, &panel, rows, step, y_offsets, larger});
                tiles.of[panel.vectors][size](
                    {&call, &panel, rows + first_smaller * step, step, y_offsets + first_smaller, count - larger});
            }
        }
    }
}

}  // namespace

const Kernel avx2{"conv.avx2", Isa::avx2, &cut, scratch_bytes, run};

}  // namespace bitwright::conv
