#include "elementwise/cast.h"

#include <cmath>
#include <limits>
#include <type_traits>

namespace bitwright::elementwise {
namespace {

template <class From, class To, class Function>
void each(const bw_block& k, const void* x, void* y, const Function& function) {
    for (std::int64_t r = 0; r < k.rows; ++r)
        for (std::int64_t i = 0; i < k.length; ++i)
            static_cast<To*>(y)[r * k.row_stride[0] + i * k.stride[0]] =
                function(static_cast<const From*>(x)[r * k.row_stride[1] + i * k.stride[1]]);
}

// Calls visit with an element of the type.
template <class Visit>
void with_type(Type type, const Visit& visit) {
    switch (type) {
        case Type::u8:
            return visit(std::uint8_t{});
        case Type::i16:
            return visit(std::int16_t{});
        case Type::i32:
            return visit(std::int32_t{});
        case Type::i64:
            return visit(std::int64_t{});
        case Type::f32:
            return visit(float{});
    }
}

// To is the type that the model has, not the one that stores it.
template <class To, class From>
To number(From x) {
    if constexpr (std::is_floating_point_v<From> && !std::is_floating_point_v<To>) {
        using Bounds = std::numeric_limits<To>;
        if (std::isnan(x) || x >= static_cast<double>(Bounds::max())) return Bounds::max();
        return x <= static_cast<double>(Bounds::min()) ? Bounds::min() : static_cast<To>(x);
    } else {
        return static_cast<To>(x);
    }
}

}  // namespace

bool can_rescale(Type from, Type to) {
    return (from == Type::i16 || from == Type::i32) && (to == Type::u8 || to == Type::i16 || to == Type::i32);
}

void rescale(const bw_requant& requant, std::int32_t zero_point, Type from, Type to, const bw_block& block,
             const void* x, void* y) {
    with_type(from, [&](auto source) {
        with_type(to, [&](auto target) {
            using From = decltype(source);
            using To = decltype(target);
            each<From, To>(block, x, y, [&](From q) {
                return static_cast<To>(bw_requantize(&requant, static_cast<std::int32_t>(q) - zero_point, 0));
            });
        });
    });
}

void cast(Type from, Meaning from_meaning, Type to, Meaning to_meaning, const bw_block& block, const void* x, void* y) {
    with_type(from, [&](auto source) {
        with_type(to, [&](auto target) {
            using From = decltype(source);
            using To = decltype(target);
            const auto write = [&](auto value) -> To {
                if (to_meaning == Meaning::truth) return static_cast<To>(value != 0);
                if (to_meaning == Meaning::biased)
                    return static_cast<To>(static_cast<std::uint8_t>(number<std::int8_t>(value)) ^ 0x80);
                return number<To>(value);
            };
            each<From, To>(block, x, y, [&](From value) {
                return from_meaning == Meaning::biased ? write(static_cast<int>(value) - 128) : write(value);
            });
        });
    });
}

}  // namespace bitwright::elementwise
