#include "elementwise/quantize.h"

namespace bitwright::elementwise {
namespace {

void quantize_u8(const bw_quantize& how, const bw_block& block, const float* x, std::uint8_t* y) {
    bw_quantize_u8(&how, &block, x, y);
}

void quantize_i16(const bw_quantize& how, const bw_block& block, const float* x, std::int16_t* y) {
    bw_quantize_i16(&how, &block, x, y);
}

void dequantize_u8(const bw_dequantize& how, const bw_block& block, const std::uint8_t* x, float* y) {
    bw_dequantize_u8(&how, &block, x, y);
}

void dequantize_i16(const bw_dequantize& how, const bw_block& block, const std::int16_t* x, float* y) {
    bw_dequantize_i16(&how, &block, x, y);
}

}  // namespace

const QuantizeKernel quantize_scalar{"quantize.scalar", Isa::scalar,   quantize_u8,
                                     quantize_i16,      dequantize_u8, dequantize_i16};

}  // namespace bitwright::elementwise
