#include "movement/bilinear_rows.h"

namespace bitwright::movement {

const BilinearKernel bilinear_avx512vnni{"bilinear.avx512vnni", Isa::avx512vnni, bilinear_row};

}  // namespace bitwright::movement
