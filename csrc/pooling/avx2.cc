#include "reduce/bytes_avx2.h"

#include "pooling/kernel.h"

namespace bitwright::pooling {

const Kernel avx2{"pooling.avx2", Isa::avx2, false, true, run};

}  // namespace bitwright::pooling
