#include "pooling/step.h"

#include <algorithm>

namespace bitwright::pooling {

const Kernel& select(Isa isa, bool is_wide) {
    const Kernel* best = nullptr;
#define BW_POOLING_KERNEL(set, name) \
    if (Isa::set <= isa && (!is_wide || name.takes_wide)) best = &name;
#include "pooling/kernels.inc"
#undef BW_POOLING_KERNEL
    return *best;
}

PoolingStep::PoolingStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, const Window& window)
    : kernel_(select(isa, x_tensor.type == Type::i16)), x_(x), y_(y) {
    constexpr std::int64_t task_bytes = 64 * 1024;  // read by one task: about 2 us of work
    const Image in = image_of(x_tensor), out = image_of(y_tensor);
    const auto narrow = [](std::int64_t v) { return static_cast<std::int32_t>(v); };
    shape_ = {window.is_mean,  x_tensor.type == Type::i16,
              narrow(out.n),   narrow(out.h),
              narrow(out.w),   narrow(out.c),
              narrow(in.h),    narrow(in.w),
              window.kh,       window.kw,
              window.stride_h, window.stride_w,
              window.top,      window.left,
              in.sn,           in.sh,
              in.sw,           out.sn,
              out.sh,          out.sw,
              window.bias,     window.low,
              window.high};
    if (!kernel_.by_rows) return;
    rows_ = out.n * out.h;
    const std::int64_t seen =
        out.w * out.c * std::min<std::int64_t>(window.kh, in.h) * std::min<std::int64_t>(window.kw, in.w);
    tasks_ = static_cast<int>(
        std::clamp<std::int64_t>(rows_ * seen / task_bytes, 1, std::clamp<std::int64_t>(rows_, 1, 64)));
}

void PoolingStep::run(const Run& run, int first, int last, std::byte*) const {
    const Call call{&shape_, run.at<const void>(x_), run.at<void>(y_)};
    kernel_.run(call, part_begin(rows_, first, tasks_), part_begin(rows_, last, tasks_));
}

}  // namespace bitwright::pooling
