#include "depthwise/depthwise.h"

namespace bitwright::depthwise {
namespace {

void run(const Call& call, int first, int last) {
    bw_depthwise_reference(call.shape, call.x, reinterpret_cast<const std::int8_t*>(call.weights), call.bias,
                           call.requant, call.y, first, last);
}

}  // namespace

const Kernel scalar{"depthwise.scalar", Isa::scalar, nullptr, run};

}  // namespace bitwright::depthwise
