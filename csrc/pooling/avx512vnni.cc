#include "reduce/bytes_avx512.h"

#include "pooling/kernel.h"

namespace bitwright::pooling {

const Kernel avx512vnni{"pooling.avx512vnni", Isa::avx512vnni, false, true, run};

}  // namespace bitwright::pooling
