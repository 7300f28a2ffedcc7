// Sums of a tile to results. Internal linkage: each instruction set compiles its own.
//
// V: `Ints` are V::lanes integers of 32 bits, or twice as many of 16; see conv16/vectors_avx512.h.
#pragma once

#include "conv/blocks.h"
#include "conv16/conv16.h"

namespace bitwright::conv16 {
namespace {

// A few pixels by one panel.
struct Tile {
    const Call* call;
    const conv::Panel* panel;
    const std::int64_t* x_offsets;  // where their windows begin, and their results, of the first channel
    const std::int64_t* y_offsets;

    // Of the panel's first channel in pixel 0 of the image.
    const std::int16_t* x() const { return reinterpret_cast<const std::int16_t*>(call->x) + panel->x_offset; }
    std::int16_t* y() const { return reinterpret_cast<std::int16_t*>(call->y) + panel->channel; }
};

// How lanes follow each other in two vectors of sums: as channels do, or as interleaving has them.
enum class Order { channels, halves };

template <class V, Order order>
inline typename V::Ints pack(typename V::Ints a, typename V::Ints b) {
    if constexpr (order == Order::halves) return V::pack_halves(a, b);
    return V::pack(a, b);
}

// Where Call::narrows.
template <class V, Order order, int Rows, int Vectors>
inline void store_narrow(const Tile& tile, const typename V::Ints (&sums)[Rows][Vectors]) {
    const bw_requant& r = *tile.call->requant;
    const auto low = V::splat(r.qmin), high = V::splat(r.qmax);
    const std::int64_t* const y_offsets = tile.y_offsets;
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; v += 2) {
        const int next = v + 1 < Vectors ? v + 1 : v, channels = tile.panel->channels - v * V::lanes;
        std::int16_t* const y = tile.y() + v * V::lanes;
        const typename V::Narrow first(r, tile.panel->lane + v * V::lanes);
        const typename V::Narrow second(r, tile.panel->lane + next * V::lanes);
#pragma GCC unroll 12
        for (int row = 0; row < Rows; ++row) {
            const auto packed = pack<V, order>(first.round(sums[row][v]), second.round(sums[row][next]));
            V::store_first(y + y_offsets[row], V::clamp(packed, low, high), channels);
        }
    }
}

// In any rounding; sums are row after row, each with its vectors one after another: 32-bit ones, or wide ones. Apart
// from the sums' code, so that it takes no registers from it.
template <class V, Order order, typename Sum>
__attribute__((noinline)) void store_any(const Tile& tile, const Sum* sums, int rows) {
    const bw_requant& r = *tile.call->requant;
    const int vectors = tile.panel->vectors;
    const auto requantized = [&](int row, int v) {
        const Sum* const from = sums + (row * vectors + v) * V::lanes;
        const int lane = tile.panel->lane + v * V::lanes;
        if constexpr (sizeof(Sum) == 8) {
            return V::requantize_wide(r, from, lane);
        } else {
            return V::requantize(r, V::load(from), lane);
        }
    };
    for (int row = 0; row < rows; ++row)
        for (int v = 0; v < vectors; v += 2) {
            const auto first = requantized(row, v), second = v + 1 < vectors ? requantized(row, v + 1) : first;
            V::store_first(tile.y() + tile.y_offsets[row] + v * V::lanes, pack<V, order>(first, second),
                           tile.panel->channels - v * V::lanes);
        }
}

// 32-bit sums in any rounding.
template <class V, Order order, int Rows, int Vectors>
inline void store_results(const Tile& tile, const typename V::Ints (&sums)[Rows][Vectors]) {
    if (tile.call->narrows) return store_narrow<V, order>(tile, sums);
    alignas(64) std::int32_t stored[Rows * Vectors * V::lanes];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) V::store(stored + (r * Vectors + v) * V::lanes, sums[r][v]);
    }
    store_any<V, order>(tile, stored, Rows);
}

}  // namespace
}  // namespace bitwright::conv16
