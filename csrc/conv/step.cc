#include "conv/step.h"

#include <cstring>

namespace bitwright::conv {

ConvStep::ConvStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, const Window& window,
                   const std::int8_t* weights, const std::int32_t* bias, const Requant& requant)
    : kernel_(select(isa)), x_(x), y_(y) {
    const Image in = image_of(x_tensor), out = image_of(y_tensor);
    const auto narrow = [](std::int64_t v) { return static_cast<std::int32_t>(v); };
    shape_ = {narrow(out.n),
              narrow(out.h),
              narrow(out.w),
              narrow(out.c),
              window.repeats,
              window.kh,
              window.kw,
              window.i,
              window.groups,
              window.stride_h,
              window.stride_w,
              window.dilation_h,
              window.dilation_w,
              in.sn,
              in.sh,
              in.sw,
              out.sn,
              out.sh,
              out.sw};
    start_ = -window.top * in.sh - window.left * in.sw;
    const auto channels = static_cast<std::size_t>(shape_.o);
    if (kernel_.cut == nullptr) {
        weights_ = Buffer(channels * static_cast<std::size_t>(window.repeats * window.kh * window.kw * window.i));
        std::memcpy(weights_.data(), weights, weights_.bytes());
        bias_.assign(bias, bias + channels);
        requant_ = requant;
    } else {
        layout_ = lay_out(shape_, *kernel_.cut);
        weights_ = Buffer(static_cast<std::size_t>(layout_.weights_bytes));
        pack(shape_, *kernel_.cut, layout_, weights, weights_.data());
        std::vector<std::int32_t> of_lane(static_cast<std::size_t>(layout_.lanes), -1);
        for (const Panel& panel : layout_.panels)
            for (std::int32_t c = 0; c < panel.channels; ++c)
                of_lane[static_cast<std::size_t>(panel.lane + c)] = panel.channel + c;
        for (const std::int32_t c : of_lane) bias_.push_back(c < 0 ? 0 : bias[c]);
        requant_ = requant.of_lanes(of_lane);
    }
    view_ = requant_.view();
}

void ConvStep::run(const Run& run, int first, int last, std::byte* scratch) const {
    const Call call{&shape_,
                    layout_.panels.data(),
                    static_cast<std::int32_t>(layout_.panels.size()),
                    layout_.segments.data(),
                    static_cast<std::int32_t>(layout_.segments.size()),
                    layout_.segment_length,
                    layout_.steps,
                    layout_.block_pixels,
                    layout_.panel_groups,
                    weights_.data(),
                    bias_.data(),
                    &view_,
                    run.at<const std::uint8_t>(x_) + start_,
                    run.at<std::uint8_t>(y_)};
    kernel_.run(call, first, last, scratch);
}

}  // namespace bitwright::conv
