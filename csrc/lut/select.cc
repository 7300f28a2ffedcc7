#include "lut/lut.h"

namespace bitwright::lut {

bool runs(const Kernel& kernel, Isa isa) {
#if BW_X86
    if (kernel.permutes_bytes && !__builtin_cpu_supports("avx512vbmi")) return false;
#endif
    return kernel.isa <= isa;
}

const Kernel& select(Isa isa) {
    const Kernel* best = nullptr;
#define BW_LUT_KERNEL(set, name) \
    if (runs(name, isa)) best = &name;
#include "lut/kernels.inc"
#undef BW_LUT_KERNEL
    return *best;
}

}  // namespace bitwright::lut
