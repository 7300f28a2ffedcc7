#include <cmath>
#include <limits>
#include <stdexcept>

#include "elementwise/cast.h"
#include "elementwise/pair.h"
#include "elementwise/plain.h"
#include "elementwise/quantize.h"
#include "elementwise/residual.h"
#include "elementwise/step.h"
#include "python/bind.h"

namespace bitwright {
namespace {

using elementwise::ElementwiseStep;

// Which of the names it is, in the order of an enumeration.
template <typename Enumeration, std::size_t Count>
Enumeration one_of(const std::string& name, const char* const (&names)[Count]) {
    for (std::size_t i = 0; i < Count; ++i)
        if (name == names[i]) return static_cast<Enumeration>(i);
    throw std::invalid_argument("unknown operation " + name);
}

// Function: (block, a, b, y) with pointers to bytes.
template <typename Function>
void add_step(Plan& plan, const char* kernel, int y, int a, int b, Function function) {
    const auto operand = [&](int number) {
        return ElementwiseStep::Operand{number, number < 0 ? nullptr : &plan.tensor(number)};
    };
    plan.add(std::make_unique<ElementwiseStep>(kernel, operand(y), operand(a), operand(b), std::move(function)));
}

void need(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

void need_one_channel(const Requant& requant) {
    const bool real = requant.rounding == BW_FP32_EVEN;
    need(real || requant.rounding == BW_DOUBLE || requant.rounding == BW_SINGLE, "no such rounding here");
    need(real ? requant.scale.size() == 1 : requant.multiplier.size() == 1 && requant.shift.size() == 1,
         "requantization of one channel");
}

template <typename T>
const T* as(const std::byte* bytes) {
    return reinterpret_cast<const T*>(bytes);
}

template <typename T>
T* as(std::byte* bytes) {
    return reinterpret_cast<T*>(bytes);
}

QuantizedPair quantized_pair(const std::string& operation, Pair zero_points, Pair multipliers, Pair shifts,
                             int left_shift, int weight_shift, const Requant& requant, const Requant& below) {
    constexpr const char* names[] = {"weighted_sum", "sum", "difference", "squared_difference", "product", "slope"};
    const bw_pair how{one_of<bw_pair_operation>(operation, names),
                      {zero_points.first, zero_points.second},
                      {multipliers.first, multipliers.second},
                      {shifts.first, shifts.second},
                      left_shift,
                      weight_shift,
                      {},
                      {}};
    if (how.operation == BW_WEIGHTED_SUM) {
        need(weight_shift > 0 && weight_shift < 31, "weights have a shift");
    } else {
        need_one_channel(requant);
        need(how.operation == BW_PRODUCT || requant.rounding != BW_FP32_EVEN, "a common scale is in fixed point");
    }
    if (how.operation == BW_SLOPE) {
        need_one_channel(below);
        need(below.rounding == requant.rounding, "both sides of a slope round alike");
    }
    return {how, requant, below};
}

void pair(Plan& plan, const std::string& operation, int a, int b, int y, Pair zero_points, Pair multipliers,
          Pair shifts, int left_shift, int weight_shift, const Requant& requant, const Requant& below) {
    const QuantizedPair how =
        quantized_pair(operation, zero_points, multipliers, shifts, left_shift, weight_shift, requant, below);
    const Type type = plan.tensor(y).type;
    need(type == plan.tensor(a).type && type == plan.tensor(b).type && (type == Type::u8 || type == Type::i16),
         "a pair is of u8 or of i16");
    need(type == Type::u8 || (how.how.operation != BW_WEIGHTED_SUM && how.how.operation != BW_SLOPE),
         "weights and slopes are for u8");
    const elementwise::PairKernel& kernel = elementwise::select_pair(plan.isa());
    add_step(
        plan, kernel.name, y, a, b,
        [how, type, &kernel](const bw_block& block, const std::byte* first, const std::byte* second, std::byte* made) {
            const bw_pair call = how.view();
            if (type == Type::u8) {
                kernel.run_u8(call, block, as<std::uint8_t>(first), as<std::uint8_t>(second), as<std::uint8_t>(made));
            } else {
                kernel.run_i16(call, block, as<std::int16_t>(first), as<std::int16_t>(second), as<std::int16_t>(made));
            }
        });
}

template <typename T>
std::int64_t bound(double real) {
    if (std::isinf(real)) return real < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    return static_cast<std::int64_t>(real);
}

std::int64_t bound(Type type, double real) {
    switch (type) {
        case Type::u8:
            return bound<std::uint8_t>(real);
        case Type::i16:
            return bound<std::int16_t>(real);
        case Type::i32:
            return bound<std::int32_t>(real);
        default:
            return bound<std::int64_t>(real);
    }
}

void plain_pair(Plan& plan, const std::string& operation, int a, int b, int y, double low, double high) {
    const Type type = plan.tensor(y).type;
    need(type == plan.tensor(a).type && type == plan.tensor(b).type, "a plain pair is of one type");
    constexpr const char* names[] = {"add",     "subtract", "multiply",           "divide",
                                     "smaller", "larger",   "squared_difference", "sloped"};
    const auto which = one_of<bw_plain_operation>(operation, names);
    need(type == Type::f32 || (which != BW_DIVIDE && which != BW_SLOPED), "reals alone are divided or sloped");
    const bw_plain how{which, static_cast<float>(low), static_cast<float>(high), bound(type, low), bound(type, high)};
    const elementwise::PlainKernel& kernel = elementwise::select_plain(plan.isa());
    add_step(plan, kernel.name, y, a, b,
             [how, type, &kernel](const bw_block& block, const std::byte* first, const std::byte* second,
                                  std::byte* made) { kernel.run_pair(how, type, block, first, second, made); });
}

void plain_unary(Plan& plan, const std::string& operation, int x, int y, float low, float high) {
    need(plan.tensor(x).type == Type::f32 && plan.tensor(y).type == Type::f32, "a function of reals");
    constexpr const char* names[] = {"clamp", "leaky",        "hard_swish", "absolute", "negative", "square",
                                     "root",  "inverse_root", "floor",      "ceiling",  "nearest"};
    const bw_unary how{one_of<bw_unary_operation>(operation, names), low, high};
    const elementwise::PlainKernel& kernel = elementwise::select_plain(plan.isa());
    add_step(plan, kernel.name, y, x, -1,
             [how, &kernel](const bw_block& block, const std::byte* from, const std::byte*, std::byte* made) {
                 kernel.run_unary(how, block, as<float>(from), as<float>(made));
             });
}

void quantize(Plan& plan, int x, int y, const std::string& rule, float factor, std::int32_t zero_point,
              std::int32_t bias) {
    const Type type = plan.tensor(y).type;
    need(plan.tensor(x).type == Type::f32 && (type == Type::u8 || type == Type::i16), "f32 to u8 or i16");
    constexpr const char* names[] = {"divided", "multiplied"};
    const bw_quantize how{one_of<bw_quantize_rule>(rule, names), factor, zero_point, bias};
    const elementwise::QuantizeKernel& kernel = elementwise::select_quantize(plan.isa());
    add_step(plan, kernel.name, y, x, -1,
             [how, type, &kernel](const bw_block& block, const std::byte* from, const std::byte*, std::byte* made) {
                 if (type == Type::u8) {
                     kernel.quantize_u8(how, block, as<float>(from), as<std::uint8_t>(made));
                 } else {
                     kernel.quantize_i16(how, block, as<float>(from), as<std::int16_t>(made));
                 }
             });
}

void dequantize(Plan& plan, int x, int y, float factor, std::int32_t zero_point) {
    const Type type = plan.tensor(x).type;
    need(plan.tensor(y).type == Type::f32 && (type == Type::u8 || type == Type::i16), "u8 or i16 to f32");
    const bw_dequantize how{factor, zero_point};
    const elementwise::QuantizeKernel& kernel = elementwise::select_quantize(plan.isa());
    add_step(plan, kernel.name, y, x, -1,
             [how, type, &kernel](const bw_block& block, const std::byte* from, const std::byte*, std::byte* made) {
                 if (type == Type::u8) {
                     kernel.dequantize_u8(how, block, as<std::uint8_t>(from), as<float>(made));
                 } else {
                     kernel.dequantize_i16(how, block, as<std::int16_t>(from), as<float>(made));
                 }
             });
}

void rescale(Plan& plan, int x, int y, std::int32_t zero_point, const Requant& requant) {
    const Type from = plan.tensor(x).type, to = plan.tensor(y).type;
    need(elementwise::can_rescale(from, to), "i16 or i32 to u8, i16 or i32");
    need_one_channel(requant);
    add_step(plan, "rescale.scalar", y, x, -1,
             [=](const bw_block& block, const std::byte* source, const std::byte*, std::byte* made) {
                 elementwise::rescale(requant.view(), zero_point, from, to, block, source, made);
             });
}

void cast(Plan& plan, int x, int y, const std::string& x_meaning, const std::string& y_meaning) {
    constexpr const char* names[] = {"itself", "biased", "truth"};
    const auto of_x = one_of<elementwise::Meaning>(x_meaning, names),
               of_y = one_of<elementwise::Meaning>(y_meaning, names);
    const Type from = plan.tensor(x).type, to = plan.tensor(y).type;
    add_step(plan, "cast.scalar", y, x, -1,
             [=](const bw_block& block, const std::byte* source, const std::byte*, std::byte* made) {
                 elementwise::cast(from, of_x, to, of_y, block, source, made);
             });
}

}  // namespace

void bind_elementwise(PlanClass& plan) {
    nb::class_<QuantizedPair>(plan, "QuantizedPair")
        .def(
            "__init__",
            [](QuantizedPair* self, const std::string& operation, Pair zero_points, Pair multipliers, Pair shifts,
               int left_shift, int weight_shift, const Requant& requant, const Requant& below) {
                new (self) QuantizedPair(quantized_pair(operation, zero_points, multipliers, shifts, left_shift,
                                                        weight_shift, requant, below));
            },
            "operation"_a, "zero_points"_a, "multipliers"_a, "shifts"_a, "left_shift"_a, "weight_shift"_a, "requant"_a,
            "below"_a, "weighted_sum, sum, difference, squared_difference, product or slope of quantized tensors.");
    plan.def("pair", &pair, "operation"_a, "a"_a, "b"_a, "y"_a, "zero_points"_a, "multipliers"_a, "shifts"_a,
             "left_shift"_a, "weight_shift"_a, "requant"_a, "below"_a, "A QuantizedPair of tensors that broadcast.");
    plan.def("plain_pair", &plain_pair, "operation"_a, "a"_a, "b"_a, "y"_a, "low"_a, "high"_a,
             "add, subtract, multiply, divide, smaller, larger, squared_difference or sloped (a >= 0 ? a : a * b) of "
             "numbers of one type that broadcast, clamped to [low, high], which may be infinite.");
    plan.def(
        "plain_unary", &plain_unary, "operation"_a, "x"_a, "y"_a, "low"_a, "high"_a,
        "clamp (to [low, high]), leaky (slope low), hard_swish, absolute, negative, square, root, inverse_root, floor, "
        "ceiling or nearest of f32.");
    plan.def("quantize", &quantize, "x"_a, "y"_a, "rule"_a, "factor"_a, "zero_point"_a, "bias"_a,
             "f32 to u8 or i16: divided by factor, ties away from zero, or multiplied by it, ties to even; bias is 128 "
             "where u8 stores i8.");
    plan.def("dequantize", &dequantize, "x"_a, "y"_a, "factor"_a, "zero_point"_a,
             "(q - zero_point) * factor: u8 or i16 to f32; zero_point is that of the stored integers.");
    plan.def("rescale", &rescale, "x"_a, "y"_a, "zero_point"_a, "requant"_a,
             "requantize(q - zero_point): i16 or i32 to u8, i16 or i32.");
    plan.def(
        "cast", &cast, "x"_a, "y"_a, "x_meaning"_a, "y_meaning"_a,
        "A number in another type; a meaning is itself, biased (u8 that stores i8) or truth (u8 that stores bool).");
}

}  // namespace bitwright
