#include "movement/bilinear.h"

namespace bitwright::movement {
namespace {

void row(const bw_bilinear_shape& shape, const void* x, void* y, int n, int i, std::byte*) {
    bw_bilinear_reference(&shape, x, y, n, i);
}

}  // namespace

const BilinearKernel bilinear_scalar{"bilinear.scalar", Isa::scalar, row};

}  // namespace bitwright::movement
