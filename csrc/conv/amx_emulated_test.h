// The AMX kernel on emulated tiles: conv/amx_emulated_test.cc.
#pragma once

#include "conv/conv.h"

namespace bitwright::conv {

extern const Kernel amx_emulated;
// What a processor would have refused, on this thread.
int emulated_faults();

}  // namespace bitwright::conv
