#include "elementwise/pair.h"

namespace bitwright::elementwise {
namespace {

void run_u8(const bw_pair& how, const bw_block& block, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* y) {
    bw_pair_reference_u8(&how, &block, a, b, y);
}

void run_i16(const bw_pair& how, const bw_block& block, const std::int16_t* a, const std::int16_t* b, std::int16_t* y) {
    bw_pair_reference_i16(&how, &block, a, b, y);
}

}  // namespace

const PairKernel pair_scalar{"pair.scalar", Isa::scalar, run_u8, run_i16};

}  // namespace bitwright::elementwise
