#include <stdexcept>
#include <utility>

#include "conv/step.h"
#include "elementwise/residual.h"
#include "python/bind.h"

namespace bitwright {
namespace {

// What the result of a convolution is joined with; as: how the convolution sees a tensor.
template <typename As>
std::unique_ptr<const Residual> residual_of(Plan& plan, const QuantizedPair* pair, int y, int other, bool is_first,
                                            const As& as) {
    if (pair == nullptr) return nullptr;
    const auto operand = [&](int number) { return Residual::Operand{number, as(plan.tensor(number))}; };
    return std::make_unique<const Residual>(elementwise::select_pair(plan.isa()), *pair, operand(y), operand(other),
                                            is_first);
}

void conv_2d(Plan& plan, int x, int y, Array<std::int8_t> weights, Array<std::int32_t> bias, const Requant& requant,
             Pair stride, Pair dilation, Pair padding, std::int32_t groups, Pair y_first, Pair y_step,
             const QuantizedPair* pair, int other, bool is_first) {
    if (pair != nullptr && (y_first != Pair{0, 0} || y_step != Pair{1, 1}))
        throw std::invalid_argument("a residual is of a whole result");
    const auto size = [&](std::size_t axis) { return static_cast<std::int32_t>(weights.shape(axis)); };
    const conv::Window window{size(1),         size(2),       size(3),       size(4),
                              groups,          stride.first,  stride.second, dilation.first,
                              dilation.second, padding.first, padding.second};
    plan.add(conv::make_step(plan.memory(), plan.isa(), x, y,
                             conv::place(plan.tensor(x), plan.tensor(y), window,
                                         {y_first.first, y_first.second, y_step.first, y_step.second}),
                             weights.data(), bias.data(), requant,
                             residual_of(plan, pair, y, other, is_first, [](const Tensor& t) { return t; })));
}

void fully_connected(Plan& plan, int x, int y, Array<std::int8_t> weights, Array<std::int32_t> bias,
                     const Requant& requant, std::int64_t rows, const QuantizedPair* pair, int other, bool is_first) {
    const auto outputs = static_cast<std::int64_t>(weights.shape(0)),
               depth = static_cast<std::int64_t>(weights.shape(4));
    const auto results = [&](const Tensor& t) { return as_rows(t, rows, outputs); };
    plan.add(conv::make_step(plan.memory(), plan.isa(), x, y,
                             conv::place(as_rows(plan.tensor(x), rows, depth), results(plan.tensor(y)),
                                         conv::dense_window(static_cast<std::int32_t>(weights.shape(1)), depth)),
                             weights.data(), bias.data(), requant,
                             residual_of(plan, pair, y, other, is_first, results)));
}

}  // namespace

void bind_conv(PlanClass& plan) {
    plan.def(
        "conv", &conv_2d, "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "stride"_a, "dilation"_a, "padding"_a,
        "groups"_a, "y_first"_a = Pair{0, 0}, "y_step"_a = Pair{1, 1}, "pair"_a.none() = nb::none(), "other"_a = -1,
        "is_first"_a = true,
        "A convolution: weights i8[O,R,KH,KW,I], bias i32[O]; padding is (top, left) and lies around x in memory.\n"
        "Pixels of y are written from y_first on, every y_step. With a pair, y is that of the convolution's result\n"
        "(its operand a where is_first) and other, a tensor of the same shape.");
    plan.def("fully_connected", &fully_connected, "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "rows"_a,
             "pair"_a.none() = nb::none(), "other"_a = -1, "is_first"_a = true,
             "Rows of x by weights i8[O,R,1,1,K]; x and y hold them without gaps. A pair: see conv.");
}

}  // namespace bitwright
