#include "softmax/kernel.h"

namespace bitwright::softmax {

const Kernel<bw_softmax_fixed> fixed_avx512vnni{"softmax.avx512vnni", Isa::avx512vnni, 1, fixed};
const Kernel<bw_softmax_real> real_avx512vnni{"softmax_real.avx512vnni", Isa::avx512vnni, together, real};

}  // namespace bitwright::softmax
