// Rows of quantize and dequantize, for the vectors of one instruction set. Internal linkage: each set compiles its own.
//
// V: `Reals` are V::count floats, `Ints` as many integers of 32 bits.
#pragma once

#include <immintrin.h>

#include "elementwise/interleave.h"
#include "elementwise/quantize.h"

namespace bitwright::elementwise {
namespace {

// Reals of one row, whose elements lie side by side, to integers of type T.
template <class V, class T, bw_quantize_rule Rule>
struct Quantizer {
    typename V::Reals factor, most, least;
    typename V::Ints zero_point;
    typename V::Ints bias;  // 16 bits each

    explicit Quantizer(const bw_quantize& q)
        : factor(V::splat(q.factor)),
          most(V::splat(512.0f)),
          least(V::splat(-512.0f)),
          zero_point(V::splat_int(q.zero_point)),
          bias(V::splat_short(q.bias)) {}

    typename V::Ints integers(typename V::Reals x) const {
        if constexpr (Rule == BW_DIVIDED) {
            return V::add(V::round_away(V::divide(x, factor)), zero_point);
        } else {
            const auto real = V::multiply(x, factor);
            if constexpr (sizeof(T) == 2) return V::add(V::round_even(real), zero_point);
            return V::add(V::round_even(V::larger(V::smaller(real, most), least)), zero_point);  // of NaN and 512: 512
        }
    }
    void operator()(const float* x, T* y, std::int64_t length) const {
        std::int64_t i = 0;
        for (; i + 4 * V::count <= length; i += 4 * V::count) {
            typename V::Ints made[4];
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) made[v] = integers(V::load(x + i + v * V::count));
            V::store(y + i, made, bias);
        }
        for (; i < length; i += V::count) {
            const int left = length - i < V::count ? static_cast<int>(length - i) : V::count;
            V::store_some(y + i, integers(V::load_some(x + i, left)), left, bias);
        }
    }
};

// x has channels apart (NCHW), y has them together (NHWC): rows of the block are pixels.
template <class Quantize>
void quantize_planes(const Quantize& quantize, const bw_block& block, const float* x, std::uint8_t* y) {
    alignas(64) std::uint8_t planes[interleaved_channels][interleaved_pixels];
    const std::int64_t channels = block.length, step = block.row_stride[0];
    for (std::int64_t p = 0; p < block.rows; p += interleaved_pixels) {
        const int pixels = block.rows - p < interleaved_pixels ? static_cast<int>(block.rows - p) : interleaved_pixels;
        for (std::int64_t c = 0; c < channels; c += interleaved_channels) {
            const int count =
                channels - c < interleaved_channels ? static_cast<int>(channels - c) : interleaved_channels;
            for (int k = 0; k < count; ++k) quantize(x + p + (c + k) * block.stride[1], planes[k], pixels);
            interleave(planes, count, pixels, y + p * step + c, step);
        }
    }
}

template <class V, class T, bw_quantize_rule Rule>
bool quantize_by(const bw_quantize& how, const bw_block& block, const float* x, T* y) {
    if (block.stride[0] != 1) return false;
    const Quantizer<V, T, Rule> quantize(how);
    if (block.stride[1] == 1) {
        for (std::int64_t r = 0; r < block.rows; ++r)
            quantize(x + r * block.row_stride[1], y + r * block.row_stride[0], block.length);
        return true;
    }
    if constexpr (sizeof(T) == 1) {
        if (block.row_stride[1] == 1) {
            quantize_planes(quantize, block, x, y);
            return true;
        }
    }
    return false;
}

template <class V>
void quantize_u8(const bw_quantize& how, const bw_block& block, const float* x, std::uint8_t* y) {
    const bool done = how.rule == BW_DIVIDED ? quantize_by<V, std::uint8_t, BW_DIVIDED>(how, block, x, y)
                                             : quantize_by<V, std::uint8_t, BW_MULTIPLIED>(how, block, x, y);
    if (!done) bw_quantize_u8(&how, &block, x, y);
}

template <class V>
void quantize_i16(const bw_quantize& how, const bw_block& block, const float* x, std::int16_t* y) {
    const bool done = how.rule == BW_DIVIDED ? quantize_by<V, std::int16_t, BW_DIVIDED>(how, block, x, y)
                                             : quantize_by<V, std::int16_t, BW_MULTIPLIED>(how, block, x, y);
    if (!done) bw_quantize_i16(&how, &block, x, y);
}

// Whether elements of each row lie side by side; it is done then.
template <class V, class T>
bool dequantize_rows(const bw_dequantize& how, const bw_block& block, const T* x, float* y) {
    if (block.stride[0] != 1 || block.stride[1] != 1) return false;
    const auto zero_point = V::splat_int(how.zero_point);
    const auto factor = V::splat(how.factor);
    const auto real = [&](typename V::Ints q) { return V::multiply(V::to_real(V::sub(q, zero_point)), factor); };
    for (std::int64_t r = 0; r < block.rows; ++r) {
        const T* const row = x + r * block.row_stride[1];
        float* const made = y + r * block.row_stride[0];
        std::int64_t i = 0;
        for (; i + V::count <= block.length; i += V::count) V::store(made + i, real(V::load(row + i)));
        const int left = static_cast<int>(block.length - i);
        if (left > 0) V::store_some(made + i, real(V::load_some(row + i, left)), left);
    }
    return true;
}

// Channels apart in y and together in x: pieces of rows, so that what is read stays in the first-level cache.
template <class T, class Reference>
void dequantize_pieces(const bw_block& block, const T* x, float* y, const Reference& reference) {
    bw_block piece = block;
    for (std::int64_t i = 0; i < block.length; i += piece.length) {
        piece.length = block.length - i < 64 ? block.length - i : 64;
        reference(piece, x + i * block.stride[1], y + i * block.stride[0]);
    }
}

template <class V>
void dequantize_u8(const bw_dequantize& how, const bw_block& block, const std::uint8_t* x, float* y) {
    if (dequantize_rows<V>(how, block, x, y)) return;
    dequantize_pieces(block, x, y, [&](const bw_block& k, const std::uint8_t* from, float* to) {
        bw_dequantize_u8(&how, &k, from, to);
    });
}

template <class V>
void dequantize_i16(const bw_dequantize& how, const bw_block& block, const std::int16_t* x, float* y) {
    if (dequantize_rows<V>(how, block, x, y)) return;
    dequantize_pieces(block, x, y, [&](const bw_block& k, const std::int16_t* from, float* to) {
        bw_dequantize_i16(&how, &k, from, to);
    });
}

}  // namespace
}  // namespace bitwright::elementwise
