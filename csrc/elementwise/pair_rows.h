// Rows of quantized pairs, for the vectors of one instruction set. Internal linkage: each set compiles its own.
//
// V: `Ints` are V::count integers of 32 bits, `Wide` half as many of 64 bits, `Reals` as many floats.
#pragma once

#include "elementwise/pair.h"

namespace bitwright::elementwise {
namespace {

// Requantization in fixed point with one factor. Both roundings are
//   x = (t * multiplier + half) >> right, in 64 bits;  (x + small_half + (x < 0 ? sign : 0)) >> exponent
// For BW_DOUBLE right is 31, and ties of the second shift go away from zero; for BW_SINGLE exponent is 0. t is shifted
// left first where a BW_DOUBLE factor is above 1.
template <class V>
struct Fixed {
    typename V::Ints multiplier, small_half, sign, left, exponent;
    typename V::Wide half, right;

    explicit Fixed(const bw_requant& r) {
        const std::int32_t m = r.multiplier[0], shift = r.shift[0];
        const bool is_double = r.rounding == BW_DOUBLE;
        const int down = is_double && shift < 0 ? -shift : 0, right_bits = is_double ? 31 : 31 - shift;
        multiplier = V::splat(m);
        half = V::half_of(right_bits);
        left = V::splat(is_double && shift > 0 ? shift : 0);
        right = V::splat_wide(right_bits);
        exponent = V::splat(down);
        small_half = V::splat(static_cast<std::int32_t>((down ? 1u << (down - 1) : 0u) - V::excess(right_bits)));
        sign = V::splat(down ? -1 : 0);
    }
    typename V::Ints operator()(typename V::Ints t) const {
        const auto x = V::high_product(V::shift_left(t, left), multiplier, half, right);
        return V::shift_right(V::add_if_negative(V::add(x, small_half), x, sign), exponent);
    }
};

// An operand on the common scale: ((a - zero_point) << left_shift) times its factor, the factor split in two so that
// 32 bits hold all: with k = 31 - left_shift,  v * m >> k  is  v * (m >> k) + (v * (m mod 2^k) >> k), negative with v.
template <class V>
struct Term {
    typename V::Ints zero_point, high, low, low_half, half, sign, k, exponent;

    Term(const bw_pair& p, int operand) {
        const std::int32_t m = p.multiplier[operand];
        const int bits = 31 - p.left_shift, down = -p.shift[operand];
        const bool is_double = p.requant.rounding != BW_SINGLE;
        zero_point = V::splat(p.zero_point[operand]);
        high = V::splat(m >> bits);
        low = V::splat(m & ((1 << bits) - 1));
        low_half = V::splat(is_double || down == 0 ? 1 << (bits - 1) : 0);
        half = V::splat(down ? 1 << (down - 1) : 0);
        sign = V::splat(is_double && down ? -1 : 0);
        k = V::splat(bits);
        exponent = V::splat(down);
    }
    typename V::Ints operator()(typename V::Ints stored) const {
        const auto v = V::sub(stored, zero_point);
        const auto rest = V::shift_right(V::add(V::multiply(v, low), low_half), k);
        const auto x = V::add(V::multiply(v, high), rest);
        return V::shift_right(V::add_if_negative(V::add(x, half), v, sign), exponent);
    }
};

template <class V>
struct WeightedSum {
    typename V::Ints first, second, bias, shift;

    explicit WeightedSum(const bw_pair& p)
        : first(V::splat(p.multiplier[0])),
          second(V::splat(p.multiplier[1])),
          bias(V::splat((1 << (p.weight_shift - 1)) - p.multiplier[0] * p.zero_point[0] -
                        p.multiplier[1] * p.zero_point[1])),
          shift(V::splat(p.weight_shift)) {}
    typename V::Ints of_a(typename V::Ints a) const { return V::multiply(a, first); }
    typename V::Ints of_b(typename V::Ints b) const { return V::add(V::multiply(b, second), bias); }
    typename V::Ints of_both(typename V::Ints a, typename V::Ints b) const {
        return V::shift_right(V::add(a, b), shift);
    }
};

template <class V, bool Difference>
struct RescaledSum {
    Term<V> first, second;
    Fixed<V> requantize;

    explicit RescaledSum(const bw_pair& p) : first(p, 0), second(p, 1), requantize(p.requant) {}
    typename V::Ints of_a(typename V::Ints a) const { return first(a); }
    typename V::Ints of_b(typename V::Ints b) const { return second(b); }
    typename V::Ints of_both(typename V::Ints a, typename V::Ints b) const {
        return requantize(Difference ? V::sub(a, b) : V::add(a, b));
    }
};

template <class V>
struct FloatFactor {
    typename V::Reals scale;

    explicit FloatFactor(const bw_requant& r) : scale(V::splat_real(r.scale[0])) {}
    typename V::Ints operator()(typename V::Ints t) const { return V::round_product(t, scale); }
};

template <class V, class Factor>
struct Product {
    typename V::Ints first, second;
    Factor requantize;

