#include "python/bind.h"
#include "depthwise/step.h"

namespace bitwright {

void bind_depthwise(PlanClass& plan) {
    plan.def(
        "depthwise",
        [](Plan& self, int x, int y, Array<std::int8_t> weights, Array<std::int32_t> bias, const Requant& requant,
           Pair stride, Pair dilation, Pair padding) {
            const auto size = [&](std::size_t axis) { return static_cast<std::int32_t>(weights.shape(axis)); };
            const depthwise::Window window{size(0),        size(1),         stride.first,  stride.second,
                                           dilation.first, dilation.second, padding.first, padding.second};
            self.add(std::make_unique<depthwise::DepthwiseStep>(self.isa(), x, self.tensor(x), y, self.tensor(y),
                                                                window, weights.data(), bias.data(), requant));
        },
        "x"_a, "y"_a, "weights"_a, "bias"_a, "requant"_a, "stride"_a, "dilation"_a, "padding"_a,
        "A depthwise convolution: weights i8[KH,KW,C], bias i32[C]; padding is (top, left) and lies around x in "
        "memory.");
}

}  // namespace bitwright
