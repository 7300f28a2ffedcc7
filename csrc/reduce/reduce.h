// The family of reductions: the table of kernels.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "reduce/reference.h"

namespace bitwright::reduce {

// What a kernel gets.
struct Call {
    const bw_reduce_shape* shape;
    const void* x;
    void* y;
};

struct Kernel {
    const char* name;
    Isa isa;
    // Channels of one unit of work; units are (kept position, block of channels). 0: all of it is one unit.
    std::int32_t block;
    bool takes_wide;
    void (*run)(const Call& call, std::int64_t first, std::int64_t last);
};

// One row each: reduce/kernels.inc.
#define BW_REDUCE_KERNEL(isa, name) extern const Kernel name;
#include "reduce/kernels.inc"
#undef BW_REDUCE_KERNEL

// The fastest kernel that `isa` allows for such elements.
const Kernel& select(Isa isa, bool is_wide);

}  // namespace bitwright::reduce
