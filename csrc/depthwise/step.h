// DepthwiseStep: a depthwise convolution in a plan: weights packed once, for the best kernel.
#pragma once

#include "depthwise/depthwise.h"
#include "engine/requant.h"
#include "engine/step.h"

namespace bitwright::depthwise {

struct Window {
    std::int32_t kh, kw;
    std::int32_t stride_h, stride_w, dilation_h, dilation_w;
    std::int32_t top, left;  // of padding, which lies in memory around the image
};

class DepthwiseStep final : public Step {
  public:
    // weights i8[KH,KW,C], bias i32[C] (see depthwise/reference.h).
    DepthwiseStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, const Window& window,
                  const std::int8_t* weights, const std::int32_t* bias, const Requant& requant);

    std::string name() const override { return kernel_.name; }
    int tasks() const override {
        return shape_.n * (kernel_.cut ? layout_.row_tasks * layout_.pattern_tasks : shape_.oh);
    }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const Kernel& kernel_;
    const int x_, y_;
    bw_depthwise_shape shape_{};
    std::int64_t start_ = 0;  // of the window of output (0, 0), from element 0 of x
    Layout layout_;
    Buffer weights_;
    std::vector<std::int32_t> bias_;
    Requant requant_;
    bw_requant view_{};
    bool narrows_ = false;
};

}  // namespace bitwright::depthwise
