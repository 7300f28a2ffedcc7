// The family of pooling: the table of kernels.
#pragma once

#include <cstdint>

#include "base/isa.h"
#include "pooling/reference.h"

namespace bitwright::pooling {

// What a kernel gets.
struct Call {
    const bw_pool_shape* shape;
    const void* x;
    void* y;
};

struct Kernel {
    const char* name;
    Isa isa;
    bool takes_wide;
    bool by_rows;  // runs any range of output rows, N * OH of them; all of them otherwise
    void (*run)(const Call& call, std::int64_t first, std::int64_t last);
};

// One row each: pooling/kernels.inc.
#define BW_POOLING_KERNEL(isa, name) extern const Kernel name;
#include "pooling/kernels.inc"
#undef BW_POOLING_KERNEL

// The fastest kernel that `isa` allows for such elements.
const Kernel& select(Isa isa, bool is_wide);

}  // namespace bitwright::pooling
