// The kernels of lookup tables (see reference.h), and their table.
#pragma once

#include "base/isa.h"
#include "lut/reference.h"

namespace bitwright::lut {

struct Kernel {
    const char* name;
    Isa isa;
    bool permutes_bytes;  // needs AVX-512 VBMI as well, which not all processors of its instruction set have
    // Elements side by side; nothing but they themselves is read or written. Tables may be read 64 bytes past their
    // end.
    void (*bytes)(const std::uint8_t* table, const std::uint8_t* x, std::int64_t length, std::uint8_t* y);
    void (*interpolated)(const std::int16_t* table, const std::int16_t* x, std::int64_t length, std::int16_t* y);
};

// One row each: lut/kernels.inc.
#define BW_LUT_KERNEL(isa, name) extern const Kernel name;
#include "lut/kernels.inc"
#undef BW_LUT_KERNEL

// 65536 entries: one load an element, for every instruction set.
void words(const std::int16_t* table, const std::int16_t* x, std::int64_t length, std::int16_t* y);

// Whether this machine runs the kernel under that instruction set.
bool runs(const Kernel& kernel, Isa isa);

// The fastest kernel that `isa` and the processor allow.
const Kernel& select(Isa isa);

}  // namespace bitwright::lut
