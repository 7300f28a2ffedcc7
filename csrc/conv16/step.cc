#include "conv16/step.h"

#include <cstring>

#include "conv/blocks.h"

namespace bitwright::conv16 {

std::unique_ptr<Step> make_step(Isa isa, int x, int y, const conv::Placement& placement, const std::int8_t* weights,
                                const std::int64_t* bias, const Requant& requant) {
    const Kernel& kernel = select(isa, placement.shape, is_wide(placement.shape, weights, bias, requant.rounding));
    return std::make_unique<Conv16Step>(kernel, x, y, placement, weights, bias, requant);
}

Conv16Step::Conv16Step(const Kernel& kernel, int x, int y, const conv::Placement& placement, const std::int8_t* weights,
                       const std::int64_t* bias, const Requant& requant)
    : kernel_(kernel), x_(x), y_(y), shape_(placement.shape), start_(placement.start), y_start_(placement.y_start) {
    const auto channels = static_cast<std::size_t>(shape_.o);
    if (kernel_.cut == nullptr) {
        weights_ = Buffer(channels * static_cast<std::size_t>(shape_.kh * shape_.kw * shape_.i));
        std::memcpy(weights_.data(), weights, weights_.bytes());
        wide_bias_.assign(bias, bias + channels);
        requant_ = requant;
    } else {
        layout_ = lay_out(shape_, kernel_, weights, is_wide(shape_, weights, bias, requant.rounding));
        weights_ = Buffer(static_cast<std::size_t>(layout_.of.weights_bytes));
        pack(shape_, kernel_, layout_, weights, weights_.data());
        for (const std::int32_t c : layout_.channel) {
            const std::int64_t start = c < 0 ? 0 : bias[c];
            bias_.push_back(layout_.is_wide ? 0 : bw_wrap32(start));
            if (layout_.is_wide) wide_bias_.push_back(start);
        }
        requant_ = requant.of_lanes(layout_.channel);
    }
    view_ = requant_.view();
    narrows_ = narrows(requant_);
}

std::size_t Conv16Step::scratch_bytes() const {
    return kernel_.cut == nullptr ? 0 : conv::block_scratch_bytes(layout_.of);
}

void Conv16Step::run(const Run& run, int first, int last, std::byte* scratch) const {
    Call call{};
    call.shape = &shape_;
    call.panels = layout_.of.panels.data();
    call.panel_count = static_cast<std::int32_t>(layout_.of.panels.size());
    call.segments = layout_.of.segments.data();
    call.segment_count = static_cast<std::int32_t>(layout_.of.segments.size());
    call.segment_length = layout_.of.segment_length;
    call.steps = layout_.of.steps;
    call.block_pixels = layout_.of.block_pixels;
    call.panel_groups = layout_.of.panel_groups;
    call.weights = weights_.data();
    call.bias = bias_.data();
    call.requant = &view_;
    call.narrows = narrows_;
    call.x = reinterpret_cast<const std::uint8_t*>(run.at<const std::int16_t>(x_) + start_);
    call.y = reinterpret_cast<std::uint8_t*>(run.at<std::int16_t>(y_) + y_start_);
    call.pieces = layout_.pieces.data();
    call.chunks = layout_.chunks.data();
    call.chunk_count = static_cast<std::int32_t>(layout_.chunks.size());
    call.wide_bias = wide_bias_.empty() ? nullptr : wide_bias_.data();
    kernel_.run(call, first, last, scratch);
}

}  // namespace bitwright::conv16
