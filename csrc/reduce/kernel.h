// The kernel of reductions of bytes, written with the Bytes of an instruction set: its file includes them first.
#pragma once

#include "reduce/columns.h"
#include "reduce/reduce.h"

namespace bitwright::reduce {
namespace {

constexpr int vectors = 4;
constexpr int block_channels = vectors * Bytes::size;

// Sums to results, in place.
template <typename Round>
inline void finish_fixed(const bw_reduce_shape& s, std::uint32_t* sums, int count, const Round& round) {
    using V = Bytes::V;
    const bw_requant& r = s.requant;
    const V offset = Bytes::all_lanes(s.offset), zero_point = Bytes::all_lanes(r.zero_point);
    const V multiplier = Bytes::all_lanes(r.multiplier[0]), shift = Bytes::all_lanes(r.shift[0]);
    const V low = Bytes::all_lanes(r.qmin), high = Bytes::all_lanes(r.qmax);
    for (int i = 0; i < count; i += Bytes::lanes) {
        const V rounded = round(Bytes::add_lanes(Bytes::load_lanes(sums + i), offset), multiplier, shift);
        Bytes::store_lanes(sums + i, Bytes::clamp_lanes(Bytes::add_lanes(rounded, zero_point), low, high));
    }
}

inline void finish(const bw_reduce_shape& s, std::uint32_t* sums, int count) {
    using V = Bytes::V;
    if (s.kind == BW_REDUCE_SUM_AFFINE) {
        const bw_affine affine = s.affine;
        const auto offset = static_cast<std::uint32_t>(s.offset);
        for (int i = 0; i < count; ++i)
            sums[i] =
                static_cast<std::uint32_t>(bw_finish_affine(&affine, static_cast<std::int32_t>(sums[i] + offset)));
    } else if (s.requant.rounding == BW_DOUBLE) {
        finish_fixed(s, sums, count, [](V sum, V m, V shift) { return requantize_double(sum, m, shift); });
    } else {
        finish_fixed(s, sums, count, [](V sum, V m, V shift) { return requantize_single(sum, m, shift); });
    }
}

// Calls work with each block of the two innermost reduced dimensions.
template <typename Work>
inline void for_each_block(const bw_positions& reduced, const std::uint8_t* x, const Work& work) {
    const int rank = reduced.rank;
    const Block block{x, rank > 1 ? reduced.size[rank - 2] : 1, rank > 0 ? reduced.size[rank - 1] : 1,
                      rank > 1 ? reduced.stride[rank - 2] : 0, rank > 0 ? reduced.stride[rank - 1] : 0};
    bw_positions outer = reduced;
    outer.rank = rank > 2 ? rank - 2 : 0;
    const std::int64_t count = bw_count(&outer);
    for (std::int64_t i = 0; i < count; ++i) {
        Block moved = block;
        moved.x += bw_place(&outer, i);
        work(moved);
    }
}

template <int N>
inline void sum_channels(const bw_reduce_shape& s, const std::uint8_t* x, std::uint8_t* y, std::int64_t channels) {
    alignas(64) std::uint32_t sums[N * Bytes::size] = {};
    for_each_block(s.reduced, x, [&](const Block& block) { add_sums<N>(block, Bytes::size, sums); });
    finish(s, sums, N * Bytes::size);
    store_bytes(sums, y, channels);
}

template <bool Largest, int N>
inline void extreme_channels(const bw_reduce_shape& s, const std::uint8_t* x, std::uint8_t* y, std::int64_t channels) {
    Bytes::V best[N];
    for (int n = 0; n < N; ++n) best[n] = Bytes::all_bytes(Largest ? 0 : 255);
    for_each_block(s.reduced, x, [&](const Block& block) {
        Bytes::V seen[N];
        extremes<Largest>(block, Bytes::size, seen);
        for (int n = 0; n < N; ++n) best[n] = Largest ? Bytes::max(best[n], seen[n]) : Bytes::min(best[n], seen[n]);
    });
    for (int n = 0; n < N; ++n) {
        const std::int64_t left = channels - n * Bytes::size;
        Bytes::store(y + n * Bytes::size, best[n], static_cast<int>(left < Bytes::size ? left : Bytes::size));
    }
}

template <int N>
inline void reduce_channels(const bw_reduce_shape& s, const std::uint8_t* x, std::uint8_t* y, std::int64_t channels) {
    if (s.kind == BW_REDUCE_MAX) {
        extreme_channels<true, N>(s, x, y, channels);
    } else if (s.kind == BW_REDUCE_MIN) {
        extreme_channels<false, N>(s, x, y, channels);
    } else {
        sum_channels<N>(s, x, y, channels);
    }
}

// One result, of rows that lie contiguous.
inline std::uint8_t reduce_rows(const bw_reduce_shape& s, const std::uint8_t* x) {
    const bool is_sum = s.kind == BW_REDUCE_SUM || s.kind == BW_REDUCE_SUM_AFFINE;
    const std::uint8_t none = s.kind == BW_REDUCE_MIN ? 255 : 0;
    Bytes::V sums = Bytes::zero(), best = Bytes::all_bytes(none);
    const auto take = [&](Bytes::V seen) {
        if (is_sum) {
            sums = Bytes::add_neighbours(sums, seen);
        } else {
            best = s.kind == BW_REDUCE_MAX ? Bytes::max(best, seen) : Bytes::min(best, seen);
        }
    };
    for_each_block(s.reduced, x, [&](const Block& block) {
        for (std::int64_t r = 0; r < block.rows; ++r) {
            const std::uint8_t* const row = block.x + r * block.sh;
            std::int64_t q = 0;
            for (; q + Bytes::size <= block.cols; q += Bytes::size) take(Bytes::load(row + q));
            if (q < block.cols) take(Bytes::load(row + q, static_cast<int>(block.cols - q), none));
        }
    });
    if (is_sum) return static_cast<std::uint8_t>(bw_finish_sum(&s, Bytes::total(sums)));
    std::uint8_t lanes[Bytes::size], found = none;
    Bytes::store(lanes, best);
    for (const std::uint8_t lane : lanes) found = (lane > found) == (none == 0) ? lane : found;
    return found;
}

void run(const Call& call, std::int64_t first, std::int64_t last) {
    const bw_reduce_shape& s = *call.shape;
    const auto* const x = static_cast<const std::uint8_t*>(call.x);
    auto* const y = static_cast<std::uint8_t*>(call.y);
    const std::int64_t blocks = (s.c + block_channels - 1) / block_channels;
    const bool in_rows = s.c == 1 && s.reduced.rank > 0 && s.reduced.stride[s.reduced.rank - 1] == 1;
    for (std::int64_t unit = first; unit < last; ++unit) {
        const std::int64_t o = unit / blocks, c = unit % blocks * block_channels;
        const std::uint8_t* const from = x + bw_place(&s.kept, o) + c;
        std::uint8_t* const to = y + o * s.c + c;
        if (in_rows) {
            *to = reduce_rows(s, from);
        } else if (s.c - c >= block_channels) {
            reduce_channels<vectors>(s, from, to, block_channels);
        } else {
            for (std::int64_t i = 0; i < s.c - c; i += Bytes::size) {
                const std::int64_t left = s.c - c - i;
                reduce_channels<1>(s, from + i, to + i, left < Bytes::size ? left : Bytes::size);
            }
        }
    }
}

}  // namespace
}  // namespace bitwright::reduce
