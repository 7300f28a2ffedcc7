// Walk: tensors that broadcast against each other as blocks, with as few and as long rows as it takes.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "elementwise/block.h"
#include "engine/tensor.h"

namespace bitwright::elementwise {

struct Walk {
    // Outside the blocks; entry 0 is the result's, 1 and 2 are the operands'.
    int rank = 0;
    std::array<std::int64_t, max_rank> dims{};
    std::array<std::array<std::int64_t, max_rank>, 3> strides{};
    bw_block block{};         // the whole of the two innermost loops
    std::int64_t pieces = 1;  // into which each row is cut; 1 where there are many rows
    std::int64_t units = 0;   // rows of all blocks, or pieces of them
    int tasks = 1;
};

using Starts = std::array<std::int64_t, 3>;

// Sizes are equal or 1, aligned at the last dimension. Loops that are one are joined, and ordered by where they write.
// Throws std::invalid_argument where an operand does not broadcast to y.
Walk walk_over(const Tensor& y, std::span<const Tensor* const> operands);

// The next block of units [unit, last), as large as may be; `starts` are its elements' offsets. Returns the unit after
// it.
std::int64_t next_block(const Walk& walk, std::int64_t unit, std::int64_t last, bw_block& block, Starts& starts);

// Calls visit(block, starts) for every block of tasks [first, last).
template <typename Visit>
void for_each_block(const Walk& walk, int first, int last, const Visit& visit) {
    bw_block block;
    Starts starts;
    const std::int64_t end = walk.units * last / walk.tasks;
    for (std::int64_t unit = walk.units * first / walk.tasks; unit < end;) {
        unit = next_block(walk, unit, end, block, starts);
        visit(block, starts);
    }
}

}  // namespace bitwright::elementwise
