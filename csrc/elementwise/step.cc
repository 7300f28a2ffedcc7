#include "elementwise/step.h"

#include <utility>

namespace bitwright::elementwise {

ElementwiseStep::ElementwiseStep(std::string name, Operand y, Operand a, Operand b, RunBlock run_block)
    : name_(std::move(name)), run_block_(std::move(run_block)) {
    const Tensor* const operands[] = {a.tensor, b.tensor};
    walk_ = walk_over(*y.tensor, std::span(operands, b.tensor == nullptr ? 1 : 2));
    const Operand all[] = {y, a, b};
    for (std::size_t k = 0; k < 3; ++k) {
        numbers_[k] = all[k].number;
        bytes_[k] = all[k].tensor == nullptr ? 0 : static_cast<std::int64_t>(bytes_of(all[k].tensor->type));
    }
}

void ElementwiseStep::run(const Run& run, int first, int last, std::byte*) const {
    std::byte* at[3];
    for (std::size_t k = 0; k < 3; ++k) at[k] = numbers_[k] < 0 ? nullptr : run.at<std::byte>(numbers_[k]);
    for_each_block(walk_, first, last, [&](const bw_block& block, const Starts& starts) {
        const auto start = [&](std::size_t k) { return at[k] == nullptr ? nullptr : at[k] + starts[k] * bytes_[k]; };
        run_block_(block, start(1), start(2), start(0));
    });
}

}  // namespace bitwright::elementwise
