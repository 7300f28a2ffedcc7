#include "conv16/conv16.h"

namespace bitwright::conv16 {
namespace {

void run(const Call& call, int, int, std::byte*) {
    bw_conv16_reference(call.shape, reinterpret_cast<const std::int16_t*>(call.x),
                        reinterpret_cast<const std::int8_t*>(call.weights), call.wide_bias, call.requant,
                        reinterpret_cast<std::int16_t*>(call.y));
}

}  // namespace

const Kernel scalar{"conv16.scalar", Isa::scalar, Method::conv, nullptr, run};

}  // namespace bitwright::conv16
