#include "conv/amx_kernel.h"

namespace bitwright::conv {

const Kernel amx{"conv.amx", Isa::amx, &amx_cut, amx_scratch_bytes, run_amx<AmxTiles>};

}  // namespace bitwright::conv
