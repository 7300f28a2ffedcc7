// Convolution with vpdpbusd: 16 channels x 4 values of k an instruction. Rows are read where they lie.
#include <immintrin.h>

#include <utility>

#include "base/narrow_avx512.h"
#include "conv/blocks.h"
#include "conv/conv.h"

namespace bitwright::conv {
namespace {

constexpr int lanes = 16;
// Pixels of a tile with 1..4 vectors: sums fill the registers, and enough of them wait for an instruction's latency.
constexpr int most_rows[] = {0, 12, 12, 8, 6};

constexpr Cut cut{.lanes = lanes, .step = 4, .bytes = 1, .most_vectors = 4, .joined = false, .whole = 1};

// A few pixels by one panel: where their windows begin, and their results.
struct Tile {
    const Call* call;
    const Panel* panel;
    const std::int64_t* x_offsets;  // one a pixel
    const std::int64_t* y_offsets;
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
    const std::uint8_t* const x = tile.call->x + tile.panel->x_offset;
    const std::int64_t* const segments = tile.call->segments;
    const int count = tile.call->segment_count;
    const std::int64_t bytes = 4 * static_cast<std::int64_t>(tile.call->steps);
    for (int segment = 0; segment < count; ++segment) {
        const std::uint8_t* row[Rows];
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) row[r] = x + tile.x_offsets[r] + segments[segment];
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

// The quarters [first, first + Vectors) of `bytes`, each of 16 channels; `there` has a bit for each channel that
// exists.
template <int Vectors, bool Full>
inline void store_row(std::uint8_t* result, __m512i bytes, int first, std::uint64_t there) {
    if constexpr (Vectors >= 3) {
        if constexpr (Full && Vectors == 4) {
            _mm512_storeu_si512(result, bytes);
        } else if constexpr (Full) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(result), _mm512_castsi512_si256(bytes));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(result + 32), _mm512_extracti32x4_epi32(bytes, 2));
        } else {
            _mm512_mask_storeu_epi8(result, there, bytes);
        }
    } else if constexpr (Vectors == 2) {
        const __m256i half = first == 0 ? _mm512_castsi512_si256(bytes) : _mm512_extracti64x4_epi64(bytes, 1);
        if constexpr (Full) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(result), half);
        } else {
            _mm256_mask_storeu_epi8(result, static_cast<__mmask32>(there), half);
        }
    } else {
        const __m128i quarter = first == 0   ? _mm512_castsi512_si128(bytes)
                                : first == 1 ? _mm512_extracti32x4_epi32(bytes, 1)
                                : first == 2 ? _mm512_extracti32x4_epi32(bytes, 2)
                                             : _mm512_extracti32x4_epi32(bytes, 3);
        if constexpr (Full) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(result), quarter);
        } else {
            _mm_mask_storeu_epi8(result, static_cast<__mmask16>(there), quarter);
        }
    }
}

// Where Call::narrows. Full: all lanes of the panel are channels.
template <int Rows, int Vectors, bool Full>
inline void store_narrow(const Tile& tile, const __m512i (&sums)[Rows][Vectors]) {
    const Narrow narrow(*tile.call->requant);
    std::uint8_t* const y = tile.call->y + tile.panel->channel;
    const std::uint64_t there = tile.panel->channels == 64 ? ~0ull : (1ull << tile.panel->channels) - 1;
    __m512 scale[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
        scale[v] = _mm512_loadu_ps(tile.call->requant->scale + tile.panel->lane + v * lanes);
    constexpr int together = Vectors >= 3 ? 1 : 4 / Vectors;  // rows whose bytes fill a vector
#pragma GCC unroll 12
    for (int r = 0; r < Rows; r += together) {
        __m512i i[4];
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) {
            if (Vectors == 3 && q == 3) {
                i[q] = i[2];
            } else {
                const int row = r + q / Vectors < Rows ? r + q / Vectors : Rows - 1;
                i[q] = Narrow::round(sums[row][q % Vectors], scale[q % Vectors]);
            }
        }
        const __m512i bytes = narrow.bytes(i[0], i[1], i[2], i[3]);
        store_row<Vectors, Full>(y + tile.y_offsets[r], bytes, 0, there);
        if constexpr (together > 1) {
#pragma GCC unroll 4
            for (int q = 1; q < together; ++q)
                if (r + q < Rows) store_row<Vectors, Full>(y + tile.y_offsets[r + q], bytes, q, there);
        }
    }
}

// Any rounding, any number of channels. Apart from the sums' code, so that it takes no registers from it.
__attribute__((noinline)) void store_any(const Tile& tile, const std::int32_t* sums, int rows, int vectors) {
    for (int r = 0; r < rows; ++r) {
        for (int v = 0; v < vectors; ++v, sums += lanes) {
            const int left = tile.panel->channels - v * lanes;
            const auto there = static_cast<__mmask16>(left >= lanes ? 0xffff : (1u << left) - 1);
            const int lane = tile.panel->lane + v * lanes;
            const __m512i integers =
                requantize_channels(*tile.call->requant, _mm512_load_si512(sums), lane, static_cast<__mmask16>(0xffff));
            _mm_mask_storeu_epi8(tile.call->y + tile.panel->channel + tile.y_offsets[r] + v * lanes, there,
                                 _mm512_cvtepi32_epi8(integers));
        }
    }
}

template <int Rows, int Vectors>
void run_tile(const Tile& tile) {
    __m512i sums[Rows][Vectors];
    multiply<Rows, Vectors>(tile, sums);
    if (tile.call->narrows) {
        if (tile.panel->channels == Vectors * lanes) return store_narrow<Rows, Vectors, true>(tile, sums);
        return store_narrow<Rows, Vectors, false>(tile, sums);
    }
    alignas(64) std::int32_t stored[Rows * Vectors * lanes];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) _mm512_store_si512(stored + (r * Vectors + v) * lanes, sums[r][v]);
    }
    store_any(tile, stored, Rows, Vectors);
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
            int pixel = 0;
            for (int t = 0; t < count; ++t) {
                const int end = static_cast<int>(static_cast<std::int64_t>(block.pixels) * (t + 1) / count);
                tiles.of[panel.vectors][end - pixel]({&call, &panel, block.x_offsets + pixel, block.y_offsets + pixel});
                pixel = end;
            }
        }
    }
}

}  // namespace

const Kernel avx512vnni{"conv.avx512vnni", Isa::avx512vnni, &cut, scratch_bytes, run};

}  // namespace bitwright::conv
