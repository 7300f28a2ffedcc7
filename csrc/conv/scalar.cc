#include "conv/conv.h"

namespace bitwright::conv {
namespace {

std::size_t no_scratch(const Layout&, const bw_conv_shape&) { return 0; }

void run(const Call& call, int, int, std::byte*) {
    bw_conv_reference(call.shape, call.x, reinterpret_cast<const std::int8_t*>(call.weights), call.bias, call.requant,
                      call.y);
}

}  // namespace

const Kernel scalar{"conv.scalar", Isa::scalar, nullptr, no_scratch, run};

}  // namespace bitwright::conv
