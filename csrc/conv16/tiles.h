// Tiles of a convolution: some pixels by one panel, whose sums fill the registers. Rows are read where they lie.
// Internal linkage: each instruction set compiles its own. V: see conv16/results.h.
#pragma once

#include <utility>

#include "conv16/results.h"

namespace bitwright::conv16 {
namespace {

template <class V>
constexpr conv::Cut cut_for{
    .lanes = V::lanes, .step = 2, .bytes = 2, .most_vectors = V::most_vectors, .joined = false, .whole = 1};

// Adds the products of the pieces [piece, last) to sums. Returns the weights that follow.
template <class V, int Rows, int Vectors>
inline const std::byte* multiply(const Tile& tile, const Piece* piece, const Piece* last, const std::byte* weights,
                                 typename V::Ints (&sums)[Rows][Vectors]) {
    constexpr int vector_bytes = V::lanes * 4;
    for (; piece != last; ++piece) {
        const std::int16_t* row[Rows];
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) row[r] = tile.x() + tile.x_offsets[r] + piece->x_offset;
        const std::int64_t length = 2 * static_cast<std::int64_t>(piece->steps);
        for (std::int64_t k = 0; k < length; k += 2) {
            typename V::Ints columns[Vectors];
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) columns[v] = V::load(weights + v * vector_bytes);
            weights += Vectors * vector_bytes;
#pragma GCC unroll 12
            for (int r = 0; r < Rows; ++r) {
                const auto values = V::splat_pair(row[r] + k);
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) sums[r][v] = V::add_products(sums[r][v], values, columns[v]);
#pragma GCC unroll 4
                for (int v = 0; v < Vectors; ++v) V::keep_order(sums[r][v], columns[v]);
            }
        }
    }
    return weights;
}

template <class V>
__attribute__((noinline)) void add_to_wide(std::int64_t* wide, const std::int32_t* sums, int vectors) {
    for (int v = 0; v < vectors; ++v) V::add_to_wide(wide + v * V::lanes, V::load(sums + v * V::lanes));
}

template <class V, int Rows, int Vectors>
void run_tile(const Tile& tile) {
    const Call& call = *tile.call;
    constexpr int row_lanes = Vectors * V::lanes;
    alignas(64) std::int64_t wide[Rows * row_lanes];
    const Piece* piece = call.pieces;
    const std::byte* weights = call.weights + tile.panel->weights;
    typename V::Ints sums[Rows][Vectors];
    for (int chunk = 0; chunk < call.chunk_count; ++chunk) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
            const auto start = V::load(call.bias + tile.panel->lane + v * V::lanes);
#pragma GCC unroll 12
            for (int r = 0; r < Rows; ++r) sums[r][v] = start;
        }
        const Piece* const last = call.pieces + call.chunks[chunk];
        weights = multiply<V, Rows, Vectors>(tile, piece, last, weights, sums);
        if (call.wide_bias == nullptr) return store_results<V, Order::channels>(tile, sums);
        piece = last;
        if (chunk == 0)
            for (int r = 0; r < Rows; ++r)
                __builtin_memcpy(wide + r * row_lanes, call.wide_bias + tile.panel->lane, row_lanes * 8);
        alignas(64) std::int32_t stored[Rows * row_lanes];
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) V::store(stored + r * row_lanes + v * V::lanes, sums[r][v]);
        }
        add_to_wide<V>(wide, stored, Rows * Vectors);
    }
    store_any<V, Order::channels>(tile, wide, Rows);
}

constexpr int most_tile_rows = 12;
using RunTile = void (*)(const Tile&);

template <class V>
struct Tiles {
    RunTile of[V::most_vectors + 1][most_tile_rows + 1]{};

    constexpr Tiles() { fill(std::make_integer_sequence<int, V::most_vectors>()); }

  private:
    template <int... Index>
    constexpr void fill(std::integer_sequence<int, Index...>) {
        (fill_rows<Index + 1>(std::make_integer_sequence<int, V::most_rows[Index + 1]>()), ...);
    }
    template <int Vectors, int... Index>
    constexpr void fill_rows(std::integer_sequence<int, Index...>) {
        ((of[Vectors][Index + 1] = run_tile<V, Index + 1, Vectors>), ...);
    }
};

// All tiles of the tasks [first, last): panel by panel, so that weights are read once a block from afar.
template <class V>
void run_conv(const Call& call, int first, int last, std::byte* scratch) {
    static constexpr Tiles<V> tiles;
    for (int task = first; task < last; ++task) {
        const conv::Block block = conv::open_block(call, task, scratch);
        for (int p = block.first_panel; p < block.last_panel; ++p) {
            const conv::Panel& panel = call.panels[p];
            const int most = V::most_rows[panel.vectors], count = (block.pixels + most - 1) / most;
            for (int t = 0, begin = 0; t < count; ++t) {
                const int end = static_cast<int>(static_cast<std::int64_t>(block.pixels) * (t + 1) / count);
                tiles.of[panel.vectors][end - begin]({&call, &panel, block.x_offsets + begin, block.y_offsets + begin});
                begin = end;
            }
        }
    }
}

}  // namespace
}  // namespace bitwright::conv16
