#include "python/bind.h"
#include "conv/step.h"

namespace bitwright {

void bind_conv(PlanClass& plan) {
    plan.def(
        "conv",
        [](Plan& self, int x, int y, Array<std::int8_t> weights, Array<std::int32_t> bias, const Requant& requant,
           Pair stride, Pair dilation, Pair padding, std::int32_t groups, Pair y_first, Pair y_step) {
            const auto size = [&](std::size_t axis) { return static_cast<std::int32_t>(weights.shape(axis)); };
            const conv::Window window{size(1),         size(2),       size(3),       size(4),
                                      groups,          stride.first,  stride.second, dilation.first,
                                      dilation.second, padding.first, padding.second};
            self.add(conv::make_step(self.memory(), self.isa(), x, y,
                                     conv::place(self.tensor(x), self.tensor(y), window,
                                                 {y_first.first, y_first.second, y_step.first, y_step.second}),
                                     weights.data(), bias.data(), requant));
        },
        "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "stride"_a, "dilation"_a, "padding"_a, "groups"_a,
        "y_first"_a = Pair{0, 0}, "y_step"_a = Pair{1, 1},
        "A convolution: weights i8[O,R,KH,KW,I], bias i32[O]; padding is (top, left) and lies around x in memory.\n"
        "Pixels of y are written from y_first on, every y_step.");
    plan.def(
        "fully_connected",
        [](Plan& self, int x, int y, Array<std::int8_t> weights, Array<std::int32_t> bias, const Requant& requant,
           std::int64_t rows) {
            const auto outputs = static_cast<std::int64_t>(weights.shape(0)),
                       depth = static_cast<std::int64_t>(weights.shape(4));
            self.add(conv::make_step(
                self.memory(), self.isa(), x, y,
                conv::place(as_rows(self.tensor(x), rows, depth), as_rows(self.tensor(y), rows, outputs),
                            conv::dense_window(static_cast<std::int32_t>(weights.shape(1)), depth)),
                weights.data(), bias.data(), requant));
        },
        "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "rows"_a,
        "Rows of x by weights i8[O,R,1,1,K]; x and y hold them without gaps.");
}

}  // namespace bitwright
