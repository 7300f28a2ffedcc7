#include "depthwise/step.h"

#include <cstring>

namespace bitwright::depthwise {

DepthwiseStep::DepthwiseStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor,
                             const Window& window, const std::int8_t* weights, const std::int32_t* bias,
                             const Requant& requant)
    : kernel_(select(isa)), x_(x), y_(y) {
    const Image in = image_of(x_tensor), out = image_of(y_tensor);
    const auto narrow = [](std::int64_t v) { return static_cast<std::int32_t>(v); };
    shape_ = {.n = narrow(out.n),
              .oh = narrow(out.h),
              .ow = narrow(out.w),
              .c = narrow(out.c),
              .kh = window.kh,
              .kw = window.kw,
              .stride_h = window.stride_h,
              .stride_w = window.stride_w,
              .dilation_h = window.dilation_h,
              .dilation_w = window.dilation_w,
              .x_sn = in.sn,
              .x_sh = in.sh,
              .x_sw = in.sw,
              .y_sn = out.sn,
              .y_sh = out.sh,
              .y_sw = out.sw};
    start_ = -window.top * in.sh - window.left * in.sw;
    const auto channels = static_cast<std::size_t>(shape_.c);
    if (kernel_.cut == nullptr) {
        weights_ = Buffer(channels * static_cast<std::size_t>(window.kh * window.kw));
        std::memcpy(weights_.data(), weights, weights_.bytes());
        bias_.assign(bias, bias + channels);
        requant_ = requant;
    } else {
        layout_ = lay_out(shape_, *kernel_.cut);
        weights_ = Buffer(static_cast<std::size_t>(layout_.weights_bytes));
        pack(shape_, *kernel_.cut, layout_, weights, weights_.data());
        for (const std::int32_t c : layout_.channels) bias_.push_back(c < 0 ? 0 : bias[c]);
        requant_ = requant.of_lanes(layout_.channels);
    }
    view_ = requant_.view();
    narrows_ = requant.narrows();
}

void DepthwiseStep::run(const Run& run, int first, int last, std::byte*) const {
    const Call call{&shape_,
                    layout_.patterns.data(),
                    static_cast<std::int32_t>(layout_.patterns.size()),
                    layout_.gathers.data(),
                    layout_.x_step,
                    layout_.y_step,
                    layout_.rows,
                    layout_.shared_columns,
                    layout_.fours,
                    layout_.taps.data(),
                    layout_.task_rows,
                    layout_.row_tasks,
                    layout_.pattern_tasks,
                    weights_.data(),
                    bias_.data(),
                    &view_,
                    narrows_,
                    run.at<const std::uint8_t>(x_) + start_,
                    run.at<std::uint8_t>(y_)};
    kernel_.run(call, first, last);
}

}  // namespace bitwright::depthwise
