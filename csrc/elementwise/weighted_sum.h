// Weighted sums of bytes, a vector of them at a time, without 32-bit products: with m = 2^16 high + low,
//
//   (m0*a + m1*b + bias) >> 16  =  high0*a + high1*b + ((low0*a + low1*b + bias) >> 16)
//
// where pairs of bytes times `high` are 16-bit sums, and pairs of 16 bits times `low` 32-bit ones. Internal linkage:
// each instruction set compiles its own.
//
// V::Bytes is a vector, whose 128-bit lanes are unpacked and packed apart from each other, so that elements end in
// order.
#pragma once

#include "elementwise/pair.h"

namespace bitwright::elementwise {
namespace {

template <class V>
struct BytesSum {
    using Bytes = typename V::Bytes;
    Bytes high, low, bias, least, most;
    __m128i shift;  // of 16-bit sums

    BytesSum(const bw_pair& p, std::int64_t start)
        : bias(V::splat_32(static_cast<std::int32_t>(start))),
          least(V::splat_8(p.requant.qmin)),
          most(V::splat_8(p.requant.qmax)),
          shift(_mm_cvtsi32_si128(p.weight_shift - 16)) {
        const std::int32_t m0 = p.multiplier[0], m1 = p.multiplier[1];
        const std::int32_t high0 = (m0 + 32768) >> 16, high1 = (m1 + 32768) >> 16;
        high = V::splat_16((high0 & 255) | (high1 & 255) << 8);
        low = V::splat_32((m0 & 65535) | static_cast<std::int32_t>(static_cast<std::uint32_t>(m1) << 16));
    }
    // Half of the elements, as pairs (a, b), to 16 bits.
    Bytes of_pairs(Bytes pairs) const {
        const Bytes first = V::sum_of_products(bias, V::widen_low(pairs), low);
        const Bytes second = V::sum_of_products(bias, V::widen_high(pairs), low);
        return V::shift_16(V::add_16(V::pairs_by_bytes(pairs, high), V::high_halves(first, second)), shift);
    }
    Bytes operator()(Bytes a, Bytes b) const {
        return V::bound(V::pack(of_pairs(V::join_low(a, b)), of_pairs(V::join_high(a, b))), least, most);
    }
};

// The sum without its elements' shares, the result's zero_point within it; whether 32 bits hold all that it becomes.
inline bool starts_at(const bw_pair& p, std::int64_t& start) {
    if (p.weight_shift < 16) return false;
    start = (std::int64_t{1} << (p.weight_shift - 1)) + (std::int64_t{p.requant.zero_point} << p.weight_shift);
    constexpr std::int64_t most_low = 2 * 255 * 32768;
    std::int64_t below = 0, above = 0;
    for (int k = 0; k < 2; ++k) {
        const std::int64_t m = p.multiplier[k];
        if (m > 1 << 21 || m < -(1 << 21)) return false;
        start -= m * p.zero_point[k];
        (m < 0 ? below : above) += 255 * m;
    }
    if (below > -most_low) below = -most_low;
    if (above < most_low) above = most_low;
    return start + below >= INT32_MIN && start + above <= INT32_MAX;
}

// Returns how many elements of each row it did: whole vectors, and the rest too where V::has_masks; 0 where the block
// is not of this kind.
template <class V>
std::int64_t run_weighted_sum(const bw_pair& how, const bw_block& block, const std::uint8_t* a, const std::uint8_t* b,
                              std::uint8_t* y) {
    std::int64_t start;
    const std::int64_t whole = block.length / V::bytes * V::bytes, done = V::has_masks ? block.length : whole;
    const bool is_dense = block.stride[0] == 1 && block.stride[1] == 1 && block.stride[2] == 1;
    if (how.operation != BW_WEIGHTED_SUM || !is_dense || done == 0 || !starts_at(how, start)) return 0;
    const BytesSum<V> sum(how, start);
    for (std::int64_t r = 0; r < block.rows; ++r) {
        for (std::int64_t i = 0; i < whole; i += V::bytes) V::store(y + i, sum(V::load(a + i), V::load(b + i)));
        if constexpr (V::has_masks) {
            const auto left = static_cast<int>(done - whole);
            if (left) V::store_some(y + whole, sum(V::load_some(a + whole, left), V::load_some(b + whole, left)), left);
        }
        y += block.row_stride[0], a += block.row_stride[1], b += block.row_stride[2];
    }
    return done;
}

}  // namespace
}  // namespace bitwright::elementwise
