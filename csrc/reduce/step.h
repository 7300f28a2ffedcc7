// ReduceStep: a reduction in a plan.
#pragma once

#include "engine/requant.h"
#include "engine/step.h"
#include "reduce/reduce.h"

namespace bitwright::reduce {

// Which positions of a tensor are kept and which reduced: dimensions that lie one inside the other without a gap are
// one. axes: bit i is set where axis i is reduced.
void split_positions(const Tensor& x, unsigned axes, bw_reduce_shape& shape);

class ReduceStep final : public Step {
  public:
    // how: kind, and what finishes its sums (see reduce/reference.h); requant is copied, and read by BW_REDUCE_SUM
    // alone.
    ReduceStep(Isa isa, int x, const Tensor& x_tensor, int y, unsigned axes, const bw_reduce_shape& how,
               const Requant& requant);

    std::string name() const override { return kernel_.name; }
    int tasks() const override { return tasks_; }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const Kernel& kernel_;
    const int x_, y_;
    bw_reduce_shape shape_;
    Requant requant_;
    std::int64_t units_ = 1;
    int tasks_ = 1;
};

}  // namespace bitwright::reduce
