#include "reduce/reduce.h"

namespace bitwright::reduce {
namespace {

void run(const Call& call, std::int64_t, std::int64_t) { bw_reduce_reference(call.shape, call.x, call.y); }

}  // namespace

const Kernel scalar{"reduce.scalar", Isa::scalar, 0, true, run};

}  // namespace bitwright::reduce
