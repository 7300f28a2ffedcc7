#include "elementwise/walk.h"

#include <algorithm>
#include <stdexcept>

namespace bitwright::elementwise {
namespace {

constexpr std::int64_t task_elements = 16384;  // enough to be worth a thread's while

struct Loop {
    std::int64_t count;
    std::array<std::int64_t, 3> strides;
};

// Longer strides of the result first, so that it is written in order; of the operands where these are equal.
bool is_outside(const Loop& a, const Loop& b) { return a.strides > b.strides; }

bool continues(const Loop& outer, const Loop& inner) {
    for (std::size_t k = 0; k < 3; ++k)
        if (outer.strides[k] != inner.count * inner.strides[k]) return false;
    return true;
}

void cut_into_tasks(Walk& walk) {
    std::int64_t rows = walk.block.rows;
    for (int d = 0; d < walk.rank; ++d) rows *= walk.dims[static_cast<std::size_t>(d)];
    const std::int64_t elements = rows * walk.block.length;
    if (elements == 0) return;
    const std::int64_t tasks = std::max<std::int64_t>(elements / task_elements, 1);
    if (rows < 2 * tasks) walk.pieces = std::max<std::int64_t>(walk.block.length / task_elements, 1);
    walk.units = rows * walk.pieces;
    walk.tasks = static_cast<int>(std::min(tasks, walk.units));
}

}  // namespace

Walk walk_over(const Tensor& y, std::span<const Tensor* const> operands) {
    Loop loops[max_rank];
    int count = 0;
    for (const Tensor* operand : operands)
        if (operand->rank > y.rank) throw std::invalid_argument("an operand has more dimensions than the result");
    for (int d = 0; d < y.rank; ++d) {
        const auto axis = static_cast<std::size_t>(d);
        Loop loop{y.dims[axis], {y.strides[axis], 0, 0}};
        for (std::size_t k = 0; k < operands.size(); ++k) {
            const Tensor& operand = *operands[k];
            const int own = d - (y.rank - operand.rank);
            if (own < 0) continue;
            const std::int64_t size = operand.dims[static_cast<std::size_t>(own)];
            if (size != 1 && size != loop.count) throw std::invalid_argument("an operand does not broadcast");
            if (size != 1) loop.strides[k + 1] = operand.strides[static_cast<std::size_t>(own)];
        }
        if (loop.count != 1) loops[count++] = loop;
    }
    std::stable_sort(loops, loops + count, is_outside);
    int joined = 0;
    for (int d = 0; d < count; ++d) {
        if (joined > 0 && continues(loops[joined - 1], loops[d])) {
            loops[joined - 1] = {loops[joined - 1].count * loops[d].count, loops[d].strides};
        } else {
            loops[joined++] = loops[d];
        }
    }
    Walk walk;
    const Loop one{1, {1, 1, 1}};
    const Loop& inner = joined > 0 ? loops[joined - 1] : one;
    const Loop& outer = joined > 1 ? loops[joined - 2] : one;
    walk.block.length = inner.count;
    walk.block.rows = outer.count;
    for (std::size_t k = 0; k < 3; ++k) {
        walk.block.stride[k] = inner.strides[k];
        walk.block.row_stride[k] = outer.strides[k];
    }
    walk.rank = std::max(joined - 2, 0);
    for (int d = 0; d < walk.rank; ++d) {
        walk.dims[static_cast<std::size_t>(d)] = loops[d].count;
        for (std::size_t k = 0; k < 3; ++k) walk.strides[k][static_cast<std::size_t>(d)] = loops[d].strides[k];
    }
    cut_into_tasks(walk);
    return walk;
}

std::int64_t next_block(const Walk& walk, std::int64_t unit, std::int64_t last, bw_block& block, Starts& starts) {
    block = walk.block;
    std::int64_t row = unit / walk.pieces;
    const std::int64_t piece = unit % walk.pieces;
    std::int64_t outer = row / block.rows;
    row %= block.rows;
    for (std::size_t k = 0; k < 3; ++k) starts[k] = row * block.row_stride[k];
    for (int d = walk.rank - 1; d >= 0; --d) {
        const auto axis = static_cast<std::size_t>(d);
        for (std::size_t k = 0; k < 3; ++k) starts[k] += outer % walk.dims[axis] * walk.strides[k][axis];
        outer /= walk.dims[axis];
    }
    if (walk.pieces == 1) {
        block.rows = std::min(block.rows - row, last - unit);
        return unit + block.rows;
    }
    // Cuts lie at whole vectors.
    const auto cut = [&](std::int64_t index) { return block.length * index / walk.pieces / 64 * 64; };
    const std::int64_t begin = cut(piece), end = piece + 1 == walk.pieces ? block.length : cut(piece + 1);
    block.rows = 1;
    block.length = end - begin;
    for (std::size_t k = 0; k < 3; ++k) starts[k] += begin * block.stride[k];
    return unit + 1;
}

}  // namespace bitwright::elementwise
