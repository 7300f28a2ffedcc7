#include "softmax/kernel.h"

namespace bitwright::softmax {

const Kernel<bw_softmax_fixed> fixed_avx2{"softmax.avx2", Isa::avx2, 1, fixed};
const Kernel<bw_softmax_real> real_avx2{"softmax_real.avx2", Isa::avx2, together, real};

}  // namespace bitwright::softmax
