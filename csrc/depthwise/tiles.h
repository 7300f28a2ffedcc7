// The tiles that kernels go through rows in, whatever their vectors. Internal linkage: each instruction set compiles its
// own.
//
// V is how an instruction set does it: vectors of `lanes` channels in four quarters, up to `most_vectors` side by side.
#pragma once

#include "depthwise/depthwise.h"

namespace bitwright::depthwise {
namespace {

// The next vector of results: where its window and its results begin.
struct Place {
    const Call* call;
    const Pattern* pattern;
    const std::int64_t* taps;
    const std::uint8_t* x;
    std::uint8_t* y;
};

template <typename V, bool Gathers>
inline void load_four(const Place& place, const std::uint8_t* x, const std::int64_t* taps, typename V::Bytes (&four)[4]) {
    typename V::Bytes bytes[4];
#pragma GCC unroll 4
    for (int t = 0; t < 4; ++t) {
        if constexpr (Gathers) {
            bytes[t] = V::gather(x + taps[t], place.call->gathers[place.pattern->gather]);
        } else {
            bytes[t] = V::load(x + taps[t]);
        }
    }
    V::interleave(bytes, four);
}

// Rows x Vectors vectors of results: rows one below the other, vectors x_step apart. Fours 0: as many as there are.
template <typename V, int Rows, int Vectors, int Fours, bool Gathers, bool Narrows>
inline void run_tile(const Place& place, int last_lanes) {
    const Call& call = *place.call;
    const int lane = place.pattern->lane;
    constexpr int row_bytes = 4 * V::weights_bytes;
    typename V::Sums sums[Rows][Vectors][4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
        const typename V::Sums start = V::start(call.bias + lane + q * V::lanes / 4);
#pragma GCC unroll 2
        for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sums[r][v][q] = start;
    }
    const std::byte* weights = call.weights + place.pattern->weights;
    const std::int64_t* taps = place.taps;
    const int fours = Fours ? Fours : call.fours;
#pragma GCC unroll 4
    for (int i = 0; i < fours; ++i) {
        typename V::Bytes four[Vectors][4];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) load_four<V, Gathers>(place, place.x + v * call.x_step, taps, four[v]);
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q)
#pragma GCC unroll 2
            for (int r = 0; r < Rows; ++r) {
                const typename V::Weights w = V::load_weights(weights + r * row_bytes + q * V::weights_bytes);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) sums[r][v][q] = V::multiply(sums[r][v][q], four[v][q], w);
            }
        weights += row_bytes * call.rows;
        taps += 4;
    }
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            const typename V::Bytes bytes = Narrows ? V::narrow(*call.requant, sums[r][v], lane)
                                                    : V::requantize(*call.requant, sums[r][v], lane);
            V::store(place.y + r * call.shape->y_sh + v * call.y_step, bytes,
                     v + 1 == Vectors ? last_lanes : place.pattern->lanes);
        }
}

// All vectors of a pattern, in Rows rows.
template <typename V, int Rows, int Vectors, int Fours, bool Gathers, bool Narrows>
void run_tiles(Place place) {
    const Call& call = *place.call;
    const Pattern& pattern = *place.pattern;
    int left = pattern.vectors;
    for (; left >= Vectors; left -= Vectors) {
        run_tile<V, Rows, Vectors, Fours, Gathers, Narrows>(place, left == Vectors ? pattern.last_lanes : pattern.lanes);
        place.x += Vectors * call.x_step;
        place.y += Vectors * call.y_step;
    }
    if (left) run_tile<V, Rows, 1, Fours, Gathers, Narrows>(place, pattern.last_lanes);
}

template <typename V, int Rows, bool Gathers>
void run_pattern(const Place& place) {
    // 3 x 3 windows: two rows see 12 taps with stride 1, 15 with stride 2.
    constexpr int usual = Gathers ? 4 : 3;
    if (!place.call->narrows) {
        run_tiles<V, Rows, 1, 0, Gathers, false>(place);
    } else if (Rows == 2 && place.call->fours == usual) {
        run_tiles<V, Rows, V::most_vectors, usual, Gathers, true>(place);
    } else {
        run_tiles<V, Rows, V::most_vectors, 0, Gathers, true>(place);
    }
}

// `rows` rows of results, those at y and below.
template <typename V>
void run_rows(const Call& call, const std::uint8_t* x, std::uint8_t* y, int rows) {
    const std::int64_t* const taps = rows == call.rows ? call.taps : call.taps + 4 * call.fours;
    for (int p = 0; p < call.pattern_count; ++p) {
        const Pattern& pattern = call.patterns[p];
        const Place place{&call, &pattern, taps, x + pattern.x_offset, y + pattern.y_offset};
        if (call.shared_columns && call.narrows) {
            V::run_shared(place, rows);
        } else if (pattern.gather >= 0) {
            if constexpr (V::cut.gathers) rows == 2 ? run_pattern<V, 2, true>(place) : run_pattern<V, 1, true>(place);
        } else {
            rows == 2 ? run_pattern<V, 2, false>(place) : run_pattern<V, 1, false>(place);
        }
    }
}

template <typename V>
void run(const Call& call, int first, int last) {
    const bw_depthwise_shape& s = *call.shape;
    for (int task = first; task < last; ++task) {
        const int n = task / call.image_tasks, start = task % call.image_tasks * call.task_rows;
        const int end = start + call.task_rows < s.oh ? start + call.task_rows : s.oh;
        for (int row = start; row < end; row += call.rows) {
            const int rows = end - row < call.rows ? end - row : call.rows;
            run_rows<V>(call, call.x + n * s.x_sn + row * s.stride_h * s.x_sh, call.y + n * s.y_sn + row * s.y_sh, rows);
        }
    }
}

}  // namespace
}  // namespace bitwright::depthwise
