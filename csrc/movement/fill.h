// FillStep: one value is written to all of a tensor, or around an image.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "engine/step.h"

namespace bitwright::movement {

// Pixels around an image.
struct Border {
    std::int64_t top, bottom, left, right;
};

// One element, as it is stored, as often as it goes into 8 bytes.
using Element = std::array<std::uint8_t, 8>;
Element repeated(const void* element, Type type);

class FillStep final : public Step {
  public:
    // What lies contiguously, in bytes from element 0.
    struct Piece {
        std::int64_t start, bytes;
    };

    FillStep(int y, std::vector<Piece> pieces, const Element& value)
        : y_(y), value_(value), pieces_(std::move(pieces)) {}

    std::string name() const override { return "fill"; }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const int y_;
    const Element value_;
    const std::vector<Piece> pieces_;
};

// The border of an image that lies in memory around it, pixels as far apart as the image's: the last pixels of a row
// and the first of the next are one piece where no gap is between them.
std::vector<FillStep::Piece> pieces_around(const Tensor& image, const Border& border);

// The outermost pixels of an image without gaps.
std::vector<FillStep::Piece> pieces_within(const Tensor& image, const Border& margin);

// All of a tensor without gaps.
std::vector<FillStep::Piece> pieces_of(const Tensor& tensor);

}  // namespace bitwright::movement
