// The entropy coder's functions of the module; what they check is what would read or write out of bounds.
#pragma once

#include "python/bind.h"

namespace bitwright {

void bind_entropy(nb::module_& m);

}  // namespace bitwright
