// Residual: what a convolution's result is joined with before it leaves the caches: a quantized pair with another
// tensor of its shape, in place.
#pragma once

#include <memory>
#include <string>

#include "elementwise/pair.h"
#include "engine/requant.h"
#include "engine/step.h"

namespace bitwright {

// A bw_pair with arrays of its own.
struct QuantizedPair {
    bw_pair how{};  // but for its requantizations
    Requant requant, below;

    bw_pair view() const {
        bw_pair made = how;
        made.requant = requant.view();
        made.below = below.view();
        return made;
    }
};

class Residual {
  public:
    struct Operand {
        int number = -1;
        Tensor tensor;
    };

    // A part of the result: columns of rows of image n, some channels of each pixel.
    struct Area {
        std::int64_t n, row, column, rows, columns, channel, channels;
    };

    // is_first: y is operand a of the pair, other is b. Throws std::invalid_argument unless both are u8 of one shape.
    Residual(const elementwise::PairKernel& kernel, const QuantizedPair& pair, const Operand& y, const Operand& other,
             bool is_first);
    Residual(const Residual&) = delete;

    // What it adds to the name of a step; nothing for null.
    static std::string name_of(const Residual* residual);

    void run(const Run& run, const Area& area) const;

  private:
    const elementwise::PairKernel& kernel_;
    const QuantizedPair pair_;
    const bw_pair view_;
    const int y_, other_;
    const Image y_image_, other_image_;
    const bool is_first_;
};

}  // namespace bitwright
