// The kernels of plain arithmetic (see plain_reference.h), and their table.
#pragma once

#include "base/isa.h"
#include "elementwise/plain_reference.h"
#include "engine/tensor.h"

namespace bitwright::elementwise {

struct PlainKernel {
    const char* name;
    Isa isa;
    // Nothing but the elements themselves is read or written.
    void (*run_pair)(const bw_plain& how, Type type, const bw_block& block, const void* a, const void* b, void* y);
    void (*run_unary)(const bw_unary& how, const bw_block& block, const float* x, float* y);
};

// One row each: elementwise/plain_kernels.inc.
#define BW_PLAIN_KERNEL(isa, name) extern const PlainKernel name;
#include "elementwise/plain_kernels.inc"
#undef BW_PLAIN_KERNEL

// The fastest kernel that `isa` allows.
const PlainKernel& select_plain(Isa isa);

}  // namespace bitwright::elementwise
