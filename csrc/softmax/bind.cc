#include "python/bind.h"
#include "softmax/step.h"

namespace bitwright {
namespace {

template <typename T, std::size_t Size>
void fill(T (&table)[Size], const Array<T>& from) {
    if (from.size() != Size) throw std::invalid_argument("a table needs " + std::to_string(Size) + " entries");
    std::copy(from.data(), from.data() + Size, table);
}

template <typename How>
void add(Plan& plan, int x, int y, const How& how) {
    const Tensor &from = plan.tensor(x), &to = plan.tensor(y);
    if (from.rank < 1 || from.elements() != to.elements()) throw std::invalid_argument("x and y are the same rows");
    plan.add(std::make_unique<softmax::RowsStep<How>>(plan.isa(), x, from, y, to, how));
}

bool is_wide(const Plan& plan, int tensor) { return plan.tensor(tensor).type == Type::i16; }

}  // namespace

void bind_softmax(PlanClass& plan) {
    plan.def(
            "softmax",
            [](Plan& self, int x, int y, Array<std::int32_t> exponentials) {
                bw_softmax_fixed how{};
                how.is_wide = is_wide(self, y);
                fill(how.exponential, exponentials);
                add(self, x, y, how);
            },
            "x"_a, "y"_a, "exponentials"_a, "Softmax of 8-bit rows in fixed point: exponentials i32[256] in Q0.")
        .def(
            "softmax_real",
            [](Plan& self, int x, int y, Array<float> exponentials, float scale, std::int32_t zero_point, Pair bounds) {
                bw_softmax_real how{};
                how.is_wide = is_wide(self, y);
                fill(how.exponential, exponentials);
                how.scale = scale, how.zero_point = zero_point, how.low = bounds.first, how.high = bounds.second;
                add(self, x, y, how);
            },
            "x"_a, "y"_a, "exponentials"_a, "scale"_a, "zero_point"_a, "bounds"_a,
            "Softmax of 8-bit rows in float32: exponentials f32[256]; scale, zero_point and bounds of y.")
        .def(
            "softmax_wide",
            [](Plan& self, int x, int y, Array<std::int16_t> exponentials, Array<std::int16_t> inverses,
               std::int32_t multiplier, std::int32_t shift, bool is_single) {
                bw_softmax_wide how{};
                fill(how.exponential, exponentials);
                fill(how.inverse, inverses);
                how.multiplier = multiplier, how.shift = shift, how.is_single = is_single;
                add(self, x, y, how);
            },
            "x"_a, "y"_a, "exponentials"_a, "inverses"_a, "multiplier"_a, "shift"_a, "is_single"_a,
            "Softmax of 16-bit rows: tables i16[513], differences times multiplier.")
        .def(
            "log_softmax",
            [](Plan& self, int x, int y, Array<std::int32_t> exponentials, Array<std::int32_t> differences,
               std::int32_t lowest, std::int32_t multiplier, std::int32_t shift) {
                bw_log_softmax_fixed how{};
                fill(how.exponential, exponentials);
                fill(how.difference, differences);
                how.lowest = lowest, how.multiplier = multiplier, how.shift = shift;
                add(self, x, y, how);
            },
            "x"_a, "y"_a, "exponentials"_a, "differences"_a, "lowest"_a, "multiplier"_a, "shift"_a,
            "Log softmax of 8-bit rows in fixed point: see softmax/log_reference.h.")
        .def(
            "log_softmax_real",
            [](Plan& self, int x, int y, Array<float> exponentials, float scale_in, float scale_out, std::int32_t bias,
               std::int32_t zero_point) {
                bw_log_softmax_real how{};
                fill(how.exponential, exponentials);
                how.scale_in = scale_in, how.scale_out = scale_out, how.bias = bias, how.zero_point = zero_point;
                add(self, x, y, how);
            },
            "x"_a, "y"_a, "exponentials"_a, "scale_in"_a, "scale_out"_a, "bias"_a, "zero_point"_a,
            "Log softmax of 8-bit rows in float32: see softmax/log_reference.h.")
        .def(
            "l2_normalization",
            [](Plan& self, int x, int y, std::int32_t zero_point_in, std::int32_t zero_point_out,
               bool is_scaled_first) { add(self, x, y, bw_l2{zero_point_in, zero_point_out, is_scaled_first}); },
            "x"_a, "y"_a, "zero_point_in"_a, "zero_point_out"_a, "is_scaled_first"_a,
            "Rows over their length, 8-bit: see softmax/log_reference.h.");
}

}  // namespace bitwright
