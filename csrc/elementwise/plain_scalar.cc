#include "elementwise/plain_rows.h"

namespace bitwright::elementwise {

const PlainKernel plain_scalar{"plain.scalar", Isa::scalar, run_pair, run_unary};

}  // namespace bitwright::elementwise
