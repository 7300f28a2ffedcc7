// The AMX kernel on emulated tiles, as a kernel that conv_test.cc compares. Its other code needs AVX-512.
#include "conv/amx_emulated_test.h"

#if BW_X86

#include <vector>

#include "base/tiles_emulated.h"
#include "conv/conv.h"

#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,avx512vnni")
#include "conv/amx_kernel.h"

namespace bitwright::conv {

const Kernel amx_emulated{"conv.amx_emulated", Isa::avx512vnni, &amx_cut, amx_scratch_bytes, run_amx<EmulatedTiles>};

int emulated_faults() { return EmulatedTiles::faults; }

}  // namespace bitwright::conv

#endif
