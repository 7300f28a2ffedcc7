#include "movement/move.h"

namespace bitwright::movement {
namespace {

void run(Pattern, const bw_move_shape& shape, const std::uint8_t* x, std::uint8_t* y) {
    bw_move_reference(&shape, x, y);
}

}  // namespace

const Kernel scalar{"scalar", Isa::scalar, run, bw_take_reference};

}  // namespace bitwright::movement
