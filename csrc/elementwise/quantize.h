// The kernels of quantize and dequantize (see quantize_reference.h), and their table.
#pragma once

#include "base/isa.h"
#include "elementwise/quantize_reference.h"

namespace bitwright::elementwise {

struct QuantizeKernel {
    const char* name;
    Isa isa;
    // Nothing but the elements themselves is read or written.
    void (*quantize_u8)(const bw_quantize& how, const bw_block& block, const float* x, std::uint8_t* y);
    void (*quantize_i16)(const bw_quantize& how, const bw_block& block, const float* x, std::int16_t* y);
    void (*dequantize_u8)(const bw_dequantize& how, const bw_block& block, const std::uint8_t* x, float* y);
    void (*dequantize_i16)(const bw_dequantize& how, const bw_block& block, const std::int16_t* x, float* y);
};

// One row each: elementwise/quantize_kernels.inc.
#define BW_QUANTIZE_KERNEL(isa, name) extern const QuantizeKernel name;
#include "elementwise/quantize_kernels.inc"
#undef BW_QUANTIZE_KERNEL

// The fastest kernel that `isa` allows.
const QuantizeKernel& select_quantize(Isa isa);

}  // namespace bitwright::elementwise