    explicit Product(const bw_pair& p)
        : first(V::splat(p.zero_point[0])), second(V::splat(p.zero_point[1])), requantize(p.requant) {}
    typename V::Ints of_a(typename V::Ints a) const { return V::sub(a, first); }
    typename V::Ints of_b(typename V::Ints b) const { return V::sub(b, second); }
    typename V::Ints of_both(typename V::Ints a, typename V::Ints b) const { return requantize(V::multiply(a, b)); }
};

template <class V>
struct Slope {
    typename V::Ints first, second;
    Fixed<V> above, below;

    explicit Slope(const bw_pair& p)
        : first(V::splat(p.zero_point[0])), second(V::splat(p.zero_point[1])), above(p.requant), below(p.below) {}
    typename V::Ints of_a(typename V::Ints a) const { return V::sub(a, first); }
    typename V::Ints of_b(typename V::Ints b) const { return V::sub(b, second); }
    typename V::Ints of_both(typename V::Ints a, typename V::Ints b) const {
        return V::choose_if_negative(a, below(V::multiply(a, b)), above(a));
    }
};

// What an operand of a row gives: one value for all of it, or one an element.
template <class V, class T, bool One>
struct Operand {
    const T* at;
    typename V::Ints value;

    template <class Function>
    Operand(const T* start, const Function& function)
        : at(start), value(One ? function(V::splat(*start)) : V::splat(0)) {}
    template <class Function>
    typename V::Ints load(std::int64_t i, const Function& function) const {
        return One ? value : function(V::load(at + i));
    }
    template <class Function>
    typename V::Ints load_some(std::int64_t i, int left, const Function& function) const {
        return One ? value : function(V::load_some(at + i, left));
    }
};

template <class V, class Op, class T, bool OneA, bool OneB>
void run_rows(const bw_pair& how, const bw_block& block, const T* a, const T* b, T* y) {
    const Op op(how);
    const typename V::template Bounds<T> bounds(how.requant);
    const auto of_a = [&](typename V::Ints x) { return op.of_a(x); };
    const auto of_b = [&](typename V::Ints x) { return op.of_b(x); };
    for (std::int64_t r = 0; r < block.rows; ++r) {
        const Operand<V, T, OneA> first(a + r * block.row_stride[1], of_a);
        const Operand<V, T, OneB> second(b + r * block.row_stride[2], of_b);
        T* const row = y + r * block.row_stride[0];
        std::int64_t i = 0;
        for (; i + 4 * V::count <= block.length; i += 4 * V::count) {
            typename V::Ints made[4];
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) {
                const std::int64_t at = i + v * V::count;
                made[v] = op.of_both(first.load(at, of_a), second.load(at, of_b));
            }
            bounds.store(row + i, made);
        }
        for (; i < block.length; i += V::count) {
            const int left = block.length - i < V::count ? static_cast<int>(block.length - i) : V::count;
            const auto made = op.of_both(first.load_some(i, left, of_a), second.load_some(i, left, of_b));
            bounds.store_some(row + i, made, left);
        }
    }
}

template <class V, class Op, class T>
bool run_with(const bw_pair& how, const bw_block& block, const T* a, const T* b, T* y) {
    const std::int64_t first = block.stride[1], second = block.stride[2];
    if (block.stride[0] != 1) return false;
    if (first == 1 && second == 1) {
        run_rows<V, Op, T, false, false>(how, block, a, b, y);
    } else if (first == 1 && second == 0) {
        run_rows<V, Op, T, false, true>(how, block, a, b, y);
    } else if (first == 0 && second == 1) {
        run_rows<V, Op, T, true, false>(how, block, a, b, y);
    } else {
        return false;
    }
    return true;
}

// Whether 32 bits hold the products of an operand (of 8 bits and a sign, or 16 bits) and either part of its factor.
template <class T>
bool fits(const bw_pair& how) {
    constexpr int value_bits = sizeof(T) == 1 ? 8 : 15, most_left = sizeof(T) == 1 ? 22 : 15;
    const std::int32_t low_bits = (how.multiplier[0] | how.multiplier[1]) & ((1 << (31 - how.left_shift)) - 1);
    return (how.left_shift >= value_bits || low_bits == 0) && how.left_shift <= most_left;
}

// Whether the block is of a kind that vectors are for; it is done then.
template <class V, class T>
bool run_pair(const bw_pair& how, const bw_block& block, const T* a, const T* b, T* y) {
    switch (how.operation) {
        case BW_WEIGHTED_SUM:
            if constexpr (sizeof(T) == 1) return run_with<V, WeightedSum<V>>(how, block, a, b, y);
            return false;
        case BW_SUM:
            return fits<T>(how) && run_with<V, RescaledSum<V, false>>(how, block, a, b, y);
        case BW_DIFFERENCE:
            return fits<T>(how) && run_with<V, RescaledSum<V, true>>(how, block, a, b, y);
        case BW_SQUARED_DIFFERENCE:
            return false;
        case BW_PRODUCT:
            if (how.requant.rounding != BW_FP32_EVEN) return run_with<V, Product<V, Fixed<V>>>(how, block, a, b, y);
            if constexpr (sizeof(T) == 1) return run_with<V, Product<V, FloatFactor<V>>>(how, block, a, b, y);
            return false;
        case BW_SLOPE:
            if constexpr (sizeof(T) == 1) return run_with<V, Slope<V>>(how, block, a, b, y);
            return false;
    }
    return false;
}

}  // namespace
}  // namespace bitwright::elementwise
