#include "pooling/pooling.h"

namespace bitwright::pooling {
namespace {

void run(const Call& call, std::int64_t, std::int64_t) { bw_pool_reference(call.shape, call.x, call.y); }

}  // namespace

const Kernel scalar{"pooling.scalar", Isa::scalar, true, false, run};

}  // namespace bitwright::pooling
