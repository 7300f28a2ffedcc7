#include "python/bind.h"
#include "conv16/step.h"

namespace bitwright {
namespace {

using Bias = Array<std::int64_t>;

void convolve(Plan& plan, int x, int y, const Array<std::int8_t>& weights, const Bias& bias, const Requant& requant,
              Pair stride, Pair dilation, Pair padding, std::int32_t groups, Pair y_first, Pair y_step) {
    const auto size = [&](std::size_t axis) { return static_cast<std::int32_t>(weights.shape(axis)); };
    const conv::Window window{
        .repeats = 1,
        .kh = size(1),
        .kw = size(2),
        .i = size(3),
        .groups = groups,
        .stride_h = stride.first,
        .stride_w = stride.second,
        .dilation_h = dilation.first,
        .dilation_w = dilation.second,
        .top = padding.first,
        .left = padding.second,
    };
    const conv::Phase phase{y_first.first, y_first.second, y_step.first, y_step.second};
    plan.add(conv16::make_step(plan.isa(), x, y, conv::place(plan.tensor(x), plan.tensor(y), window, phase),
                               weights.data(), bias.data(), requant));
}

void fully_connected(Plan& plan, int x, int y, const Array<std::int8_t>& weights, const Bias& bias,
                     const Requant& requant, std::int64_t rows) {
    const auto outputs = static_cast<std::int64_t>(weights.shape(0)),
               depth = static_cast<std::int64_t>(weights.shape(1));
    plan.add(conv16::make_step(plan.isa(), x, y,
                               conv::place(as_rows(plan.tensor(x), rows, depth), as_rows(plan.tensor(y), rows, outputs),
                                           conv::dense_window(1, depth)),
                               weights.data(), bias.data(), requant));
}

}  // namespace

void bind_conv16(PlanClass& plan) {
    plan.def("conv16", &convolve, "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "stride"_a, "dilation"_a,
             "padding"_a, "groups"_a, "y_first"_a = Pair{0, 0}, "y_step"_a = Pair{1, 1},
             "A convolution of 16-bit images: weights i8[O,KH,KW,I], bias i64[O]; padding is (top, left) and lies "
             "around x in memory.\nPixels of y are written from y_first on, every y_step.");
    plan.def("fully_connected16", &fully_connected, "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "rows"_a,
             "16-bit rows of x by weights i8[O,K]; x and y hold them without gaps.");
}

}  // namespace bitwright
