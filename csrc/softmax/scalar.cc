#include "softmax/rows.h"

namespace bitwright::softmax {
namespace {

// A reference of one row, over all rows.
template <typename How, typename X, typename Y, void (*row)(const How*, const X*, Y*, std::int64_t)>
void each(const How& how, const Rows& rows, std::byte*) {
    for (std::int64_t r = 0; r < rows.count; ++r)
        row(&how, static_cast<const X*>(rows.x) + r * rows.length, static_cast<Y*>(rows.y) + r * rows.length,
            rows.length);
}

// The same where the type of y is told by is_wide.
template <typename How, void (*row)(const How*, const std::uint8_t*, void*, std::int64_t)>
void each_of_any(const How& how, const Rows& rows, std::byte*) {
    const std::int64_t bytes = how.is_wide ? 2 : 1;
    for (std::int64_t r = 0; r < rows.count; ++r)
        row(&how, static_cast<const std::uint8_t*>(rows.x) + r * rows.length,
            static_cast<std::uint8_t*>(rows.y) + r * rows.length * bytes, rows.length);
}

using U8 = std::uint8_t;
using I16 = std::int16_t;

}  // namespace

const Kernel<bw_softmax_fixed> fixed_scalar{"softmax.scalar", Isa::scalar, 0,
                                            each_of_any<bw_softmax_fixed, bw_softmax_fixed_row>};
const Kernel<bw_softmax_real> real_scalar{"softmax_real.scalar", Isa::scalar, 0,
                                          each_of_any<bw_softmax_real, bw_softmax_real_row>};
const Kernel<bw_softmax_wide> wide_scalar{"softmax_wide.scalar", Isa::scalar, 0,
                                          each<bw_softmax_wide, I16, I16, bw_softmax_wide_row>};
const Kernel<bw_log_softmax_fixed> log_fixed_scalar{"log_softmax.scalar", Isa::scalar, 0,
                                                    each<bw_log_softmax_fixed, U8, U8, bw_log_softmax_fixed_row>};
const Kernel<bw_log_softmax_real> log_real_scalar{"log_softmax_real.scalar", Isa::scalar, 0,
                                                  each<bw_log_softmax_real, U8, U8, bw_log_softmax_real_row>};
const Kernel<bw_l2> l2_scalar{"l2_normalization.scalar", Isa::scalar, 0, each<bw_l2, U8, U8, bw_l2_row>};

}  // namespace bitwright::softmax
