#include "reduce/bytes_avx512.h"

#include "reduce/kernel.h"

namespace bitwright::reduce {

const Kernel avx512vnni{"reduce.avx512vnni", Isa::avx512vnni, block_channels, false, run};

}  // namespace bitwright::reduce
