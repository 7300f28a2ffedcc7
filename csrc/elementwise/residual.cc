#include "elementwise/residual.h"

#include <algorithm>
#include <stdexcept>

namespace bitwright {
namespace {

Image checked(const Tensor& y, const Tensor& other) {
    const auto is_image = [](const Tensor& t) { return t.rank >= 1 && t.rank <= 4 && t.strides[t.rank - 1] == 1; };
    if (y.type != Type::u8 || other.type != Type::u8 || !is_image(y) || !is_image(other))
        throw std::invalid_argument("a residual is of u8 images");
    if (y.rank != other.rank || !std::equal(y.dims.begin(), y.dims.begin() + y.rank, other.dims.begin()))
        throw std::invalid_argument("a residual has the shape of the result");
    return image_of(y);
}

}  // namespace

Residual::Residual(const elementwise::PairKernel& kernel, const QuantizedPair& pair, const Operand& y,
                   const Operand& other, bool is_first)
    : kernel_(kernel),
      pair_(pair),
      view_(pair_.view()),
      y_(y.number),
      other_(other.number),
      y_image_(checked(y.tensor, other.tensor)),
      other_image_(image_of(other.tensor)),
      is_first_(is_first) {}

std::string Residual::name_of(const Residual* residual) {
    return residual == nullptr ? "" : std::string(" + ") + residual->kernel_.name;
}

void Residual::run(const Run& run, const Area& area) const {
    const auto start = [&](const Image& image) {
        return area.n * image.sn + area.row * image.sh + area.column * image.sw + area.channel;
    };
    std::uint8_t* y = run.at<std::uint8_t>(y_) + start(y_image_);
    const std::uint8_t* other = run.at<const std::uint8_t>(other_) + start(other_image_);
    const auto join = [&](std::int64_t rows, std::int64_t length, std::int64_t y_step, std::int64_t other_step) {
        if (is_first_) {
            kernel_.run_u8(view_, {rows, length, {y_step, y_step, other_step}, {1, 1, 1}}, y, other, y);
        } else {
            kernel_.run_u8(view_, {rows, length, {y_step, other_step, y_step}, {1, 1, 1}}, other, y, y);
        }
    };
    const auto follow = [&](const Image& image) { return image.sw == area.channels; };  // pixels, without gaps
    if (!follow(y_image_) || !follow(other_image_)) {
        for (std::int64_t r = 0; r < area.rows; ++r, y += y_image_.sh, other += other_image_.sh)
            join(area.columns, area.channels, y_image_.sw, other_image_.sw);
        return;
    }
    const std::int64_t length = area.columns * area.channels;
    if (y_image_.sh == length && other_image_.sh == length) {
        join(1, area.rows * length, 0, 0);
    } else {
        join(area.rows, length, y_image_.sh, other_image_.sh);
    }
}

}  // namespace bitwright
