#include "reduce/step.h"

#include <algorithm>

namespace bitwright::reduce {
namespace {

constexpr std::int64_t task_bytes = 64 * 1024;  // about 2 us of work: less is not worth another thread

void append(bw_positions& positions, std::int64_t size, std::int64_t stride) {
    positions.size[positions.rank] = size;
    positions.stride[positions.rank] = stride;
    ++positions.rank;
}

}  // namespace

void split_positions(const Tensor& x, unsigned axes, bw_reduce_shape& shape) {
    shape.kept = shape.reduced = bw_positions{};
    shape.c = 1;
    bw_positions* before = nullptr;
    for (int i = 0; i < x.rank; ++i) {
        if (x.dims[i] == 1) continue;
        bw_positions& group = axes >> i & 1 ? shape.reduced : shape.kept;
        const int last = group.rank - 1;
        if (&group == before && group.stride[last] == x.dims[i] * x.strides[i]) {
            group.size[last] *= x.dims[i];
            group.stride[last] = x.strides[i];
        } else {
            append(group, x.dims[i], x.strides[i]);
        }
        before = &group;
    }
    const int last = shape.kept.rank - 1;
    if (before == &shape.kept && shape.kept.stride[last] == 1) {
        shape.c = shape.kept.size[last];
        shape.kept.rank = last;
    }
}

const Kernel& select(Isa isa, bool is_wide) {
    const Kernel* best = nullptr;
#define BW_REDUCE_KERNEL(set, name) \
    if (Isa::set <= isa && (!is_wide || name.takes_wide)) best = &name;
#include "reduce/kernels.inc"
#undef BW_REDUCE_KERNEL
    return *best;
}

ReduceStep::ReduceStep(Isa isa, int x, const Tensor& x_tensor, int y, unsigned axes, const bw_reduce_shape& how,
                       const Requant& requant)
    : kernel_(select(isa, x_tensor.type == Type::i16)), x_(x), y_(y), shape_(how), requant_(requant) {
    shape_.is_wide = x_tensor.type == Type::i16;
    shape_.requant = requant_.view();
    split_positions(x_tensor, axes, shape_);
    if (kernel_.block == 0) return;
    units_ = bw_count(&shape_.kept) * ((shape_.c + kernel_.block - 1) / kernel_.block);
    const std::int64_t parts = std::min(units_, x_tensor.elements() / task_bytes);
    tasks_ = static_cast<int>(std::clamp<std::int64_t>(parts, 1, 64));
}

void ReduceStep::run(const Run& run, int first, int last, std::byte*) const {
    const Call call{&shape_, run.at<const void>(x_), run.at<void>(y_)};
    kernel_.run(call, part_begin(units_, first, tasks_), part_begin(units_, last, tasks_));
}

}  // namespace bitwright::reduce
