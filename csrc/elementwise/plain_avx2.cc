#include "elementwise/plain_rows.h"

namespace bitwright::elementwise {

const PlainKernel plain_avx2{"plain.avx2", Isa::avx2, run_pair, run_unary};

}  // namespace bitwright::elementwise
