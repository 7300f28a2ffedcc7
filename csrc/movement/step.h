// MoveStep: a move between two tensors of a plan.
#pragma once

#include <span>
#include <string>

#include "engine/step.h"
#include "movement/move.h"

namespace bitwright::movement {

// One tensor as a move sees it: loop d goes along axes[d] in steps of steps[d] elements, from the element at `begin`
// on. Several loops may go along one axis: a block of 2 x 2 pixels is two loops along H, of steps 2 and 1, and two
// along W.
struct View {
    std::span<const std::int64_t> begin;  // one an axis of the tensor
    std::span<const std::int32_t> axes;   // one a loop
    std::span<const std::int64_t> steps;  // one a loop; 0 stays in place
};

class MoveStep final : public Step {
  public:
    // x and y are numbers of the plan's tensors, of one type. Throws std::invalid_argument where a view leaves its
    // tensor. A profile calls it `name`.kernel.
    MoveStep(const char* name, Isa isa, int x, const Tensor& x_tensor, const View& x_view, int y,
             const Tensor& y_tensor, const View& y_view, std::span<const std::int64_t> dims, bool flip);

    std::string name() const override { return name_ + "." + kernel_.name; }
    int tasks() const override { return static_cast<int>(layout_.tasks); }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const std::string name_;
    const Kernel& kernel_;
    const int x_, y_;
    std::int64_t x_start_ = 0, y_start_ = 0;  // bytes from element 0
    Layout layout_;
};

}  // namespace bitwright::movement
