#include "python/bind.h"
#include "pooling/step.h"

namespace bitwright {

void bind_pooling(PlanClass& plan) {
    plan.def(
        "pool",
        [](Plan& self, int x, int y, bool is_mean, Pair window, Pair stride, Pair padding, std::int32_t bias,
           Pair bounds) {
            const pooling::Window how{is_mean,       window.first,   window.second, stride.first, stride.second,
                                      padding.first, padding.second, bias,          bounds.first, bounds.second};
            self.add(std::make_unique<pooling::PoolingStep>(self.isa(), x, self.tensor(x), y, self.tensor(y), how));
        },
        "x"_a, "y"_a, "is_mean"_a, "window"_a, "stride"_a, "padding"_a, "bias"_a, "bounds"_a,
        "The mean or the largest of windows; padding is (top, left) and is left out of both; bounds are (low, high).");
}

}  // namespace bitwright
