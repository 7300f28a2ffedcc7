#include "movement/bilinear_rows.h"

namespace bitwright::movement {

const BilinearKernel bilinear_avx2{"bilinear.avx2", Isa::avx2, bilinear_row};

}  // namespace bitwright::movement
