#include "movement/fill.h"

#include <cstring>

namespace bitwright::movement {

Element repeated(const void* element, Type type) {
    Element value;
    const std::size_t bytes = bytes_of(type);
    for (std::size_t i = 0; i < value.size(); i += bytes) std::memcpy(value.data() + i, element, bytes);
    return value;
}

void FillStep::run(const Run& run, int, int, std::byte*) const {
    std::uint8_t* const y = run.at<std::uint8_t>(y_);
    bool is_one_byte = true;
    for (const std::uint8_t byte : value_) is_one_byte &= byte == value_[0];
    for (const Piece& piece : pieces_) {
        std::uint8_t* const start = y + piece.start;
        if (is_one_byte && piece.bytes >= 64) {
            std::memset(start, value_[0], static_cast<std::size_t>(piece.bytes));
            continue;
        }
        std::int64_t i = 0;
        for (; i + 8 <= piece.bytes; i += 8) std::memcpy(start + i, value_.data(), 8);
        for (; i < piece.bytes; ++i) start[i] = value_[static_cast<std::size_t>(i % 8)];
    }
}

std::vector<FillStep::Piece> pieces_around(const Tensor& tensor, const Border& border) {
    const Image image = image_of(tensor);
    const auto bytes = static_cast<std::int64_t>(bytes_of(tensor.type));
    std::vector<FillStep::Piece> pieces;
    const auto add = [&](std::int64_t n, std::int64_t row, std::int64_t column, std::int64_t pixels) {
        const std::int64_t start = (n * image.sn + row * image.sh + column * image.sw) * bytes;
        const std::int64_t length = pixels * image.sw * bytes;
        if (length == 0) return;
        if (!pieces.empty() && pieces.back().start + pieces.back().bytes == start) {
            pieces.back().bytes += length;
        } else {
            pieces.push_back({start, length});
        }
    };
    const std::int64_t width = border.left + image.w + border.right;
    for (std::int64_t n = 0; n < image.n; ++n)
        for (std::int64_t row = -border.top; row < image.h + border.bottom; ++row) {
            if (row < 0 || row >= image.h) {
                add(n, row, -border.left, width);
            } else {
                add(n, row, -border.left, border.left);
                add(n, row, image.w, border.right);
            }
        }
    return pieces;
}

std::vector<FillStep::Piece> pieces_within(const Tensor& tensor, const Border& margin) {
    Tensor inner = tensor;
    const auto h = static_cast<std::size_t>(tensor.rank - 3), w = h + 1;
    inner.dims[h] -= margin.top + margin.bottom;
    inner.dims[w] -= margin.left + margin.right;
    const auto bytes = static_cast<std::int64_t>(bytes_of(tensor.type));
    auto pieces = pieces_around(inner, margin);
    for (auto& piece : pieces)
        piece.start += (margin.top * tensor.strides[h] + margin.left * tensor.strides[w]) * bytes;
    return pieces;
}

std::vector<FillStep::Piece> pieces_of(const Tensor& tensor) {
    return {{0, tensor.elements() * static_cast<std::int64_t>(bytes_of(tensor.type))}};
}

}  // namespace bitwright::movement
