#include "movement/bilinear.h"

#include <stdexcept>

namespace bitwright::movement {
namespace {

const BilinearKernel& select(Isa isa) {
    const BilinearKernel* best = nullptr;
#define BW_BILINEAR_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "movement/bilinear_kernels.inc"
#undef BW_BILINEAR_KERNEL
    return *best;
}

// Weights without the powers of two that all of them have: the mean is the same, sums are shorter.
void reduce(BilinearAxis& axis) {
    std::int32_t all = 0;
    for (const std::int32_t w : axis.weight) all |= w;
    for (; axis.bits > 0 && (all & 1) == 0; all >>= 1) {
        --axis.bits;
        for (std::int32_t& w : axis.weight) w /= 2;
    }
}

void check(const BilinearAxis& axis, std::int64_t size, std::int64_t resized, bool of_floats) {
    const auto length = static_cast<std::size_t>(resized);
    if (axis.before.size() != length || axis.after.size() != length ||
        (of_floats ? axis.fraction.size() : axis.weight.size()) != length)
        throw std::invalid_argument("an axis has one entry a pixel of y");
    for (std::size_t i = 0; i < length; ++i)
        if (axis.before[i] < 0 || axis.before[i] >= size || axis.after[i] < 0 || axis.after[i] >= size)
            throw std::invalid_argument("an axis leaves x");
}

bw_bilinear_axis view(const BilinearAxis& axis) {
    return {axis.before.data(), axis.after.data(), axis.weight.data(), axis.fraction.data(), axis.bits};
}

}  // namespace

BilinearStep::BilinearStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, BilinearAxis rows,
                           BilinearAxis columns, bool away, std::int32_t bias)
    : kernel_(select(isa)), x_(x), y_(y), rows_(std::move(rows)), columns_(std::move(columns)) {
    const Image in = image_of(x_tensor), out = image_of(y_tensor);
    const bool of_floats = rows_.weight.empty();
    if (x_tensor.type != y_tensor.type || in.n != out.n || in.c != out.c)
        throw std::invalid_argument("only H and W are resized");
    check(rows_, in.h, out.h, of_floats);
    check(columns_, in.w, out.w, of_floats);
    reduce(rows_);
    reduce(columns_);
    const auto narrow = [](std::int64_t v) { return static_cast<std::int32_t>(v); };
    switch (x_tensor.type) {
        case Type::u8:
            shape_.kind = of_floats ? BW_BILINEAR_FLOAT_U8 : BW_BILINEAR_U8;
            break;
        case Type::i16:
            shape_.kind = BW_BILINEAR_I16;
            break;
        default:
            shape_.kind = BW_BILINEAR_F32;
    }
    shape_.n = narrow(out.n), shape_.oh = narrow(out.h), shape_.ow = narrow(out.w), shape_.c = narrow(out.c);
    shape_.w = narrow(in.w);
    shape_.x_sn = in.sn, shape_.x_sh = in.sh, shape_.x_sw = in.sw;
    shape_.y_sn = out.sn, shape_.y_sh = out.sh, shape_.y_sw = out.sw;
    shape_.rows = view(rows_), shape_.columns = view(columns_);
    // Ties upward are the same from whatever is taken for 0; from the middle on, sums are shortest.
    shape_.away = away;
    shape_.bias = shape_.kind != BW_BILINEAR_U8 ? 0 : away ? bias : 128;
}

void BilinearStep::run(const Run& run, int first, int last, std::byte* scratch) const {
    for (int task = first; task < last; ++task)
        kernel_.row(shape_, run.at<const void>(x_), run.at<void>(y_), task / shape_.oh, task % shape_.oh, scratch);
}

}  // namespace bitwright::movement
