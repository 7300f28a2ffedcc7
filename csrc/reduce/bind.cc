#include "python/bind.h"
#include "reduce/step.h"

namespace bitwright {
namespace {

void add(Plan& plan, int x, int y, const std::vector<int>& axes, const bw_reduce_shape& how, const Requant& requant) {
    unsigned reduced = 0;
    for (const int axis : axes) {
        if (axis < 0 || axis >= plan.tensor(x).rank) throw std::invalid_argument("an axis outside the tensor");
        reduced |= 1u << axis;
    }
    plan.add(std::make_unique<reduce::ReduceStep>(plan.isa(), x, plan.tensor(x), y, reduced, how, requant));
}

}  // namespace

void bind_reduce(PlanClass& plan) {
    plan.def(
            "reduce_extreme",
            [](Plan& self, int x, int y, const std::vector<int>& axes, bool largest) {
                bw_reduce_shape how{};
                how.kind = largest ? BW_REDUCE_MAX : BW_REDUCE_MIN;
                add(self, x, y, axes, how, {});
            },
            "x"_a, "y"_a, "axes"_a, "largest"_a, "The largest or smallest element over axes.")
        .def(
            "reduce_sum",
            [](Plan& self, int x, int y, const std::vector<int>& axes, std::int32_t offset, const Requant& requant) {
                bw_reduce_shape how{};
                how.kind = BW_REDUCE_SUM;
                how.offset = offset;
                add(self, x, y, axes, how, requant);
            },
            "x"_a, "y"_a, "axes"_a, "offset"_a, "requant"_a,
            "requantize(sum over axes + offset): tflite_double or tflite_single, one channel.")
        .def(
            "reduce_sum_affine",
            [](Plan& self, int x, int y, const std::vector<int>& axes, std::int32_t offset, float scale, float shift,
               std::int32_t low, std::int32_t high, std::int32_t bias) {
                bw_reduce_shape how{};
                how.kind = BW_REDUCE_SUM_AFFINE;
                how.offset = offset;
                how.affine = {scale, shift, low, high, bias};
                add(self, x, y, axes, how, {});
            },
            "x"_a, "y"_a, "axes"_a, "offset"_a, "scale"_a, "shift"_a, "low"_a, "high"_a, "bias"_a,
            "clamp(rint((sum over axes + offset) * scale + shift), low, high) + bias, in float32.");
}

}  // namespace bitwright
