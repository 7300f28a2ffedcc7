#include <algorithm>

#include "movement/move.h"

namespace bitwright::movement {
namespace {

struct Loop {
    std::int64_t count, x, y;  // strides
};

// Longer strides of y first, so that y is written in order; of x where y's are the same.
bool is_outside(const Loop& a, const Loop& b) {
    const auto size = [](std::int64_t v) { return v < 0 ? -v : v; };
    return size(a.y) != size(b.y) ? size(a.y) > size(b.y) : size(a.x) > size(b.x);
}

bool is_whole(std::int64_t bytes) { return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8; }

constexpr std::int64_t task_bytes = 16384;  // enough to be worth a thread's while

void cut_into_tasks(Layout& layout) {
    const std::int64_t* const inner = layout.shape.dims + layout.shape.rank - 2;
    layout.planes = 1;
    for (int d = 0; d < layout.shape.rank - 2; ++d) layout.planes *= layout.shape.dims[d];
    layout.cut = inner[1] > inner[0];
    const std::int64_t length = inner[layout.cut], other = inner[1 - layout.cut];
    if (layout.planes == 0 || length == 0 || other == 0) return;
    // Whole vectors of the kernels, as long as there are some.
    layout.piece = std::max<std::int64_t>(task_bytes / (other * layout.shape.bytes), 1);
    if (layout.piece > 64) layout.piece = layout.piece / 64 * 64;
    layout.piece = std::min(layout.piece, length);
    layout.pieces = (length + layout.piece - 1) / layout.piece;
    const std::int64_t bytes = layout.piece * other * layout.shape.bytes;
    layout.pieces_a_task = std::max<std::int64_t>(task_bytes / bytes, 1);
    layout.tasks = (layout.planes * layout.pieces + layout.pieces_a_task - 1) / layout.pieces_a_task;
}

}  // namespace

Layout lay_out(const bw_move_shape& shape) {
    Loop loops[BW_MOVE_RANK];
    int rank = 0;
    for (int d = 0; d < shape.rank; ++d)
        if (shape.dims[d] != 1) loops[rank++] = {shape.dims[d], shape.x_strides[d], shape.y_strides[d]};
    std::stable_sort(loops, loops + rank, is_outside);
    int joined = 0;
    for (int d = 0; d < rank; ++d) {
        if (joined > 0) {
            Loop& outer = loops[joined - 1];
            const Loop& inner = loops[d];
            if (outer.x == inner.count * inner.x && outer.y == inner.count * inner.y) {
                outer = {outer.count * inner.count, inner.x, inner.y};
                continue;
            }
        }
        loops[joined++] = loops[d];
    }
    Layout layout;
    std::int64_t bytes = shape.bytes;
    if (joined > 0 && loops[joined - 1].x == bytes && loops[joined - 1].y == bytes) bytes *= loops[--joined].count;
    if (joined > 0 && is_whole(bytes)) {
        layout.pattern = Pattern::strided;
        for (int d = 0; d < joined - 1; ++d)
            if (loops[d].x == bytes && loops[joined - 1].y == bytes) {
                std::rotate(loops + d, loops + d + 1, loops + joined - 1);
                layout.pattern = Pattern::transpose;
                break;
            }
    }
    const int missing = joined < 2 ? 2 - joined : 0;
    layout.shape = {joined + missing, {1, 1}, {}, {}, bytes, shape.flip};
    for (int d = 0; d < joined; ++d) {
        layout.shape.dims[missing + d] = loops[d].count;
        layout.shape.x_strides[missing + d] = loops[d].x;
        layout.shape.y_strides[missing + d] = loops[d].y;
    }
    cut_into_tasks(layout);
    return layout;
}

const Kernel& select(Isa isa) {
    const Kernel* best = nullptr;
#define BW_MOVE_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "movement/kernels.inc"
#undef BW_MOVE_KERNEL
    return *best;
}

}  // namespace bitwright::movement
