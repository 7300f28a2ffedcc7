#include "conv/step.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "conv/blocks.h"
#include "winograd/step.h"

namespace bitwright::conv {

Placement place(const Tensor& x, const Tensor& y, const Window& window, const Phase& phase) {
    const Image in = image_of(x);
    Image out = image_of(y);
    const std::int64_t y_start = phase.first_h * out.sh + phase.first_w * out.sw;
    out.h = (out.h - phase.first_h + phase.step_h - 1) / phase.step_h, out.sh *= phase.step_h;
    out.w = (out.w - phase.first_w + phase.step_w - 1) / phase.step_w, out.sw *= phase.step_w;
    const auto narrow = [](std::int64_t v) { return static_cast<std::int32_t>(v); };
    const bw_conv_shape shape{.n = narrow(out.n),
                              .oh = narrow(out.h),
                              .ow = narrow(out.w),
                              .o = narrow(out.c),
                              .repeats = window.repeats,
                              .kh = window.kh,
                              .kw = window.kw,
                              .i = window.i,
                              .groups = window.groups,
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
    return {shape, -window.top * in.sh - window.left * in.sw, y_start};
}

std::unique_ptr<Step> make_step(Memory& memory, Isa isa, int x, int y, const Placement& placement,
                                const std::int8_t* weights, const std::int32_t* bias, const Requant& requant,
                                std::unique_ptr<const Residual> residual) {
    if (placement.y_start == 0 && winograd::takes(isa, placement.shape, weights))
        return std::make_unique<winograd::WinogradStep>(memory, x, placement.start, y, placement.shape, weights, bias,
                                                        requant, std::move(residual));
    return std::make_unique<ConvStep>(memory, select(isa), x, y, placement, weights, bias, requant,
                                      std::move(residual));
}

ConvStep::ConvStep(Memory& memory, const Kernel& kernel, int x, int y, const Placement& placement,
                   const std::int8_t* weights, const std::int32_t* bias, const Requant& requant,
                   std::unique_ptr<const Residual> residual)
    : kernel_(kernel),
      x_(x),
      y_(y),
      shape_(placement.shape),
      start_(placement.start),
      y_start_(placement.y_start),
      residual_(std::move(residual)) {
    const auto channels = static_cast<std::size_t>(shape_.o);
    if (kernel_.cut == nullptr) {
        const std::size_t bytes =
            channels * static_cast<std::size_t>(shape_.repeats * shape_.kh * shape_.kw * shape_.i);
        weights_ = memory.take(bytes);
        std::memcpy(weights_, weights, bytes);
        bias_.assign(bias, bias + channels);
        requant_ = requant;
    } else {
        layout_ = lay_out(shape_, *kernel_.cut);
        weights_ = memory.take(static_cast<std::size_t>(layout_.weights_bytes));
        pack(shape_, *kernel_.cut, layout_, weights, weights_);
        std::vector<std::int32_t> of_lane(static_cast<std::size_t>(layout_.lanes), -1);
        for (const Panel& panel : layout_.panels)
            for (std::int32_t c = 0; c < panel.channels; ++c)
                of_lane[static_cast<std::size_t>(panel.lane + c)] = panel.channel + c;
        for (const std::int32_t c : of_lane) bias_.push_back(c < 0 ? 0 : bias[c]);
        requant_ = requant.of_lanes(of_lane);
    }
    view_ = requant_.view();
    narrows_ = requant_.narrows();
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
                    weights_,
                    bias_.data(),
                    &view_,
                    narrows_,
                    run.at<const std::uint8_t>(x_) + start_,
                    run.at<std::uint8_t>(y_) + y_start_};
    if (residual_ == nullptr) return kernel_.run(call, first, last, scratch);
    for (int task = first; task < last; ++task) {
        kernel_.run(call, task, task + 1, scratch);
        add_residual(run, call, task);
    }
}

// To what a task gave: what is left of a row of an image, whole rows, the start of a row.
void ConvStep::add_residual(const Run& run, const Call& call, int task) const {
    const bw_conv_shape& s = shape_;
    if (kernel_.cut == nullptr) {
        for (std::int64_t n = 0; n < s.n; ++n) residual_->run(run, {n, 0, 0, s.oh, s.ow, 0, s.o});
        return;
    }
    const Extent extent = extent_of(call, task);
    const Panel &first = call.panels[extent.first_panel], &last = call.panels[extent.last_panel - 1];
    const std::int64_t channels = last.channel + last.channels - first.channel;
    for (std::int64_t pixel = extent.begin; pixel < extent.end;) {
        const std::int64_t left = extent.end - pixel, column = pixel % s.ow, row = pixel / s.ow % s.oh;
        const std::int64_t columns = std::min<std::int64_t>(left, s.ow - column);
        const std::int64_t rows = columns < s.ow ? 1 : std::min<std::int64_t>(left / s.ow, s.oh - row);
        residual_->run(run, {pixel / s.ow / s.oh, row, column, rows, columns, first.channel, channels});
        pixel += rows * columns;
    }
}

}  // namespace bitwright::conv
