// Kernels of softmax of bytes: loops that the compiler makes vectors of, for the instruction set of the file that
// includes this. Internal linkage.
#pragma once

#include "softmax/rows.h"

namespace bitwright::softmax {
namespace {

constexpr int together = 4;  // rows whose float sums are added side by side: each must be added in order

// Keeps a loop of look-ups one by one: vectors gathered of scattered elements are slower.
inline void one_by_one() { __asm__ volatile(""); }

inline std::uint8_t largest_of(const std::uint8_t* x, std::int64_t length) {
    std::uint8_t largest = 0;
    for (std::int64_t i = 0; i < length; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

template <typename Y>
inline void finish_fixed(const std::uint32_t* exponentials, std::int64_t sum, Y* y, std::int64_t length) {
    constexpr int bits = 8 * sizeof(Y);
    constexpr std::int32_t low = sizeof(Y) == 2 ? INT16_MIN : 0, high = sizeof(Y) == 2 ? INT16_MAX : 255;
    std::int32_t shift;
    const auto inverse = static_cast<std::uint32_t>(bw_fixed_reciprocal(sum, 12, &shift));
    // A shift of 32 and more leaves nothing.
    const int right = shift + 31 - bits, most = right > 31 ? 31 : right;
    const std::uint32_t half = 1u << (most - 1), mask = right > 31 ? 0 : ~0u;
    for (std::int64_t i = 0; i < length; ++i) {
        const auto share = static_cast<std::uint32_t>((std::uint64_t{inverse} * exponentials[i] + (1u << 30)) >> 31);
        const auto rounded = static_cast<std::int32_t>(((share + half) >> most) & mask);
        y[i] = static_cast<Y>(rounded + low < high ? rounded + low : high);
    }
}

template <typename Y>
inline void run_fixed(const bw_softmax_fixed& how, const Rows& rows, std::uint32_t* exponentials) {
    for (std::int64_t r = 0; r < rows.count; ++r) {
        const std::uint8_t* const x = static_cast<const std::uint8_t*>(rows.x) + r * rows.length;
        const std::int32_t* const table = how.exponential + 255 - largest_of(x, rows.length);
        for (std::int64_t i = 0; i < rows.length; ++i) {
            exponentials[i] = static_cast<std::uint32_t>(table[x[i]]);
            one_by_one();
        }
        std::int32_t sum = 0;
        for (std::int64_t i = 0; i < rows.length; ++i)
            sum += bw_softmax_summand(static_cast<std::int32_t>(exponentials[i]));
        finish_fixed(exponentials, sum, static_cast<Y*>(rows.y) + r * rows.length, rows.length);
    }
}

template <typename Y>
inline void finish_real(const bw_softmax_real& how, const float* exponentials, float sum, Y* y, std::int64_t length) {
    const float inverse = 1.0f / (sum * how.scale);
    const std::int32_t zero_point = how.zero_point;
    const float low = static_cast<float>(how.low - zero_point), high = static_cast<float>(how.high - zero_point);
    for (std::int64_t i = 0; i < length; ++i) {
        const float real = exponentials[i] * inverse, raised = real < low ? low : real;
        const float clamped = raised > high ? high : raised;
        y[i] = static_cast<Y>(static_cast<std::int32_t>(__builtin_nearbyintf(clamped)) + zero_point);
    }
}

template <int Count, typename Y>
inline void real_rows(const bw_softmax_real& how, const Rows& rows, std::int64_t first, float* exponentials) {
    const std::int64_t length = rows.length;
    const std::uint8_t* const x = static_cast<const std::uint8_t*>(rows.x) + first * length;
    const float* table[Count];
    float sums[Count] = {};
    for (int k = 0; k < Count; ++k) table[k] = how.exponential + 255 - largest_of(x + k * length, length);
    for (std::int64_t i = 0; i < length; ++i) {
        for (int k = 0; k < Count; ++k) {
            const float exponential = table[k][x[k * length + i]];
            exponentials[k * length + i] = exponential;
            sums[k] += exponential;
        }
        one_by_one();
    }
    for (int k = 0; k < Count; ++k)
        finish_real(how, exponentials + k * length, sums[k], static_cast<Y*>(rows.y) + (first + k) * length, length);
}

template <typename Y>
inline void run_real(const bw_softmax_real& how, const Rows& rows, float* exponentials) {
    std::int64_t r = 0;
    for (; r + together <= rows.count; r += together) real_rows<together, Y>(how, rows, r, exponentials);
    for (; r < rows.count; ++r) real_rows<1, Y>(how, rows, r, exponentials);
}

void fixed(const bw_softmax_fixed& how, const Rows& rows, std::byte* scratch) {
    auto* const exponentials = reinterpret_cast<std::uint32_t*>(scratch);
    how.is_wide ? run_fixed<std::int16_t>(how, rows, exponentials) : run_fixed<std::uint8_t>(how, rows, exponentials);
}

void real(const bw_softmax_real& how, const Rows& rows, std::byte* scratch) {
    auto* const exponentials = reinterpret_cast<float*>(scratch);
    how.is_wide ? run_real<std::int16_t>(how, rows, exponentials) : run_real<std::uint8_t>(how, rows, exponentials);
}

}  // namespace
}  // namespace bitwright::softmax
