#include "reduce/bytes_avx2.h"

#include "reduce/kernel.h"

namespace bitwright::reduce {

const Kernel avx2{"reduce.avx2", Isa::avx2, block_channels, false, run};

}  // namespace bitwright::reduce
