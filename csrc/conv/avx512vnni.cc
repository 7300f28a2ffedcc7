// Convolution with vpdpbusd: 16 channels x 4 values of k an instruction. Rows are read where they lie.
#include <immintrin.h>

#include <utility>

#include "base/requantize_avx512.h"
#include "conv/blocks.h"
#include "conv/conv.h"

namespace bitwright::conv {
namespace {

constexpr int lanes = 16;
// Pixels of a tile with 1..4 vectors: sums fill the registers, and enough of them wait for an instruction's latency.
constexpr int most_rows[] = {0, 12, 12, 8, 6};

constexpr Cut cut{.lanes = lanes, .step = 4, .bytes = 1, .most_vectors = 4, .joined = false, .whole = 1};

struct Tile {
    const Call* call;
    const Panel* panel;
    const std::uint8_t* const* rows;
    std::uint8_t* const* results;
};

template <int Rows, int Vectors>
inline void multiply(const Tile& tile, __m512i (&sums)[Rows][Vectors]) {
    const std::int32_t* bias = tile.call->bias + tile.panel->lane;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
        const __m512i start = _mm512_loadu_si512(bias + v * lanes);
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) sums[r][v] = start;
    }
    const std::byte* weights = tile.call->weights + tile.panel->weights;
    const std::int64_t* const segments = tile.call->segments;
    const int count = tile.call->segment_count;
    const std::int64_t bytes = 4 * static_cast<std::int64_t>(tile.call->steps);
    for (int segment = 0; segment < count; ++segment) {
        const std::uint8_t* row[Rows];
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) row[r] = tile.rows[r] + segments[segment];
        for (std::int64_t k = 0; k < bytes; k += 4) {
            __m512i columns[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) columns[v] = _mm512_load_si512(weights + v * 64);
            weights += Vectors * 64;
#pragma GCC unroll 12
            for (int r = 0; r < Rows; ++r) {
                std::int32_t four;
                __builtin_memcpy(&four, row[r] + k, 4);
                const __m512i values = _mm512_set1_epi32(four);
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], values, columns[v]);
            }
        }
    }
}

// Integers of one row, 16 channels a vector, to bytes; the last `channels` of them only.
template <int Vectors>
inline void store(std::uint8_t* result, const __m512i (&row)[Vectors], int channels) {
    if constexpr (Vectors == 4) {
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m512i halves[] = {_mm512_packus_epi32(row[0], row[1]), _mm512_packus_epi32(row[2], row[3])};
        const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(halves[0], halves[1]));
        if (channels == 64) {
            _mm512_storeu_si512(result, bytes);
        } else {
            _mm512_mask_storeu_epi8(result, (1ull << channels) - 1, bytes);
        }
    } else {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            const int left = channels - v * lanes;
            const __m128i bytes = _mm512_cvtepi32_epi8(row[v]);
            if (left >= lanes) {
                _mm_storeu_si128(reinterpret_cast<__m128i*>(result + v * lanes), bytes);
            } else {
                _mm_mask_storeu_epi8(result + v * lanes, static_cast<__mmask16>((1u << left) - 1), bytes);
            }
        }
    }
}

template <int Rows, int Vectors>
void run_tile(const Tile& tile) {
    __m512i sums[Rows][Vectors];
    multiply<Rows, Vectors>(tile, sums);
    const bw_requant& requant = *tile.call->requant;
    const int lane = tile.panel->lane, channels = tile.panel->channels;
    if (requant.rounding == BW_FP32_EVEN) {
        const __m512 low = _mm512_set1_ps(static_cast<float>(requant.qmin - requant.zero_point));
        const __m512 high = _mm512_set1_ps(static_cast<float>(requant.qmax - requant.zero_point));
        const __m512i zero_point = _mm512_set1_epi32(requant.zero_point);
        __m512 scale[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) scale[v] = _mm512_loadu_ps(requant.scale + lane + v * lanes);
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v)
                sums[r][v] = requantize_fp32_even(sums[r][v], scale[v], low, high, zero_point);
            store<Vectors>(tile.results[r], sums[r], channels);
        }
        return;
    }
    for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < Vectors; ++v)
            sums[r][v] = requantize_channels(requant, sums[r][v], lane + v * lanes, 0xffff);
        store<Vectors>(tile.results[r], sums[r], channels);
    }
}

using RunTile = void (*)(const Tile&);

template <int Vectors, int... Rows>
constexpr void fill(RunTile (&table)[13], std::integer_sequence<int, Rows...>) {
    ((table[Rows + 1] = run_tile<Rows + 1, Vectors>), ...);
}

struct Tiles {
    RunTile of[5][13]{};
    constexpr Tiles() {
        fill<1>(of[1], std::make_integer_sequence<int, most_rows[1]>());
        fill<2>(of[2], std::make_integer_sequence<int, most_rows[2]>());
        fill<3>(of[3], std::make_integer_sequence<int, most_rows[3]>());
        fill<4>(of[4], std::make_integer_sequence<int, most_rows[4]>());
    }
};
constexpr Tiles tiles;

std::size_t scratch_bytes(const Layout& layout, const bw_conv_shape&) { return block_scratch_bytes(layout); }

void run(const Call& call, int first, int last, std::byte* scratch) {
    for (int task = first; task < last; ++task) {
        const Block block = open_block(call, task, scratch);
        for (int p = block.first_panel; p < block.last_panel; ++p) {
            const Panel& panel = call.panels[p];
            const int most = most_rows[panel.vectors];
            const int count = (block.pixels + most - 1) / most;
            const std::uint8_t* rows[12];
            std::uint8_t* results[12];
            int pixel = 0;
            for (int t = 0; t < count; ++t) {
                const int end = static_cast<int>(static_cast<std::int64_t>(block.pixels) * (t + 1) / count);
                const int size = end - pixel;
                for (int r = 0; r < size; ++r) {
                    rows[r] = call.x + block.x_offsets[pixel + r] + panel.x_offset;
                    results[r] = call.y + block.y_offsets[pixel + r] + panel.channel;
                }
                tiles.of[panel.vectors][size]({&call, &panel, rows, results});
                pixel = end;
            }
        }
    }
}

}  // namespace

const Kernel avx512vnni{"conv.avx512vnni", Isa::avx512vnni, &cut, scratch_bytes, run};

}  // namespace bitwright::conv
