#include "movement/step.h"

#include <algorithm>
#include <stdexcept>

namespace bitwright::movement {
namespace {

// Where the view begins, in bytes; strides of its loops go to `strides`.
std::int64_t place(const Tensor& tensor, const View& view, std::span<const std::int64_t> dims, std::int64_t* strides) {
    const auto bytes = static_cast<std::int64_t>(bytes_of(tensor.type));
    const auto rank = static_cast<std::size_t>(tensor.rank);
    if (view.begin.size() != rank || view.axes.size() != dims.size() || view.steps.size() != dims.size())
        throw std::invalid_argument("a view has one begin an axis, one axis and one step a loop");
    std::int64_t low[max_rank]{}, high[max_rank]{}, start = 0;
    bool empty = false;
    for (std::size_t d = 0; d < dims.size(); ++d) {
        if (view.axes[d] < 0 || view.axes[d] >= std::max(tensor.rank, 1)) throw std::invalid_argument("no such axis");
        if (dims[d] < 1) {
            empty = true;
            continue;
        }
        const auto axis = static_cast<std::size_t>(view.axes[d]);
        const std::int64_t way = (dims[d] - 1) * view.steps[d];
        (way < 0 ? low : high)[axis] += way;
        strides[d] = view.steps[d] * tensor.strides[axis] * bytes;
    }
    for (std::size_t a = 0; a < rank; ++a) {
        if (!empty && (view.begin[a] + low[a] < 0 || view.begin[a] + high[a] >= tensor.dims[a]))
            throw std::invalid_argument("a view leaves its tensor");
        start += view.begin[a] * tensor.strides[a] * bytes;
    }
    return start;
}

}  // namespace

MoveStep::MoveStep(const char* name, Isa isa, int x, const Tensor& x_tensor, const View& x_view, int y,
                   const Tensor& y_tensor, const View& y_view, std::span<const std::int64_t> dims, bool flip)
    : name_(name), kernel_(select(isa)), x_(x), y_(y) {
    if (x_tensor.type != y_tensor.type) throw std::invalid_argument("a move changes no type");
    if (dims.size() > BW_MOVE_RANK) throw std::invalid_argument("a move has 12 loops at most");
    bw_move_shape shape{};
    shape.rank = static_cast<std::int32_t>(dims.size());
    shape.bytes = static_cast<std::int64_t>(bytes_of(x_tensor.type));
    shape.flip = flip;
    std::copy(dims.begin(), dims.end(), shape.dims);
    x_start_ = place(x_tensor, x_view, dims, shape.x_strides);
    y_start_ = place(y_tensor, y_view, dims, shape.y_strides);
    layout_ = lay_out(shape);
}

void MoveStep::run(const Run& run, int first, int last, std::byte*) const {
    const bw_move_shape& s = layout_.shape;
    const int outer = s.rank - 2;
    std::int64_t piece = first * layout_.pieces_a_task;
    const std::int64_t end = std::min(last * layout_.pieces_a_task, layout_.planes * layout_.pieces);
    if (piece >= end) return;
    bw_move_shape inner{2, {}, {}, {}, s.bytes, s.flip};
    std::copy(s.dims + outer, s.dims + s.rank, inner.dims);
    std::copy(s.x_strides + outer, s.x_strides + s.rank, inner.x_strides);
    std::copy(s.y_strides + outer, s.y_strides + s.rank, inner.y_strides);
    const std::int64_t length = inner.dims[layout_.cut];

    const std::uint8_t* x = run.at<const std::uint8_t>(x_) + x_start_;
    std::uint8_t* y = run.at<std::uint8_t>(y_) + y_start_;
    std::int64_t at[BW_MOVE_RANK];
    std::int64_t rest = piece / layout_.pieces, part = piece % layout_.pieces;
    for (int d = outer - 1; d >= 0; --d) {
        at[d] = rest % s.dims[d];
        rest /= s.dims[d];
        x += at[d] * s.x_strides[d];
        y += at[d] * s.y_strides[d];
    }
    while (true) {
        const std::int64_t begin = part * layout_.piece;
        inner.dims[layout_.cut] = std::min(layout_.piece, length - begin);
        kernel_.run(layout_.pattern, inner, x + begin * inner.x_strides[layout_.cut],
                    y + begin * inner.y_strides[layout_.cut]);
        if (++piece == end) return;
        if (++part < layout_.pieces) continue;
        part = 0;
        int d = outer - 1;
        for (; ++at[d] == s.dims[d]; --d) {
            x -= (s.dims[d] - 1) * s.x_strides[d];
            y -= (s.dims[d] - 1) * s.y_strides[d];
            at[d] = 0;
        }
        x += s.x_strides[d];
        y += s.y_strides[d];
    }
}

}  // namespace bitwright::movement
