// Tiles of a depthwise convolution: some pixels by the channels of one panel. Elements of two taps are interleaved, so
// that one instruction sums both. Internal linkage: each instruction set compiles its own. V: see conv16/results.h.
#pragma once

#include <utility>

#include "conv16/results.h"

namespace bitwright::conv16 {
namespace {

template <class V, int Pixels>
inline void run_panel(const Tile& tile) {
    const Call& call = *tile.call;
    const conv::Panel& panel = *tile.panel;
    constexpr int vector_bytes = V::lanes * 4;
    typename V::Ints sums[Pixels][2];
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
        const auto start = V::load(call.bias + panel.lane + v * V::lanes);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) sums[p][v] = start;
    }
    const std::byte* weights = call.weights + panel.weights;
    const std::int64_t* tap = call.segments;
    const std::int16_t* row[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) row[p] = tile.x() + tile.x_offsets[p];
    for (int pair = 0; pair < call.steps; ++pair, tap += 2, weights += 2 * vector_bytes) {
        const auto low = V::load(weights), high = V::load(weights + vector_bytes);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) {
            auto first = V::load(row[p] + tap[0]), second = V::load(row[p] + tap[1]);
            V::keep(first);
            V::keep(second);
            sums[p][0] = V::add_products(sums[p][0], V::interleave_low(first, second), low);
            sums[p][1] = V::add_products(sums[p][1], V::interleave_high(first, second), high);
        }
    }
    store_results<V, Order::halves>(tile, sums);
}

// All panels from that of the tile up to `last`.
template <class V, int Pixels>
void run_pixels(Tile tile, const conv::Panel* last) {
    for (; tile.panel != last; ++tile.panel) run_panel<V, Pixels>(tile);
}

using RunPixels = void (*)(Tile, const conv::Panel*);

template <class V>
struct Pixels {
    RunPixels of[V::most_pixels + 1]{};

    constexpr Pixels() { fill(std::make_integer_sequence<int, V::most_pixels>()); }

  private:
    template <int... Index>
    constexpr void fill(std::integer_sequence<int, Index...>) {
        ((of[Index + 1] = run_pixels<V, Index + 1>), ...);
    }
};

// All tiles of the tasks [first, last): pixels by pixels, so that their channels are read in order.
template <class V>
void run_depthwise(const Call& call, int first, int last, std::byte* scratch) {
    static constexpr Pixels<V> pixels;
    for (int task = first; task < last; ++task) {
        const conv::Block block = conv::open_block(call, task, scratch);
        const int count = (block.pixels + V::most_pixels - 1) / V::most_pixels;
        for (int t = 0, begin = 0; t < count; ++t) {
            const int end = static_cast<int>(static_cast<std::int64_t>(block.pixels) * (t + 1) / count);
            pixels.of[end - begin](
                {&call, call.panels + block.first_panel, block.x_offsets + begin, block.y_offsets + begin},
                call.panels + block.last_panel);
            begin = end;
        }
    }
}

}  // namespace
}  // namespace bitwright::conv16
