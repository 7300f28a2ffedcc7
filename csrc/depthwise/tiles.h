// The tiles that kernels go through rows in, whatever their vectors. Internal linkage: each instruction set compiles
// its own.
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
inline void load_four(const Place& place, const std::uint8_t* x, const std::int64_t* taps,
                      typename V::Bytes (&four)[4]) {
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

// Sums of Rows x Vectors vectors.
template <typename V, int Rows, int Vectors>
using Sums = typename V::Sums[Rows][Vectors][4];

// Adds what four taps give.
template <typename V, int Rows, int Vectors, bool Gathers>
inline void add_four(const Place& place, int index, Sums<V, Rows, Vectors>& sums) {
    const Call& call = *place.call;
    constexpr int row_bytes = 4 * V::weights_bytes;
    const std::byte* const weights = call.weights + place.pattern->weights + index * call.rows * row_bytes;
    typename V::Bytes four[Vectors][4];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
        load_four<V, Gathers>(place, place.x + v * call.x_step, place.taps + index * 4, four[v]);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
#pragma GCC unroll 2
        for (int r = 0; r < Rows; ++r) {
            const typename V::Weights w = V::load_weights(weights + r * row_bytes + q * V::weights_bytes);
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sums[r][v][q] = V::multiply(sums[r][v][q], four[v][q], w);
        }
}

// Rows x Vectors vectors of results: rows one below the other, vectors x_step apart. Fours 0: as many as there are.
template <typename V, int Rows, int Vectors, int Fours, bool Gathers, bool Narrows>
inline void run_tile(const Place& place, const typename V::Finish& finish, typename V::Lanes last) {
    const Call& call = *place.call;
    Sums<V, Rows, Vectors> sums;
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
        const typename V::Sums start = V::start(call.bias + place.pattern->lane + q * V::lanes / 4);
#pragma GCC unroll 2
        for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sums[r][v][q] = start;
    }
    if constexpr (Fours > 0) {
#pragma GCC unroll 4
        for (int i = 0; i < Fours; ++i) add_four<V, Rows, Vectors, Gathers>(place, i, sums);
    } else {
        for (int i = 0; i < call.fours; ++i) add_four<V, Rows, Vectors, Gathers>(place, i, sums);
    }
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            const typename V::Bytes bytes = Narrows ? finish.narrow(sums[r][v]) : finish.requantize(sums[r][v]);
            V::store(place.y + r * call.shape->y_sh + v * call.y_step, bytes, v + 1 == Vectors ? last : finish.each);
        }
}

// All vectors of a pattern, in Rows rows.
template <typename V, int Rows, int Vectors, int Fours, bool Gathers, bool Narrows>
__attribute__((noinline)) void run_tiles(Place place) {
    const Call& call = *place.call;
    const typename V::Finish finish(*call.requant, *place.pattern);
    int left = place.pattern->vectors;
    for (; left >= Vectors; left -= Vectors) {
        run_tile<V, Rows, Vectors, Fours, Gathers, Narrows>(place, finish, left == Vectors ? finish.last : finish.each);
        place.x += Vectors * call.x_step;
        place.y += Vectors * call.y_step;
    }
    if (left) run_tile<V, Rows, 1, Fours, Gathers, Narrows>(place, finish, finish.last);
}

template <typename V, int Rows, bool Gathers>
void run_pattern(const Place& place) {
    // 3 x 3 windows: two rows see 12 taps with stride 1, 15 with stride 2.
    const bool is_usual = place.call->narrows && Rows == 2;
    if (!place.call->narrows) {
        run_tiles<V, Rows, 1, 0, Gathers, false>(place);
    } else if (!Gathers && is_usual && place.call->fours == 3) {
        run_tiles<V, 2, V::most_vectors, 3, false, true>(place);
    } else if ((Gathers || !V::cut.shares_columns) && is_usual && place.call->fours == 4) {
        run_tiles<V, 2, V::most_vectors, 4, Gathers, true>(place);
    } else {
        run_tiles<V, Rows, V::most_vectors, 0, Gathers, true>(place);
    }
}

// `rows` rows of results, the first at y, of some patterns.
template <typename V>
void run_rows(const Call& call, const std::uint8_t* x, std::uint8_t* y, int rows, int first, int last) {
    const std::int64_t* const taps = rows == call.rows ? call.taps : call.taps + 4 * call.fours;
    for (int p = first; p < last; ++p) {
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
        const int part = task % call.pattern_tasks, block = task / call.pattern_tasks;
        const int n = block / call.row_tasks, start = block % call.row_tasks * call.task_rows;
        const int end = start + call.task_rows < s.oh ? start + call.task_rows : s.oh;
        const int first_pattern = call.pattern_count * part / call.pattern_tasks;
        const int last_pattern = call.pattern_count * (part + 1) / call.pattern_tasks;
        for (int row = start; row < end; row += call.rows) {
            const int rows = end - row < call.rows ? end - row : call.rows;
            run_rows<V>(call, call.x + n * s.x_sn + row * s.stride_h * s.x_sh, call.y + n * s.y_sn + row * s.y_sh, rows,
                        first_pattern, last_pattern);
        }
    }
}

}  // namespace
}  // namespace bitwright::depthwise
