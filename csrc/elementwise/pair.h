// The kernels of quantized pairs (see pair_reference.h), and their table.
#pragma once

#include "base/isa.h"
#include "elementwise/pair_reference.h"

namespace bitwright::elementwise {

struct PairKernel {
    const char* name;
    Isa isa;
    // Nothing but the elements themselves is read or written.
    void (*run_u8)(const bw_pair& how, const bw_block& block, const std::uint8_t* a, const std::uint8_t* b,
                   std::uint8_t* y);
    void (*run_i16)(const bw_pair& how, const bw_block& block, const std::int16_t* a, const std::int16_t* b,
                    std::int16_t* y);
};

// One row each: elementwise/pair_kernels.inc.
#define BW_PAIR_KERNEL(isa, name) extern const PairKernel name;
#include "elementwise/pair_kernels.inc"
#undef BW_PAIR_KERNEL

// The fastest kernel that `isa` allows.
const PairKernel& select_pair(Isa isa);

}  // namespace bitwright::elementwise
