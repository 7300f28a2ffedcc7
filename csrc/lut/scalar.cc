#include "lut/lut.h"

namespace bitwright::lut {

const Kernel scalar{"lut.scalar", Isa::scalar, false, bw_lut_bytes, bw_lut_interpolated};

void words(const std::int16_t* table, const std::int16_t* x, std::int64_t length, std::int16_t* y) {
    bw_lut_words(table, x, length, y);
}

}  // namespace bitwright::lut
