// PoolingStep: pooling in a plan.
#pragma once

#include "engine/step.h"
#include "pooling/pooling.h"

namespace bitwright::pooling {

struct Window {
    bool is_mean;
    std::int32_t kh, kw, stride_h, stride_w;
    std::int32_t top, left;        // of padding, which the kernels leave out: it need not lie in memory
    std::int32_t bias, low, high;  // see pooling/reference.h
};

class PoolingStep final : public Step {
  public:
    PoolingStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, const Window& window);

    std::string name() const override { return kernel_.name; }
    int tasks() const override { return tasks_; }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const Kernel& kernel_;
    const int x_, y_;
    bw_pool_shape shape_{};
    std::int64_t rows_ = 1;
    int tasks_ = 1;
};

}  // namespace bitwright::pooling
