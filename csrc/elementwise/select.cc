// The fastest kernels that an instruction set allows: the last row of each table that it includes.
#include "elementwise/pair.h"
#include "elementwise/plain.h"
#include "elementwise/quantize.h"

namespace bitwright::elementwise {

const PairKernel& select_pair(Isa isa) {
    const PairKernel* best = nullptr;
#define BW_PAIR_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "elementwise/pair_kernels.inc"
#undef BW_PAIR_KERNEL
    return *best;
}

const PlainKernel& select_plain(Isa isa) {
    const PlainKernel* best = nullptr;
#define BW_PLAIN_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "elementwise/plain_kernels.inc"
#undef BW_PLAIN_KERNEL
    return *best;
}

const QuantizeKernel& select_quantize(Isa isa) {
    const QuantizeKernel* best = nullptr;
#define BW_QUANTIZE_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "elementwise/quantize_kernels.inc"
#undef BW_QUANTIZE_KERNEL
    return *best;
}

}  // namespace bitwright::elementwise
