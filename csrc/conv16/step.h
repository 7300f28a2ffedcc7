// Conv16Step: a convolution of 16-bit images in a plan: weights packed once, for the best kernel.
#pragma once

#include "conv/step.h"
#include "conv16/conv16.h"

namespace bitwright::conv16 {

class Conv16Step final : public Step {
  public:
    // weights i8[O,KH,KW,I], bias i64[O] (see conv16/reference.h).
    Conv16Step(const Kernel& kernel, int x, int y, const conv::Placement& placement, const std::int8_t* weights,
               const std::int64_t* bias, const Requant& requant);

    std::string name() const override { return kernel_.name; }
    int tasks() const override { return kernel_.cut ? layout_.of.blocks * layout_.of.panel_groups : 1; }
    std::size_t scratch_bytes() const override;
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const Kernel& kernel_;
    const int x_, y_;
    const bw_conv_shape shape_;
    const std::int64_t start_, y_start_;
    Layout layout_;
    Buffer weights_;
    std::vector<std::int32_t> bias_;
    std::vector<std::int64_t> wide_bias_;
    Requant requant_;
    bw_requant view_{};
    bool narrows_ = false;
};

// The fastest step for a convolution.
std::unique_ptr<Step> make_step(Isa isa, int x, int y, const conv::Placement& placement, const std::int8_t* weights,
                                const std::int64_t* bias, const Requant& requant);

}  // namespace bitwright::conv16
