// Convolution of 16-bit images with vpdpwssd: 16 channels x 2 values of k an instruction.
#include "conv16/depthwise.h"
#include "conv16/tiles.h"
#include "conv16/vectors_avx512.h"

namespace bitwright::conv16 {

const Kernel avx512vnni{"conv16.avx512vnni", Isa::avx512vnni, Method::conv, &cut_for<Avx512>, run_conv<Avx512>};
const Kernel avx512vnni_depthwise{"conv16.avx512vnni_depthwise", Isa::avx512vnni, Method::depthwise, &cut_for<Avx512>,
                                  run_depthwise<Avx512>};

}  // namespace bitwright::conv16
