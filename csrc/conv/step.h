// ConvStep: a convolution in a plan: weights packed once, for the best kernel.
#pragma once

#include "conv/conv.h"
#include "elementwise/residual.h"
#include "engine/memory.h"
#include "engine/requant.h"
#include "engine/step.h"

namespace bitwright::conv {

struct Window {
    std::int32_t repeats, kh, kw, i, groups;
    std::int32_t stride_h, stride_w, dilation_h, dilation_w;
    std::int32_t top, left;  // of padding, which lies in memory around the image
};

// That of a product of rows: one pixel of `depth` values, read `repeats` times.
inline Window dense_window(std::int32_t repeats, std::int64_t depth) {
    return {.repeats = repeats,
            .kh = 1,
            .kw = 1,
            .i = static_cast<std::int32_t>(depth),
            .groups = 1,
            .stride_h = 1,
            .stride_w = 1,
            .dilation_h = 1,
            .dilation_w = 1,
            .top = 0,
            .left = 0};
}

// The pixels of y that are written: from (first_h, first_w) on, every so many rows and columns.
struct Phase {
    std::int32_t first_h = 0, first_w = 0, step_h = 1, step_w = 1;
};

// The shape of a convolution between two tensors, where the window of output (0, 0) begins in x, and that output in y.
struct Placement {
    bw_conv_shape shape;
    std::int64_t start, y_start;
};
Placement place(const Tensor& x, const Tensor& y, const Window& window, const Phase& phase = {});

class ConvStep final : public Step {
  public:
    // weights i8[O,R,KH,KW,I], bias i32[O] (see conv/reference.h); residual: null where there is none.
    ConvStep(Memory& memory, const Kernel& kernel, int x, int y, const Placement& placement, const std::int8_t* weights,
             const std::int32_t* bias, const Requant& requant, std::unique_ptr<const Residual> residual = nullptr);

    std::string name() const override { return kernel_.name + Residual::name_of(residual_.get()); }
    int tasks() const override { return kernel_.cut ? layout_.blocks * layout_.panel_groups : 1; }
    std::size_t scratch_bytes() const override { return kernel_.scratch_bytes(layout_, shape_); }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    void add_residual(const Run& run, const Call& call, int task) const;

    const Kernel& kernel_;
    const int x_, y_;
    const bw_conv_shape shape_;
    const std::int64_t start_, y_start_;
    Layout layout_;
    std::byte* weights_;  // in the plan's memory
    std::vector<std::int32_t> bias_;
    Requant requant_;
    bw_requant view_{};
    bool narrows_ = false;
    const std::unique_ptr<const Residual> residual_;
};

// The fastest step for a convolution; residuals are of whole results, not of phases.
std::unique_ptr<Step> make_step(Memory& memory, Isa isa, int x, int y, const Placement& placement,
                                const std::int8_t* weights, const std::int32_t* bias, const Requant& requant,
                                std::unique_ptr<const Residual> residual = nullptr);

}  // namespace bitwright::conv
