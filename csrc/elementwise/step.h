// ElementwiseStep: a function of the elements of one or two tensors, block by block.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "elementwise/walk.h"
#include "engine/step.h"

namespace bitwright::elementwise {

class ElementwiseStep final : public Step {
  public:
    // What is done with a block; a and b are null where there is no such operand.
    using RunBlock = std::function<void(const bw_block& block, const std::byte* a, const std::byte* b, std::byte* y)>;

    struct Operand {
        int number = -1;
        const Tensor* tensor = nullptr;
    };

    // Throws std::invalid_argument where an operand does not broadcast to y.
    ElementwiseStep(std::string name, Operand y, Operand a, Operand b, RunBlock run_block);

    std::string name() const override { return name_; }
    int tasks() const override { return walk_.tasks; }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const std::string name_;
    Walk walk_;
    std::array<int, 3> numbers_{};
    std::array<std::int64_t, 3> bytes_{};  // of one element
    RunBlock run_block_;
};

}  // namespace bitwright::elementwise
