// Convolution of 16-bit images with vpmaddwd: 8 channels x 2 values of k an instruction.
#include "conv16/depthwise.h"
#include "conv16/tiles.h"
#include "conv16/vectors_avx2.h"

namespace bitwright::conv16 {

const Kernel avx2{"conv16.avx2", Isa::avx2, Method::conv, &cut_for<Avx2>, run_conv<Avx2>};
const Kernel avx2_depthwise{"conv16.avx2_depthwise", Isa::avx2, Method::depthwise, &cut_for<Avx2>, run_depthwise<Avx2>};

}  // namespace bitwright::conv16
